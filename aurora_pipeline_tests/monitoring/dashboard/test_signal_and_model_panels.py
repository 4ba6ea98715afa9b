import re

import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.dashboard.charts import stretches
from aurora_pipeline.monitoring.dashboard.model_panels import drift, ensemble_weights, model_states
from aurora_pipeline.monitoring.dashboard.panel import Chart, Note
from aurora_pipeline.monitoring.dashboard.signal_panels import calibration, coverage_by_period, information_coefficient
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import absent, charts, day, facts, figures, rows, table

MISSING = dict.fromkeys(("ic_lower", "ic_upper", "slope_lower", "slope_upper", "half_life_sessions", "ic_stability"))


def quality():
    return rows(
        "signal_quality",
        {"period": str(day(0)), "kind": "session", "ic": 0.1},
        {"period": str(day(1)), "kind": "session", "ic": None},
        {"period": "2024-12", "kind": "month", "ic": 0.1, "coverage_80": 0.79, "matured_sessions": 1, **MISSING},
        {
            "period": "all", "kind": "all", "ic": 0.1234, "ic_t": 2.5, "ic_lower": 0.02, "ic_upper": 0.2,
            "matured_sessions": 1, "slope": 1.1, "coverage_50": 0.5, "coverage_80": 0.79, "coverage_90": None,
            "matured_rows": 1234, "calibration_error": 0.0125, "slope_lower": None, "slope_upper": None,
            "half_life_sessions": None, "ic_stability": None,
        },
    )  # fmt: skip


def test_ic_shows_interval_and_dashes_where_there_is_none():
    models = rows("model_scores", {"model": "ridge", "ic": 0.1, "recent_ic": 0.05, "ic_lower": None, "ic_upper": None})
    blocks = information_coefficient(quality(), models)
    found = facts(blocks)
    assert found["rank IC, ensemble"] == ("0.1234", "95 %: 0.020 to 0.200")
    assert found["half-life"][0] == "–"
    assert len(charts(blocks)) == 2
    assert "ridge" in charts(blocks)[1]
    assert table(blocks, "month")[0]["from"] == "–"


def test_without_anything_matured_there_is_no_chart():
    assert absent(information_coefficient(empty("signal_quality"), empty("model_scores"))).command == "aurora run"
    unmatured = rows("signal_quality", {"period": str(day(0)), "kind": "session", "ic": None})
    assert "matured" in absent(information_coefficient(unmatured, empty("model_scores"))).why
    assert absent(calibration(quality(), empty("reliability"))).command == "aurora run"


def test_calibration_by_hand():
    bins = rows(
        "reliability",
        {"period": "all", "bin": 0, "rows": 10, "expected_bps": -5.0, "realised_bps": -4.0, "realised_error_bps": None},
        {"period": "all", "bin": 1, "rows": 10, "expected_bps": 5.0, "realised_bps": 6.25, "realised_error_bps": 1.0},
        {"period": "2024-12", "bin": 0, "rows": 10},
    )
    blocks = calibration(quality(), bins)
    found = facts(blocks)
    assert found["calibration error"][0] == "1.25 %"
    assert found["coverage 50 / 80 / 90 %"][0] == "50.0 / 79.0 / –"
    assert [row["realised, bps"] for row in table(blocks, "tenth")] == ["−4.0", "6.2"]


def test_bars_of_the_reliability_are_95_percent_of_the_mean(monkeypatch):
    bins = rows(
        "reliability",
        {"period": "all", "bin": 1, "expected_bps": 5.0, "realised_bps": 6.0, "realised_error_bps": 2.0},
        {"period": "all", "bin": 0, "expected_bps": -5.0, "realised_bps": -4.0, "realised_error_bps": None},
    )
    saved = figures(monkeypatch)
    calibration(quality(), bins)
    left, right = saved[0].axes
    _, _, (bars,) = left.containers[0].lines
    spans = [part[:, 1] for part in bars.get_segments()]
    assert spans == [pytest.approx([-4.0, -4.0]), pytest.approx([6.0 - 1.96 * 2.0, 6.0 + 1.96 * 2.0])]
    assert [list(line.get_ydata()) for line in right.lines if len(line.get_xdata()) == 1][1] == [0.79]


