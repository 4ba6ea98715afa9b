from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import validated
from aurora_pipeline.ensemble.ic_weighted_ensemble import (
    _History,
    capped,
    combine,
    ensemble_weights,
    session_information_coefficients,
    weight_violations,
)
from aurora_pipeline.ensemble.maturity import unmatured_rows
from aurora_pipeline.settings import EnsembleSettings, Settings
from aurora_pipeline_tests.planted_panel import CALENDAR, planted_panel

PANEL = planted_panel(sessions=30, names=20)
FAMILIES = ["ridge", "lightgbm", "xgboost"]
SETTINGS = Settings(ensemble=EnsembleSettings(minimum_sessions=2, shrinkage=0.5, cap=0.6, half_life_sessions=1.0))


def planted_predictions(noise: dict[str, float], seed: int = 3) -> pl.DataFrame:
    """Scores of each family: the truth plus noise, in units of the truth's standard deviation."""
    generator = np.random.default_rng(seed)
    keys = PANEL.features.select("session", "symbol", "decision_time")
    truth = keys.join(PANEL.truth, on=["symbol", "decision_time"], how="left", maintain_order="left")
    signal = truth.get_column("expected_residual_return").to_numpy()
    parts = [
        keys.with_columns(
            pl.lit(family).alias("model"),
            pl.lit("v").alias("model_version"),
            pl.Series("score", signal / signal.std() + level * generator.normal(size=len(signal)), dtype=pl.Float32),
        )
        for family, level in noise.items()
    ]
    return pl.concat(parts)


def evidence(rows: list[tuple[int, str, float, int]]) -> pl.DataFrame:
    """Rows of (session index, family, IC, sessions until maturity at that session's close)."""
    return pl.DataFrame(
        {
            "session": [PANEL.sessions[s] for s, *_ in rows],
            "model": [family for _, family, *_ in rows],
            "matured_at": pl.Series(
                [CALENDAR.close(PANEL.sessions[s + lag]) for s, _, _, lag in rows], dtype=TIMESTAMP
            ),
            "ic": [ic for *_, ic, _ in rows],
            "decision_times": [1] * len(rows),
            "names": [20] * len(rows),
        }
    )


def weights_at(
    session: int, rows: list[tuple[int, str, float, int]], settings: Settings = SETTINGS
) -> dict[str, float]:
    frame = ensemble_weights([PANEL.sessions[session]], PANEL.opens, evidence(rows), FAMILIES, settings)
    return dict(frame.select("model", "weight").rows())


def test_weights_follow_shrunk_ics() -> None:
    # half-life of one session: means (0.1 + 0.5 * 0.04) / 1.5 = 0.08, 0.02, 0.05; shrunk half-way to their mean 0.05
    rows = [(0, "ridge", 0.04, 1), (1, "ridge", 0.10, 1), (0, "lightgbm", 0.02, 1), (1, "lightgbm", 0.02, 1)]
    rows += [(0, "xgboost", 0.05, 1), (1, "xgboost", 0.05, 1)]
    assert weights_at(3, rows) == pytest.approx(
        {"ridge": 0.065 / 0.15, "lightgbm": 0.035 / 0.15, "xgboost": 0.05 / 0.15}
    )


def test_a_negative_family_gets_nothing_and_the_cap_binds() -> None:
    rows = [(s, "ridge", 0.20, 1) for s in (0, 1)] + [(s, "lightgbm", -0.18, 1) for s in (0, 1)]
    rows += [(s, "xgboost", 0.01, 1) for s in (0, 1)]  # mean 0.01: shrunk 0.105, -0.085, 0.01
    assert weights_at(3, rows) == pytest.approx({"ridge": 0.6, "lightgbm": 0.0, "xgboost": 0.4})


def test_the_cap_is_at_least_equal_weight() -> None:
    assert capped(np.array([0.9, 0.1, 0.0]), 0.4).tolist() == [0.5, 0.5, 0.0]
    assert capped(np.array([0.0, 1.0]), 0.4).tolist() == [0.0, 1.0]
    assert capped(np.array([0.5, 0.3, 0.2]), 0.4) == pytest.approx([0.4, 0.36, 0.24])


@given(arrays(np.float64, st.integers(1, 9), elements=st.floats(0.0, 1.0)), st.floats(0.05, 1.0))
def test_capped_weights_add_up_and_stay_below_the_limit(raw: np.ndarray, cap: float) -> None:
    if raw.sum() < 1e-6:
        return
    weights = raw / raw.sum()
    limited = capped(weights, cap)
    assert limited.sum() == pytest.approx(1.0)
    assert limited.max() <= max(cap, 1.0 / np.count_nonzero(weights)) + 1e-9
    assert ((limited > 0) == (weights > 0)).all()


