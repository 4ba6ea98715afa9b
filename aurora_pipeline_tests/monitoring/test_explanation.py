"""A decision on three names, written down by hand."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.explained_decision import ExplainedDecision
from aurora_pipeline.monitoring.explanation import REASONS, explain
from aurora_pipeline.monitoring.linear_contributions import linear_contributions
from aurora_pipeline.policy.trade_reasons import BLOCKERS
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import day, moment, rows

AT = moment(0, 3)
NAMES = ("A", "B", "C")
VALUES = {"momentum": [1.0, 0.0, -1.0], "value": [0.5, None, -0.5]}
COEFFICIENTS = {"ridge": {"momentum": 2.0, "value": 1.0}}


def features() -> pl.DataFrame:
    base = rows("features", *({"symbol": name, "decision_time": AT} for name in NAMES))
    return base.with_columns(pl.Series(name, values, dtype=pl.Float32) for name, values in VALUES.items())


def decision(**changes) -> ExplainedDecision:
    scores = {"ridge": [2.5, 0.0, -2.5], "xgboost": [3.0, 1.0, 2.0]}
    predictions = rows(
        "predictions",
        *(
            {"symbol": name, "decision_time": AT, "model": model, "model_version": f"{model}-1", "score": score}
            for model, values in scores.items()
            for name, score in zip(NAMES, values, strict=True)
        ),
    ).with_columns(pl.lit(True).alias("trades"))
    z = {model: (np.array(values) - np.mean(values)) / np.std(values) for model, values in scores.items()}
    combined = 0.75 * z["ridge"] + 0.25 * z["xgboost"]
    made = ExplainedDecision(
        symbol="A",
        book="live",
        at=AT,
        bars=rows("bars", {"symbol": "A", "bar_end": AT, "known_at": AT, "quarantined_at": None}),
        quarantine=empty("quarantine"),
        universe=rows("universe", {"symbol": "A", "eligible": True, "reason": None}),
        residual_returns=empty("residual_returns"),
        raw=pl.DataFrame({"feature": ["momentum", "value"], "view": ["price", "fundamental"], "raw": [0.03, 12.0]}),
        features=features(),
        predictions=predictions,
        ensemble=rows(
            "ensemble",
            *({"symbol": name, "score": score} for name, score in zip(NAMES, combined / combined.std(), strict=True)),
        ),
        weights=rows(
            "ensemble_weights",
            {"model": "ridge", "weight": 0.75, "information_coefficient": 0.1},
            {"model": "xgboost", "weight": 0.25},
        ),
        states=rows(
            "model_states", {"model": "ridge", "state": "champion"}, {"model": "xgboost", "state": "probation"}
        ),
        signal=rows("signals", {"symbol": "A", "expected_return": 0.001, "calibrated": True, "calibrator": "grinold"}),
        target=rows("targets", {"symbol": "A", "target_weight": 0.01, "reason": "name_cap"}),
        orders=rows("orders", {"order_id": "1", "symbol": "A", "shares": 10.0, "status": "filled"}),
        fills=rows(
            "fills",
            {"order_id": "1", "shares": 10.0, "price": 50.0, "spread_cost": 0.04, "impact_cost": 0.01, "fee_cost": 0.0},
        ),
        positions=rows("positions", {"symbol": "A", "decision_time": AT, "shares": 10.0}),
        account=rows("portfolio", {"nav": 1e6, "gross": 0.2}),
        events=empty("events"),
        coefficients=COEFFICIENTS,
    )
    return replace(made, **changes)


def sections(made, **options):
    return {
        section.title.partition(",")[0]: section for section in explain(made, every_feature=options.get("all", False))
    }


def test_contributions_by_hand():
    found = dict(linear_contributions(features(), "A", COEFFICIENTS, {"ridge": 0.5}).iter_rows())
    deviation = np.std([2.5, 0.0, -2.5])
    assert found["momentum"] == pytest.approx(0.5 * 2.0 / deviation)
    assert found["value"] == pytest.approx(0.5 * 0.5 / deviation)


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6), st.floats(0.0, 1.0))
def test_contributions_sum_to_the_weighted_z_score(values, weight):
    frame = features().with_columns(
        pl.Series("momentum", values[:3], dtype=pl.Float32), pl.Series("value", values[3:], dtype=pl.Float32)
    )
    seen = frame.select("momentum", "value").to_numpy().astype(float)
    scores = seen @ np.array([2.0, 1.0])
    found = linear_contributions(frame, "B", COEFFICIENTS, {"ridge": weight}).get_column("contribution").sum()
    constant = scores.std() <= 1e-12 * np.abs(scores).max()
    wanted = 0.0 if constant else weight * (scores[1] - scores.mean()) / scores.std()
    assert found == pytest.approx(wanted, abs=1e-6)


def test_shares_of_the_features_and_the_other_families_make_the_ensembles_score():
    made = sections(decision())
    scored = made["scores and weights by model"].table
    through_linear = made["features"].table.get_column("contribution").sum()
    scale = made["ensemble"].table["score"][0] / scored["weight_times_z"].sum()
    other = scored.filter(pl.col("model") == "xgboost")["weight_times_z"][0]
    assert through_linear + scale * other == pytest.approx(made["ensemble"].table["score"][0])
    assert made["features"].table["raw"].to_list() == [0.03, 12.0]
    assert "ridge (75 % of the weight)" in made["features"].remark


def test_every_step_is_there_in_the_order_it_came_about():
    made = sections(decision())
    assert list(made) == [
        "bar", "quarantine verdicts of the session", "universe", "features", "scores and weights by model", "ensemble",
        "calibration", "limits and target of book live", "order", "position at the decision and after the next bar",
    ]  # fmt: skip
    scored = made["scores and weights by model"].table
    assert scored.filter(pl.col("model") == "ridge").select("state", "place", "matured_ic").row(0) == (
        "champion",
        "1 of 3",
        0.1,
    )
    assert made["limits and target of book live"].remark.startswith(
        "name_cap: the name is at its cap; the book then: NAV 1,000,000"
    )
    assert made["order"].remark == "costs 0.05 USD, 1.00 bps of 500 USD"
    assert made["ensemble"].remark == "place 1 of 3 symbols, 1 is best"


def test_a_model_in_shadow_has_a_score_and_no_weight():
    shadow = decision().predictions.with_columns((pl.col("model") != "xgboost").alias("trades"))
    scored = sections(decision(predictions=shadow))["scores and weights by model"].table
    assert scored.filter(pl.col("model") == "xgboost")["weight"].to_list() == [None]


def test_what_came_too_late_is_shown_and_said_not_to_count():
    late = rows(
        "bars",
        {"symbol": "A", "bar_end": AT, "known_at": AT},
        {"symbol": "A", "bar_end": AT, "known_at": moment(0, 5)},
    )
    assert "1 version(s) became known after the decision" in sections(decision(bars=late))["bar"].remark


def test_steps_that_did_not_happen_say_so():
    nothing = decision(
        bars=empty("bars"),
        features=features().filter(pl.col("symbol") != "A"),
        predictions=decision().predictions.filter(pl.col("symbol") != "A"),
        ensemble=decision().ensemble.filter(pl.col("symbol") != "A"),
        signal=empty("signals"),
        target=empty("targets"),
        orders=empty("orders"),
        fills=empty("fills"),
        positions=empty("positions"),
    )
    made = sections(nothing)
    assert made["bar"].remark == "no bar of the symbol that ends then was known by then"
    for title in ("features", "scores and weights by model", "ensemble", "calibration", "limits and target", "order"):
        assert made[title].table.is_empty()
        assert made[title].remark
    uncalibrated = rows("signals", {"symbol": "A", "calibrated": False})
    assert "too little had matured" in sections(decision(signal=uncalibrated))["calibration"].remark


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"universe": {"kind": "etf", "eligible": False}}, "A is listed as etf, and only stocks are traded"),
        (
            {"universe": {"kind": "stock", "eligible": False, "reason": "price"}},
            "was not eligible in this session (price)",
        ),
        ({"predictions": None}, "no model scored at that time"),
        ({"signal": None}, "the symbol had no signal"),
        ({}, "the book did not trade it"),
    ],
)
def test_without_a_decision_there_is_no_order_and_the_reason_is_given(changes, why):
    own = {"symbol": "A", "kind": "stock", "eligible": True, "reason": None}
    made = decision(
        universe=rows("universe", {**own, **changes.get("universe", {})}),
        target=empty("targets"),
        orders=empty("orders"),
        **({"predictions": decision().predictions.clear()} if "predictions" in changes else {}),
        **({"signal": empty("signals")} if "signal" in changes else {}),
    )
    for title in ("order", "limits and target"):
        assert why in sections(made)[title].remark
        assert "what was wanted was what was held" not in sections(made)[title].remark


def test_what_has_no_direction_has_no_sign():
    signal = rows("signals", {"symbol": "A", "calibrated": True, "residual_volatility": 0.02, "expected_return": 0.001})
    texts = dict(
        sections(decision(signal=signal))["calibration"].table.select("over_the_horizon", "value_or_from").rows()
    )
    assert (texts["residual volatility"], texts["expected return"]) == ("200.00 bps", "+10.00 bps")


def test_an_order_that_was_not_filled_has_no_cost():
    expired = decision(fills=empty("fills"), orders=rows("orders", {"order_id": "1", "status": "expired"}))
    assert sections(expired)["order"].remark == "nothing was filled"


def test_an_order_filled_in_part_has_the_price_of_what_was_filled():
    fills = rows(
        "fills", {"order_id": "1", "shares": 3.0, "price": 50.0}, {"order_id": "1", "shares": 1.0, "price": 54.0}
    )
    (order,) = sections(decision(fills=fills))["order"].table.iter_rows(named=True)
    assert (order["shares"], order["filled"], order["price"]) == (10.0, 4.0, 51.0)


def test_all_features_are_shown_when_asked():
    many = features().with_columns(pl.lit(0.1, pl.Float32).alias(f"extra_{number}") for number in range(20))
    assert sections(decision(features=many))["features"].table.height == 12
    assert sections(decision(features=many), all=True)["features"].table.height == 22


def test_events_of_the_name_are_told_with_their_action():
    made = decision(events=rows("events", {"session": day(0), "event": "no_price", "name": "A", "action": "it stays"}))
    assert "no_price (x): it stays" in sections(made)["limits and target of book live"].remark


def test_every_limit_that_can_stand_in_the_way_of_a_trade_is_explained():
    assert {name for name in BLOCKERS if name != "gross"} <= set(REASONS)