def test_weights_of_the_newest_session_largest_first():
    weights = rows(
        "ensemble_weights",
        {"session": day(0), "model": "ridge", "weight": 1.0},
        {"session": day(1), "model": "ridge", "weight": 0.25, "matured_sessions": 7},
        {"session": day(1), "model": "xgboost", "weight": 0.75, "matured_sessions": 7, "cold_start": True},
    )
    blocks = ensemble_weights(weights)
    assert facts(blocks)["largest"] == ("75.0 %", "xgboost")
    assert facts(blocks)["too new"] == ("1", "xgboost: mean IC of the others")
    assert "weights" not in facts(blocks)
    assert [row["family"] for row in table(blocks, "family")] == ["xgboost", "ridge"]
    assert "xgboost 75 %" in charts(blocks)[0]


@pytest.mark.parametrize(
    ("flags", "why"),
    [({"cold_start": True}, "too little has matured"), ({"all_negative": True}, "no family has a positive matured IC")],
)
def test_equal_weights_say_why(flags, why):
    weights = rows("ensemble_weights", *({"model": name, "weight": 0.5, **flags} for name in ("ridge", "xgboost")))
    assert facts(ensemble_weights(weights))["weights"] == ("equal", why)


def test_every_family_that_ever_had_a_weight_is_in_the_legend():
    weights = rows(
        "ensemble_weights",
        {"session": day(0), "model": "lasso", "weight": 0.5},
        {"session": day(0), "model": "ridge", "weight": 0.5},
        {"session": day(1), "model": "ridge", "weight": 1.0},
    )
    assert re.search(r"<text[^>]*>lasso</text>", charts(ensemble_weights(weights))[0])


def test_twenty_years_of_signal_are_drawn_by_year():
    months = [f"{year}-{month:02d}" for year in range(2007, 2027) for month in range(1, 13)]
    quality = rows(
        "signal_quality",
        *({"period": f"{month}-15", "kind": "session", "ic": 0.01} for month in months),
        *(
            {"period": month, "kind": "month", "ic": 0.01, "ic_lower": -0.1, "ic_upper": 0.1, "matured_rows": 10,
             "coverage_50": 0.3, "coverage_80": 0.8, "coverage_90": 0.9}
            for month in months
        ),
        {"period": "all", "kind": "all", "ic": 0.01, "coverage_50": 0.3, "coverage_80": 0.8, "coverage_90": 0.9},
    )  # fmt: skip
    (ic,) = [block for block in information_coefficient(quality, empty("model_scores")) if isinstance(block, Chart)]
    assert ic.shows == "IC of 240 sessions, mean of 252 sessions"
    assert "month, 95 % interval" not in ic.svg
    assert "mean of 252 sessions" in ic.svg
    (drawn,) = [
        block for block in calibration(quality, rows("reliability", {"period": "all"})) if isinstance(block, Chart)
    ]
    assert "coverage by year" in drawn.shows
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", drawn.svg)
    assert [text for text in shown if text.startswith("20") and "%" not in text] == [
        str(y) for y in range(2007, 2027, 4)
    ]
    assert "30 %" in shown


def test_coverage_of_a_year_weighs_its_months_by_their_rows():
    quality = rows(
        "signal_quality",
        *(
            {"period": f"{year}-01", "kind": "month", "matured_rows": 1, "coverage_80": 0.8}
            for year in range(2020, 2024)
        ),
        {"period": "2024-01", "kind": "month", "matured_rows": 300, "coverage_80": 0.7},
        {"period": "2024-02", "kind": "month", "matured_rows": 100, "coverage_80": 0.9},
    )
    unit, covered = coverage_by_period(quality)
    assert unit == "year"
    assert covered.filter(period="2024").get_column("coverage_80").to_list() == pytest.approx([0.75])
    unit, covered = coverage_by_period(quality.tail(2))
    assert (unit, covered.height) == ("month", 2)