def test_all_negative_means_equal_weights_and_a_flag() -> None:
    rows = [(s, family, -0.05, 1) for s in (0, 1, 2) for family in FAMILIES]
    frame = ensemble_weights([PANEL.sessions[4]], PANEL.opens, evidence(rows), FAMILIES, SETTINGS)
    assert frame.get_column("weight").to_list() == [1 / 3] * 3
    assert frame.get_column("all_negative").all()
    assert not frame.get_column("cold_start").any()


def test_a_cold_start_is_equal_and_flagged() -> None:
    nothing = evidence([(0, "ridge", 0.1, 1)]).clear()
    frame = ensemble_weights([PANEL.sessions[4]], PANEL.opens, nothing, FAMILIES, SETTINGS)
    assert frame.get_column("weight").to_list() == [1 / 3] * 3
    assert frame.get_column("cold_start").all()
    assert not frame.get_column("all_negative").any()
    assert frame.get_column("information_coefficient").null_count() == 3
    assert validated("ensemble_weights", frame).height == 3


def test_a_new_family_counts_as_the_mean_of_the_others() -> None:
    rows = [(s, "ridge", 0.08, 1) for s in (0, 1)] + [(s, "lightgbm", 0.04, 1) for s in (0, 1)]
    rows.append((1, "xgboost", 0.9, 1))  # one session only
    assert weights_at(3, rows) == pytest.approx({"ridge": 0.07 / 0.18, "lightgbm": 0.05 / 0.18, "xgboost": 0.06 / 0.18})


def test_evidence_maturing_at_or_after_the_open_does_not_count() -> None:
    rows = [(s, family, 0.05, 1) for s in (0, 1, 2) for family in FAMILIES]
    expected = weights_at(4, rows)
    assert weights_at(4, [*rows, (3, "ridge", 9.0, 1)]) == expected  # matures at the close of the session itself
    late = evidence([(3, "ridge", 9.0, 1)]).with_columns(pl.lit(PANEL.opens[PANEL.sessions[4]]).alias("matured_at"))
    frame = ensemble_weights([PANEL.sessions[4]], PANEL.opens, pl.concat([evidence(rows), late]), FAMILIES, SETTINGS)
    assert dict(frame.select("model", "weight").rows()) == expected


def test_stages_of_a_session_are_weighted_by_their_decision_times() -> None:
    parts = evidence([(0, "ridge", 0.1, 1), (0, "ridge", 0.4, 2), (1, "ridge", 0.2, 1)]).with_columns(
        pl.Series("decision_times", [2, 1, 3])
    )
    frame = ensemble_weights([PANEL.sessions[5]], PANEL.opens, parts, ["ridge"], SETTINGS)
    assert frame.get_column("information_coefficient")[0] == pytest.approx((0.5 * 0.2 + 0.2) / 1.5)
    assert frame.get_column("matured_sessions")[0] == 2


def test_ics_of_a_session_are_split_by_maturity() -> None:
    predictions = planted_predictions({"ridge": 0.0})
    ics = session_information_coefficients(predictions, PANEL.labels)
    first = ics.filter(session=PANEL.sessions[0])
    matured = PANEL.labels.filter(session=PANEL.sessions[0]).get_column("matured_at").unique().sort()
    assert first.get_column("matured_at").to_list() == matured.to_list()
    assert first.get_column("decision_times").to_list() == [1, 1, 1]
    assert first.get_column("names").to_list() == [20, 20, 20]
    assert 0.2 < ics.get_column("ic").mean() < 0.4  # type: ignore[operator]


def test_better_families_weigh_more_and_nothing_later_moves_a_weight() -> None:
    predictions = planted_predictions({"ridge": 0.0, "lightgbm": 1.0, "xgboost": 8.0})
    settings = Settings()
    ics = session_information_coefficients(predictions, PANEL.labels)
    together = ensemble_weights(PANEL.sessions, PANEL.opens, ics, FAMILIES, settings)
    last = dict(together.filter(session=PANEL.sessions[-1]).select("model", "weight").rows())
    assert last["ridge"] > last["lightgbm"] > last["xgboost"]
    session = PANEL.sessions[20]
    opens = PANEL.opens[session]
    garbage = PANEL.labels.with_columns(
        pl.when(pl.col("matured_at") >= opens).then(-pl.col("label")).otherwise("label").alias("label")
    )
    poisoned = session_information_coefficients(predictions, garbage)
    cut = session_information_coefficients(predictions, PANEL.labels.filter(pl.col("matured_at") < opens))
    for history in (poisoned, cut):
        alone = ensemble_weights([session], PANEL.opens, history, FAMILIES, settings)
        assert alone.equals(together.filter(session=session))


