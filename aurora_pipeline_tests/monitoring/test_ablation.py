import json
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.models.configuration import configuration
from aurora_pipeline.models.model_factory import FAMILIES
from aurora_pipeline.monitoring.ablation import PHASES, TABLE, Phase, PhaseResult, phase_settings, progression
from aurora_pipeline.settings import Settings, known_keys, load_settings, value_of

DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(60)]
IN_FORCE = {key: value_of(Settings(), key) for key in known_keys()}


def result(name, net, ic, held=True):
    nav = 1e7 * np.cumprod(1.0 + net)
    before = np.concatenate([[1e7], nav[:-1]])
    portfolio = pl.DataFrame(
        {
            "session": DAYS,
            "decision_time": [datetime(day.year, day.month, day.day, 21) for day in DAYS],
            "nav": nav,
            "gross": 0.2 if held else 0.0,
            "turnover": 0.02,
            "gross_pnl": nav - before + 100.0,
            "cost": 100.0,
            **dict.fromkeys(("spread_cost", "impact_cost", "fee_cost", "borrow_cost"), 25.0),
        }
    )
    return PhaseResult(Phase(name, "", {}), portfolio, pl.DataFrame({"session": DAYS, "ic": ic}))


def test_a_phase_takes_over_those_before_and_the_last_one_is_what_is_in_force():
    found = phase_settings(IN_FORCE)
    assert len(found) == len(PHASES) == 10
    assert found[0]["models.views"] == ["price"]
    assert found[4]["models.views"] == ["price", "sector", "fundamental"]
    assert found[4]["book.sizing"] == "cost_aware"
    assert found[4]["book.turnover_day"] == 1.0
    assert all(set(keys) == set(found[0]) for keys in found)  # so that no phase inherits from a run before it
    assert found[-1] == {key: IN_FORCE[key] for key in found[-1]}
    assert all(key in IN_FORCE for phase in PHASES for key in phase.settings)


def test_gains_are_paired_with_the_phase_before():
    random = np.random.default_rng(3)
    common = random.normal(0.0, 0.002, 60)
    ic = random.normal(0.02, 0.05, 60)
    table = progression(
        [result("one", common, ic), result("two", common + 2e-4 + random.normal(0, 1e-5, 60), ic + 0.01)], seed=1
    )
    assert table.columns == list(TABLE)
    first, second = table.iter_rows(named=True)
    assert first["net_gain_bps"] is None
    # The market both share moves 20 bps a session and cancels: a gain of 2 bps is seen to within a tenth of a bp.
    assert second["net_gain_bps"] == pytest.approx(2.0, abs=0.1)
    assert 1.8 < second["net_gain_lower"] < second["net_gain_bps"] < second["net_gain_upper"] < 2.2
    assert second["ic_gain"] == pytest.approx(0.01)
    assert second["rank_ic"] == pytest.approx(first["rank_ic"] + 0.01)
    assert first["cost_bps"] == pytest.approx(0.1, rel=0.05)


def test_a_book_that_never_held_anything_counts_as_zero():
    nothing, random_net = np.zeros(60), np.random.default_rng(2).normal(1e-4, 1e-3, 60)
    table = progression([result("flat", nothing, nothing, held=False), result("one", random_net, nothing)], seed=1)
    assert table.get_column("net_bps").to_list() == [0.0, pytest.approx(1e4 * random_net.mean())]
    assert table.get_column("net_gain_bps").to_list() == [None, pytest.approx(1e4 * random_net.mean())]
    assert table.get_column("sharpe").to_list()[0] is None


def test_a_family_is_trained_once_for_each_set_of_features():
    """Ten phases ask for four trainings of xgboost and three of any other: what does not change a fit trains nothing."""
    trained = {family: set() for family in FAMILIES}
    for keys in phase_settings(IN_FORCE):
        settings = load_settings(None, [f"{key}={json.dumps(value)}" for key, value in keys.items()], {})
        for family in settings.models.families:
            trained[family].add(json.dumps(configuration(family, settings.models)))
    assert {family: len(found) for family, found in trained.items()} == dict.fromkeys(FAMILIES, 3) | {"xgboost": 4}