def test_one_session_of_weights_is_a_band_and_one_of_drift_a_point():
    blocks = ensemble_weights(rows("ensemble_weights", {"session": day(0), "model": "ridge", "weight": 1.0}))
    assert f"{day(0):%d %b %y}" in charts(blocks)[0]
    assert facts(blocks)["evidence"][0] == "0 sessions"
    drawing = charts(drift(rows("drift", {"session": day(0), "kind": "feature", "subject": "a", "drifted": True})))[0]
    assert f"{day(0):%d %b %y}" in drawing
    assert "Jan" not in drawing


def test_states_say_why_and_what_waits_for_a_person():
    states = rows(
        "model_states",
        {"session": day(0), "model": "ridge", "state": "champion", "serves": True},
        {"session": day(1), "model": "ridge", "state": "retired", "reason": "IC below 0.02", "decided_by": "test"},
        {
            "session": day(1), "model": "xgboost~2024-12-16", "state": "shadow", "decided_by": "proposal",
            "reason": "promotion awaits approval", "gain_evidence": 4.0, "promotion_threshold": 3.9,
        },
    )  # fmt: skip
    scores = rows("model_scores", {"session": day(1), "model": "ridge", "fault": "constant scores"})
    blocks = model_states(states, scores)
    assert facts(blocks)["trading"][0] == "0"
    assert facts(blocks)["wait for approval"] == ("1", "`aurora models promote` or `retire`")
    by_model = {row["model"]: row for row in table(blocks, "why")}
    assert by_model["ridge"]["why"] == "IC below 0.02; newest session: constant scores"
    assert (by_model["ridge"]["state"], by_model["ridge"]["state"].tone) == ("retired", "bad")
    assert by_model["xgboost~2024-12-16"]["evidence of a gain"] == "4.00 of 3.90"


def test_every_change_of_state_is_listed_the_newest_first():
    states = rows(
        "model_states",
        {"session": day(0), "since": day(0), "model": "ridge", "state": "champion", "decided_by": "founding"},
        {"session": day(1), "since": day(0), "model": "ridge", "state": "champion", "decided_by": "founding"},
        {
            "session": day(2),
            "since": day(2),
            "model": "ridge",
            "state": "retired",
            "reason": "IC",
            "decided_by": "test",
        },
    )
    (changes,) = [block for block in model_states(states, rows("model_scores")) if getattr(block, "folded", False)]
    shown = [row[:4] for row in changes.rows]
    assert shown == [(str(day(2)), "ridge", "retired", "test"), (str(day(0)), "ridge", "champion", "founding")]


def test_a_state_is_drawn_from_its_first_session_to_the_first_of_the_next():
    days = [day(number) for number in range(4)]
    assert stretches(days, ["shadow", "shadow", "champion", None]) == [
        (day(0), day(2), "shadow"),
        (day(2), day(3), "champion"),
    ]
    assert stretches(days[:1], ["champion"]) == [(day(0), day(0), "champion")]


def test_drift_names_what_drifted_or_that_nothing_did():
    calm = rows("drift", {"kind": "feature", "subject": "a"}, {"kind": "regime", "subject": "volatility"})
    assert any(isinstance(block, Note) for block in drift(calm))
    found = rows(
        "drift",
        {"kind": "feature", "subject": "a", "psi": 0.3, "drifted": True, "z": None},
        {"kind": "residual", "subject": "ridge", "psi": None, "z": -5.0, "drifted": True},
        {"kind": "feature", "subject": "b", "psi": 0.9},
    )
    assert [row["subject"] for row in table(drift(found), "subject")] == ["ridge", "a"]
    assert absent(drift(empty("drift"))).command == "aurora run"


def test_the_share_that_drifted_is_drawn_of_each_kind_by_itself(monkeypatch):
    drifted = {"feature": 1, "prediction": 2, "residual": 3, "regime": 4}
    found = rows(
        "drift",
        *(
            {"session": day(number), "kind": kind, "subject": str(subject), "drifted": subject < count - number}
            for kind, count in drifted.items()
            for number in (1, 0)
            for subject in range(4)
        ),
    )
    saved = figures(monkeypatch)
    drift(found)
    shown = {line.get_label(): list(line.get_ydata()) for line in saved[0].axes[0].lines}
    assert shown == {kind: [count / 4, (count - 1) / 4] for kind, count in drifted.items()}