def test_weight_violations_are_found() -> None:
    ics = session_information_coefficients(planted_predictions(dict.fromkeys(FAMILIES, 1.0)), PANEL.labels)
    weights = ensemble_weights(PANEL.sessions, PANEL.opens, ics, FAMILIES, Settings())
    assert weight_violations(weights, Settings()).is_empty()
    session = PANEL.sessions[7]
    for factor in (1.5, -1.0):
        broken = weights.with_columns(
            pl.when((pl.col("session") == session) & (pl.col("model") == "ridge"))
            .then(pl.col("weight") * factor)
            .otherwise("weight")
            .alias("weight")
        )
        assert weight_violations(broken, Settings()).get_column("session").unique().to_list() == [session]


@pytest.mark.parametrize(
    ("weights", "wrong"),
    [
        ([0.6, 0.4, 0.0], []),  # the cap itself
        ([0.61, 0.39, 0.0], [0]),
        ([0.5, 0.6, -0.1], [2]),
        ([0.4, 0.3, 0.2], [0, 1, 2]),
        ([1.0, 0.0, 0.0], []),  # one family alone takes all of it
    ],
)
def test_each_rule_for_weights_is_checked_on_its_own(weights: list[float], wrong: list[int]) -> None:
    frame = pl.DataFrame({"session": [PANEL.sessions[0]] * 3, "model": FAMILIES, "weight": weights})
    found = weight_violations(frame, SETTINGS).get_column("model").to_list()
    assert found == [FAMILIES[place] for place in wrong]


def test_a_family_that_is_cold_is_not_the_best_single_one() -> None:
    frame = ensemble_weights(
        [PANEL.sessions[8]],
        PANEL.opens,
        evidence([(0, "ridge", -0.3, 1), (1, "ridge", -0.1, 1), (0, "lightgbm", 0.9, 1)]),
        FAMILIES,
        SETTINGS,
    )
    assert frame.filter("best_single").get_column("model").to_list() == ["ridge"]


def test_weights_from_one_session_too_many_are_caught() -> None:
    ics = session_information_coefficients(planted_predictions(dict.fromkeys(FAMILIES, 1.0)), PANEL.labels)
    weights = ensemble_weights(PANEL.sessions, PANEL.opens, ics, FAMILIES, SETTINGS)
    assert unmatured_rows(weights, PANEL.labels, PANEL.opens).is_empty()
    # The mutant weighs at the close instead of the open.
    closes = {session: CALENDAR.close(session) for session in PANEL.sessions}
    mutant = ensemble_weights(PANEL.sessions, closes, ics, FAMILIES, SETTINGS)
    assert unmatured_rows(mutant, PANEL.labels, PANEL.opens).get_column("session").n_unique() == 29
    # The mutant hides what it used, but counts a session more than had matured.
    hidden = weights.with_columns(pl.col("matured_sessions") + 1)
    assert unmatured_rows(hidden, PANEL.labels, PANEL.opens).height == hidden.height


