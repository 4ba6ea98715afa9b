"""The comparison of models: measures agree with their own modules, and every kind of bad input has a defined answer."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.models.combinatorial_splits import combinatorial_splits
from aurora_pipeline.monitoring import model_comparison
from aurora_pipeline.monitoring.information_coefficient import information_coefficient
from aurora_pipeline.monitoring.model_comparison import (
    AGES,
    REGIMES,
    TOGETHER,
    ComparisonInputs,
    compare_models,
    market_volatility,
)
from aurora_pipeline.monitoring.model_comparison_plot import comparison_figure, comparison_plot
from aurora_pipeline.monitoring.model_comparison_report import (
    Cost,
    comparison_headline,
    comparison_markdown,
    comparison_remarks,
    comparison_summary,
    matrix,
    monthly,
)
from aurora_pipeline.monitoring.naive_portfolio import naive_returns
from aurora_pipeline.monitoring.score_panel import score_panel
from aurora_pipeline.monitoring.sharpe_significance import deflated_sharpe_ratio
from aurora_pipeline_tests.planted_panel import CALENDAR, planted_panel

KINDS = {
    "strong": "family",
    "weak": "family",
    "noise": "family",
    "mean_score": "ensemble",
    "zero": "baseline",
    "absent": "baseline",
}
PLANTED = planted_panel(sessions=75, names=30, ic=0.3)


def inputs(kinds: dict[str, str] = KINDS, sessions: int = 75, **changes: object) -> ComparisonInputs:
    """Three families of falling strength, their mean, a constant and a score nobody has; sectors and volatility by turns."""
    scores = PLANTED.features.filter(pl.col("session") <= PLANTED.sessions[sessions - 1]).select(
        "session",
        "symbol",
        "decision_time",
        (pl.col("feature_0") + pl.col("feature_1") + pl.col("feature_2")).alias("strong"),
        (pl.col("feature_0") + pl.col("feature_3")).alias("weak"),
        pl.col("feature_4").alias("noise"),
        (pl.col("feature_0") + pl.col("feature_1") + pl.col("feature_3")).alias("mean_score"),
        pl.lit(0.0).alias("zero"),
        pl.lit(None, pl.Float64).alias("absent"),
    )
    sectors = scores.select("session", "symbol").unique(maintain_order=True)
    sectors = sectors.with_columns(
        pl.when(pl.col("symbol") < "S15").then(pl.lit("Energy")).otherwise(pl.lit("Banks")).alias("sector")
    )
    volatility = pl.DataFrame({"session": PLANTED.sessions, "volatility": [0.01 * (k % 3) for k in range(75)]})
    bar_ends = CALENDAR.grid(PLANTED.sessions).get_column("bar_end").to_physical().to_numpy()
    given: dict[str, object] = {
        "scores": scores,
        "kinds": kinds,
        "labels": PLANTED.labels,
        "sectors": sectors,
        "volatility": volatility,
        "bar_ends": bar_ends,
        "trials": {"strong": 6, "weak": 4, "noise": 4},
    }
    return ComparisonInputs(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return compare_models(inputs())


def row(
    table: pl.DataFrame, model: str, measure: str, dimension: str = "all", level: str = "all"
) -> dict[str, float | None]:
    return table.row(
        by_predicate=(pl.col("model") == model)
        & (pl.col("measure") == measure)
        & (pl.col("dimension") == dimension)
        & (pl.col("level") == level),
        named=True,
    )


def test_the_table_keeps_its_contract(table: pl.DataFrame) -> None:
    assert validated("model_comparison", table).height == table.height
    assert table.get_column("model").unique(maintain_order=True).to_list() == [*KINDS, TOGETHER]


@pytest.mark.parametrize("model", ["strong", "weak", "noise", "mean_score"])
def test_the_ic_is_the_scorecards(table: pl.DataFrame, model: str) -> None:
    alone = information_coefficient(inputs().scores, PLANTED.labels, model)
    found = row(table, model, "ic")
    assert (found["value"], found["t"], found["p_value"]) == (alone.mean, alone.t, alone.p_value)
    assert (found["lower"], found["upper"], found["observations"]) == (alone.lower, alone.upper, alone.sessions)
    assert found["bootstrap_lower"] < alone.mean < found["bootstrap_upper"]


def test_what_was_planted_comes_back_in_order(table: pl.DataFrame) -> None:
    ics = [row(table, model, "ic")["value"] for model in ("strong", "weak", "noise")]
    assert ics == sorted(ics, reverse=True)
    assert row(table, "strong", "ic")["t"] > 5.0
    assert row(table, "noise", "ic")["p_value"] > 0.01
    assert row(table, "strong", "ic_less_mean_score")["t"] > 3.0
    assert row(table, "weak", "ic_less_mean_score")["value"] < 0.0


def test_months_and_regimes_cut_the_same_sessions(table: pl.DataFrame) -> None:
    whole = row(table, "strong", "ic")
    for dimension, count in (("month", 4), ("volatility", 3)):
        cut = table.filter(pl.col("model") == "strong", pl.col("measure") == "ic", pl.col("dimension") == dimension)
        assert cut.height == count
        assert cut.get_column("observations").sum() == whole["observations"]
        weighted = (cut.get_column("value") * cut.get_column("observations")).sum() / whole["observations"]
        assert weighted == pytest.approx(whole["value"])
    cut = table.filter(pl.col("dimension") == "volatility")
    assert cut.get_column("level").unique(maintain_order=True).to_list() == list(REGIMES)


@pytest.mark.parametrize(
    ("volatility", "levels"),
    [
        ([0.3, None, 0.1, 0.2], ["high", "", "low", "middle"]),
        ([0.1, 0.2, 0.3, 0.4], ["low", "low", "middle", "high"]),
        ([0.1, None, None, 0.2], ["", "", "", ""]),
    ],
)
def test_regimes_are_terciles_of_the_sessions_compared(volatility: list[float | None], levels: list[str]) -> None:
    days = [date(2025, 3, day) for day in (3, 4, 5, 6)]
    known = pl.DataFrame({"session": days, "volatility": volatility})
    places = pl.Series(days).to_physical().to_numpy().astype(np.int64)
    assert model_comparison._regimes(places, known).tolist() == levels


def test_independent_ranks_decay_at_once(table: pl.DataFrame) -> None:
    """The planted features are drawn anew each time: a score held back knows nothing."""
    fresh, old = (row(table, "strong", "ic", "age_sessions", age) for age in ("0", "5"))
    assert fresh["t"] > 3.0
    assert abs(old["t"]) < 3.5
    ages = table.filter(pl.col("dimension") == "age_sessions").get_column("level")
    assert set(ages) == {str(age) for age in AGES}
    assert row(table, "strong", "turnover")["value"] == pytest.approx(1.0, abs=0.1)


def test_the_scores_correlate_as_they_were_made(table: pl.DataFrame) -> None:
    # feature_0 is a third of one variance and a half of the other: 1 / sqrt(6), on ranks a little less.
    found = row(table, "strong", "score_correlation", "other_model", "weak")["value"]
    assert found == pytest.approx(1 / np.sqrt(6), abs=0.05)
    assert found == pytest.approx(row(table, "weak", "score_correlation", "other_model", "strong")["value"])
    assert abs(row(table, "strong", "score_correlation", "other_model", "noise")["value"]) < 0.05


def test_skill_survives_deflation_and_noise_does_not(table: pl.DataFrame) -> None:
    assert row(table, "strong", "deflated_sharpe")["value"] > 0.95
    assert row(table, "noise", "deflated_sharpe")["value"] < 0.8
    assert row(table, TOGETHER, "trials")["value"] == 14
    overfitting = row(table, TOGETHER, "overfitting_probability")
    assert overfitting["value"] < 0.1
    assert overfitting["observations"] == 252


def test_a_sectors_ic_is_of_its_own_names(table: pl.DataFrame) -> None:
    for sector, members in (("Energy", pl.col("symbol") < "S15"), ("Banks", pl.col("symbol") >= "S15")):
        alone = information_coefficient(inputs().scores.filter(members), PLANTED.labels, "strong")
        found = row(table, "strong", "ic", "sector", sector)
        assert (found["value"], found["observations"]) == (pytest.approx(alone.mean), alone.sessions)


def test_sharpe_ratios_are_deflated_by_all_trials_and_the_spread_of_the_families(table: pl.DataFrame) -> None:
    given = inputs()
    closing = score_panel(given.scores, given.labels, given.sectors, list(KINDS)).closing
    returns = dict(zip(KINDS, naive_returns(closing, given.bar_ends).returns.T, strict=True))
    ratios = {
        model: series.mean() / series.std(ddof=1) for model, series in returns.items() if KINDS[model] == "family"
    }
    spread = np.var(list(ratios.values()), ddof=1)
    for model in ("strong", "weak", "noise", "mean_score"):
        deflated = deflated_sharpe_ratio(returns[model], 6 + 4 + 4, spread)
        assert row(table, model, "deflated_sharpe")["value"] == pytest.approx(deflated)
    # A period is a session: the label of a last decision matures in the session after, where the next one begins.
    assert row(table, "strong", "sharpe")["value"] == pytest.approx(ratios["strong"] * np.sqrt(252), rel=0.1)


@pytest.mark.parametrize(("sessions", "splits"), [(21, 6), (29, 6), (36, 20), (39, 20)])
def test_blocks_of_time_are_an_even_number_and_four_at_least(sessions: int, splits: int) -> None:
    table = compare_models(inputs(sessions=sessions))
    assert row(table, TOGETHER, "overfitting_probability")["observations"] == splits


def test_the_half_to_choose_in_is_purged_and_the_other_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def spy(returns: np.ndarray, chosen: np.ndarray, judged: np.ndarray) -> None:
        seen.extend((returns, chosen, judged))

    cut: list[list[date]] = []

    def split(days: list[date], *blocks: int) -> object:
        cut.append(days)
        return combinatorial_splits(days, *blocks)

    monkeypatch.setattr(model_comparison, "probability_of_backtest_overfitting", spy)
    monkeypatch.setattr(model_comparison, "combinatorial_splits", split)
    gap = pl.col("session").is_in(PLANTED.sessions[:6])
    scores = inputs().scores.with_columns(pl.when(gap).then(None).otherwise("weak").alias("weak"))
    compare_models(inputs(scores=scores))
    assert cut[0][0] == PLANTED.sessions[6]
    returns, chosen, judged = seen
    assert not np.isnan(returns).any()
    assert not (chosen & judged).any()
    halves = judged.sum(axis=1)
    assert halves.min() >= len(returns) // 2 - 5
    assert (chosen.sum(axis=1) < len(returns) - halves).all()


def test_a_constant_score_is_undefined_and_earns_nothing(table: pl.DataFrame) -> None:
    for measure in ("ic", "ic_less_mean_score", "turnover", "sharpe", "deflated_sharpe"):
        assert row(table, "zero", measure)["value"] is None, measure
    assert row(table, "zero", "naive_return")["value"] == 0.0
    assert row(table, "strong", "score_correlation", "other_model", "zero")["value"] is None


def test_a_score_nobody_has_is_null_everywhere(table: pl.DataFrame) -> None:
    own = table.filter(pl.col("model") == "absent")
    assert own.get_column("value").null_count() == own.height
    assert row(table, "absent", "ic")["observations"] == 0


def test_without_matured_labels_everything_that_needs_one_is_null() -> None:
    table = compare_models(inputs(labels=PLANTED.labels.clear()))
    validated("model_comparison", table)
    needing = table.filter(~pl.col("measure").is_in(["turnover", "score_correlation", "trials"]))
    assert needing.get_column("value").null_count() == needing.height
    assert row(table, "strong", "turnover")["value"] is not None
    for page in (comparison_markdown(table, "Models", {}, []), comparison_plot(table, "Models")):
        assert page


def test_one_family_has_no_overfitting_and_is_deflated_as_chance_would_spread() -> None:
    table = compare_models(inputs({"strong": "family"}, trials={"strong": 6}))
    assert row(table, TOGETHER, "overfitting_probability")["value"] is None
    assert row(table, "strong", "deflated_sharpe")["value"] > 0.9
    assert "not testable" in " ".join(comparison_remarks(table))


def test_no_trial_on_record_deflates_nothing() -> None:
    table = compare_models(inputs(trials={}))
    assert row(table, "strong", "deflated_sharpe")["value"] is None
    assert row(table, TOGETHER, "trials")["value"] is None
    assert "No trial is on record" in comparison_remarks(table)[0]


def test_a_family_that_is_missing_for_some_sessions_is_judged_by_its_own() -> None:
    late = PLANTED.sessions[40]
    scores = inputs().scores.with_columns(pl.when(pl.col("session") >= late).then("weak").alias("weak"))
    table = compare_models(inputs(scores=scores))
    alone = information_coefficient(scores, PLANTED.labels, "weak")
    found = row(table, "weak", "ic")
    assert (found["value"], found["observations"]) == (alone.mean, alone.sessions)
    assert found["observations"] < row(table, "strong", "ic")["observations"]
    assert row(table, "weak", "ic_less_mean_score")["observations"] == found["observations"]
    # Families are held against each other only where both traded.
    assert row(table, TOGETHER, "overfitting_probability")["observations"] == 20


@pytest.mark.parametrize("sessions", [1, 3, 6])
def test_too_few_sessions_give_a_mean_and_no_interval(sessions: int) -> None:
    table = compare_models(inputs(sessions=sessions))
    found = row(table, "strong", "ic")
    assert found["value"] is not None
    assert found["bootstrap_lower"] is None
    assert (found["t"] is None) == (sessions < 5)
    assert row(table, "strong", "deflated_sharpe")["value"] is None
    assert row(table, TOGETHER, "overfitting_probability")["value"] is None
    assert comparison_plot(table, "Models")[:4] == b"\x89PNG"


def test_the_picture_hides_nothing_below_a_legend_and_needs_no_red_beside_green(table: pl.DataFrame) -> None:
    figure = comparison_figure(table, "Models")
    figure.canvas.draw()
    assert (figure.axes[0].get_xlabel(), figure.axes[1].get_ylabel()) == ("mean rank IC", "mean rank IC")
    assert not figure.axes[0].get_legend().get_window_extent().overlaps(figure.axes[0].xaxis.label.get_window_extent())
    for axes in figure.axes[:2]:
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.get_window_extent())
    heats = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(heats) == 4
    assert {heat.get_cmap().name for heat in heats} == {"RdBu"}


def test_a_cell_that_rounds_to_nothing_has_no_sign(table: pl.DataFrame) -> None:
    near = pl.when(pl.col("dimension") == "month").then(-0.0001).otherwise(pl.col("value"))
    figure = comparison_figure(table.with_columns(near.alias("value")), "Models")
    texts = {text.get_text() for text in figure.axes[3].texts}
    assert texts == {"0.0"}


def test_ties_are_ranked_by_their_mean() -> None:
    scores = inputs().scores.with_columns((pl.col("strong") * 2).round().alias("strong"))
    table = compare_models(inputs(scores=scores))
    assert row(table, "strong", "ic")["value"] == information_coefficient(scores, PLANTED.labels, "strong").mean


def test_unknown_volatility_and_sectors_leave_their_cuts_empty() -> None:
    nothing = inputs().volatility.with_columns(pl.lit(None, pl.Float64).alias("volatility"))
    nowhere = inputs().sectors.with_columns(pl.lit(None, pl.String).alias("sector"))
    table = compare_models(inputs(volatility=nothing, sectors=nowhere))
    assert table.filter(pl.col("dimension") == "sector").is_empty()
    cut = table.filter(pl.col("dimension") == "volatility")
    assert cut.get_column("value").null_count() == cut.height > 0
    assert comparison_plot(table, "Models")[:4] == b"\x89PNG"


def test_market_volatility_is_of_the_sessions_before() -> None:
    days = [date(2025, 3, day) for day in (3, 4, 5, 6)]
    returns = pl.DataFrame(
        {
            "session": [day for day in days for _ in range(4)],
            "bar_end": [place for _ in days for place in (0, 0, 1, 1)],
            # Two names a bar; the market's return is the same but for a name with a gap.
            "market_return": [0.03, 0.03, 0.04, 0.04, 0.0, 0.0, 0.05, 0.05, 0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0],
        }
    )
    found = market_volatility(returns, 2).get_column("volatility").to_list()
    # Squares of the sessions: 0.0025, 0.0025, 0; what comes on the day itself does not count.
    assert found == [None, pytest.approx(0.05), pytest.approx(0.05), pytest.approx(np.sqrt(0.00125))]


def test_the_page_shows_every_model_the_costs_and_what_is_missing(table: pl.DataFrame) -> None:
    costs = {"strong": Cost(1.25, 0.5), "weak": Cost(None, 0.25)}
    summary = comparison_summary(table, costs)
    assert summary.get_column("fit_seconds").to_list() == [1.25, None, None, None, None, None]
    page = comparison_markdown(table, "Models on synthetic market tiny", costs, ["absent: no history"], "plot.png")
    assert page.startswith("# Models on synthetic market tiny\n\n![Models on synthetic market tiny](plot.png)")
    assert "- absent: no history" in page
    assert "| strong | family |" in page
    assert "1.250" in page
    assert "## IC by sector\n\n| model | Banks | Energy |" in page
    assert "Empty: a sector that never had 5 names" in page


def test_many_months_are_shown_as_years_in_which_every_session_counts_once(table: pl.DataFrame) -> None:
    assert matrix(table, "ic", "month").equals(monthly(table))
    values = [(0.1, 10), (0.4, 20)] + [(None, 0)] * 11 + [(0.2, 5)] * 12
    months = [f"{2020 + place // 12}-{place % 12 + 1:02d}" for place in range(len(values))]
    same = {"model": "m", "measure": "ic", "dimension": "month"}
    rows = [
        {**same, "level": month, "value": value, "observations": count}
        for month, (value, count) in zip(months, values, strict=True)
    ]
    found = monthly(pl.DataFrame(rows, schema_overrides={"value": pl.Float64}))
    assert found.columns == ["model", "2020", "2021", "2022"]
    assert found.row(0)[1:] == (pytest.approx(0.3), pytest.approx(0.2), pytest.approx(0.2))


def test_the_numbers_dagster_plots_are_the_defined_ones(table: pl.DataFrame) -> None:
    numbers = comparison_headline(table)
    assert {"ic_strong", "t_strong", "ic_mean_score", "trials", "overfitting_probability"} <= set(numbers)
    assert not {"ic_zero", "t_zero", "ic_absent"} & set(numbers)


def test_the_same_inputs_give_the_same_table(table: pl.DataFrame) -> None:
    shuffled = inputs()
    again = compare_models(
        inputs(scores=shuffled.scores.sample(fraction=1.0, shuffle=True, seed=3), labels=PLANTED.labels.reverse())
    )
    assert again.equals(table)