def test_one_unmatured_row_among_the_weights_evidence_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant's only fault: in one session it takes in the next part of one family's history before it has matured."""
    ics = session_information_coefficients(planted_predictions(dict.fromkeys(FAMILIES, 1.0)), PANEL.labels)
    clean = ensemble_weights(PANEL.sessions, PANEL.opens, ics, FAMILIES, SETTINGS)
    assert (clean.group_by("session").agg(pl.col("evidence_rows").max()).get_column("evidence_rows") >= 0).all()
    session = PANEL.sessions[12]
    moment = int(pl.Series([PANEL.opens[session]], dtype=TIMESTAMP).to_physical()[0])
    original, calls = _History.matured_before, []

    def eager(self: _History, at: int, half_life: float) -> tuple[float, int, int, int | None]:
        calls.append(at)
        if at == moment and calls.count(moment) == 2:  # the second family of that session
            following = int(self.matured_at[self.matured_at >= at].min())
            return original(self, following + 1, half_life)
        return original(self, at, half_life)

    monkeypatch.setattr(_History, "matured_before", eager)
    mutant = ensemble_weights(PANEL.sessions, PANEL.opens, ics, FAMILIES, SETTINGS)
    caught = unmatured_rows(mutant, PANEL.labels, PANEL.opens)
    assert caught.select("session", "model").rows() == [(session, sorted(FAMILIES)[1])]
    # Hiding the moment does not help: it has a row more than there were labels.
    hidden = mutant.with_columns(clean.get_column("evidence_through"))
    assert unmatured_rows(hidden, PANEL.labels, PANEL.opens).height == 1


def small_predictions(scores: dict[str, list[float | None]]) -> pl.DataFrame:
    session, moment = PANEL.sessions[0], CALENDAR.bar_ends(PANEL.sessions[0])[0]
    rows = [
        (session, f"S{k}", moment, family, "v", value)
        for family, values in scores.items()
        for k, value in enumerate(values)
        if value is not None
    ]
    schema = {
        "session": pl.Date,
        "symbol": pl.String,
        "decision_time": TIMESTAMP,
        "model": pl.String,
        "model_version": pl.String,
        "score": pl.Float32,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def small_weights(weights: dict[str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {"session": [PANEL.sessions[0]] * len(weights), "model": list(weights), "weight": list(weights.values())}
    )


def test_scores_are_combined_as_z_scores() -> None:
    predictions = small_predictions({"a": [1.0, 2.0, 3.0], "b": [10.0, 10.0, -20.0]})
    combined = combine(predictions, small_weights({"a": 0.75, "b": 0.25}))
    za, zb = np.array([-1.0, 0.0, 1.0]) * 1.5**0.5, np.array([1.0, 1.0, -2.0]) / 2**0.5
    mixed = 0.75 * za + 0.25 * zb
    equal = (za + zb) / 2
    assert combined.get_column("score").to_list() == pytest.approx(((mixed - mixed.mean()) / mixed.std()).tolist())
    assert combined.get_column("equal_weight_score").to_list() == pytest.approx((equal / equal.std()).tolist())
    assert combined.get_column("disagreement").to_list() == pytest.approx((np.abs(za - zb) / 2).tolist())
    assert validated("ensemble", combined).height == 3


def test_a_family_without_scores_is_left_out() -> None:
    both = small_weights({"a": 0.75, "b": 0.25})
    only_a = small_predictions({"a": [1.0, 2.0, 3.0]})
    assert combine(only_a, both).equals(combine(only_a, small_weights({"a": 1.0})))


def test_a_name_without_one_familys_score_uses_the_others() -> None:
    predictions = small_predictions({"a": [1.0, 2.0, 3.0], "b": [1.0, 3.0, None]})
    combined = combine(predictions, small_weights({"a": 0.5, "b": 0.5}))
    raw = np.array([(-(1.5**0.5) - 1.0) / 2, 0.5, 1.5**0.5])
    assert combined.get_column("score").to_list() == pytest.approx(((raw - raw.mean()) / raw.std()).tolist())
    assert combined.get_column("disagreement")[2] == 0.0


def test_a_constant_family_contributes_nothing() -> None:
    predictions = small_predictions({"a": [1.0, 2.0, 3.0], "b": [0.1, 0.1, 0.1]})
    combined = combine(predictions, small_weights({"a": 0.5, "b": 0.5}))
    assert combined.get_column("score").to_list() == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])
    flat = combine(small_predictions({"b": [0.1, 0.1, 0.1]}), small_weights({"b": 1.0}))
    assert flat.get_column("score").to_list() == [0.0, 0.0, 0.0]


def test_where_only_families_of_no_weight_are_left_they_count_equally() -> None:
    predictions = small_predictions({"b": [1.0, 2.0, 3.0]})
    combined = combine(predictions, small_weights({"a": 1.0, "b": 0.0}))
    assert combined.get_column("score").to_list() == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])


def test_one_decision_time_equals_the_range_whatever_the_order() -> None:
    predictions = planted_predictions({"ridge": 0.5, "xgboost": 1.0})
    weights = pl.DataFrame({"session": PANEL.sessions}).join(
        pl.DataFrame({"model": ["ridge", "xgboost"], "weight": [0.3, 0.7]}), how="cross"
    )
    together = combine(predictions.sample(fraction=1.0, shuffle=True, seed=1), weights)
    moment = together.get_column("decision_time")[500]
    alone = combine(predictions.filter(decision_time=moment), weights)
    assert alone.equals(together.filter(decision_time=moment))


def test_nothing_to_combine_gives_an_empty_table() -> None:
    assert validated("ensemble", combine(small_predictions({"a": []}), small_weights({"a": 1.0}))).is_empty()


def test_evidence_without_an_opening_moment_is_caught() -> None:
    weights = pl.DataFrame(
        {
            "session": [date(2020, 1, 2)],
            "evidence_through": pl.Series([CALENDAR.close(PANEL.sessions[0])], dtype=TIMESTAMP),
            "evidence_rows": [0],
        }
    )
    assert unmatured_rows(weights, PANEL.labels, {PANEL.sessions[0]: PANEL.opens[PANEL.sessions[0]]}).height == 1
    assert unmatured_rows(weights.clear(), PANEL.labels, PANEL.opens).is_empty()
    soon = CALENDAR.open(PANEL.sessions[1])
    at_open = pl.DataFrame(
        {
            "session": [PANEL.sessions[1]] * 2,
            "evidence_through": [soon, soon - timedelta(microseconds=1)],
            "evidence_rows": [0, 0],
        }
    )
    assert unmatured_rows(at_open.cast({"evidence_through": TIMESTAMP}), PANEL.labels, PANEL.opens).height == 1
