"""Betas are lagged by a session, shrunk, and blind to a stock's own part of its peers."""

from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from aurora_pipeline.features.betas import estimate_betas, leave_one_out_mean
from aurora_pipeline.features.session_panel import SessionPanel
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.features.tiny_market import BENCHMARK, CALENDAR, SECTORS, manifest, random_inputs

NAMES = sorted([*SECTORS, "XLK", "XLE", BENCHMARK])


def panel_of(returns, sectors=SECTORS):
    newest = date(2025, 3, 20)
    days = CALENDAR.sessions(CALENDAR.shift(newest, 1 - len(returns)), newest)
    blank = np.full_like(returns, np.nan)
    fields = ("open", "high", "low", "close", "volume", "bar_dollar_volume", "overnight_return")
    return SessionPanel(days, NAMES, total_return=returns, sectors=dict(sectors), **dict.fromkeys(fields, blank))


@pytest.fixture(scope="module")
def inputs():
    return random_inputs(history=10, sessions=1)


def planted(seed=0, rows=400):
    random = np.random.default_rng(seed)
    returns = np.zeros((rows, len(NAMES)))
    market = 0.01 * random.standard_normal(rows)
    sector = {name: 0.008 * random.standard_normal(rows) for name in ("XLK", "XLE")}
    returns[:, NAMES.index(BENCHMARK)] = market
    for fund, own_part in sector.items():
        returns[:, NAMES.index(fund)] = 1.2 * market + own_part
    for name, group in SECTORS.items():
        own = {"Tech": "XLK", "Energy": "XLE"}[group]
        returns[:, NAMES.index(name)] = 1.5 * market + 0.6 * sector[own] + 0.0005 * random.standard_normal(rows)
    return returns, market, sector


def test_betas_come_back_shrunk_towards_one(inputs):
    returns, _, _ = planted()
    betas = estimate_betas(panel_of(returns), inputs)
    column = NAMES.index("AAA")
    assert betas.market[-1, column] == pytest.approx(0.7 * 1.5 + 0.3, abs=0.1)
    # the sector slope is taken on what the shrunk market betas leave, so it keeps a little of the market
    assert betas.sector[-1, column] == pytest.approx(0.7 * 0.6 + 0.3, abs=0.15)


def test_residual_is_what_the_lagged_betas_leave(inputs):
    returns, market, _ = planted()
    betas = estimate_betas(panel_of(returns), inputs)
    row, column, fund = 300, NAMES.index("EEE"), NAMES.index("XLE")
    orthogonal = returns[row, fund] - betas.sector_to_market[row, column] * market[row]
    expected = returns[row, column] - betas.market[row, column] * market[row] - betas.sector[row, column] * orthogonal
    assert betas.residual[row, column] == pytest.approx(expected, abs=1e-15)


def test_the_newest_return_moves_no_beta_that_is_applied_to_it(inputs):
    returns, _, _ = planted()
    shocked = returns.copy()
    shocked[300] *= 30.0
    before, after = (estimate_betas(panel_of(values), inputs) for values in (returns, shocked))
    for name in ("market", "sector", "sector_to_market"):
        assert_array_equal(getattr(before, name)[:301], getattr(after, name)[:301])
        assert not np.array_equal(getattr(before, name)[301], getattr(after, name)[301])


def test_few_pairs_leave_the_prior(inputs):
    returns, _, _ = planted(rows=39)
    assert_array_equal(estimate_betas(panel_of(returns), inputs).market, np.ones((40, len(NAMES))))


def test_instrument_without_a_sector_has_no_residual(inputs):
    returns, _, _ = planted()
    betas = estimate_betas(panel_of(returns, {name: group for name, group in SECTORS.items() if name != "AAA"}), inputs)
    assert np.isnan(betas.residual[:, NAMES.index("AAA")]).all()


def test_own_return_moves_no_peer_mean(inputs):
    returns, _, _ = planted()
    shocked = returns.copy()
    column = NAMES.index("BBB")
    shocked[350, column] = 0.5
    no_funds = inputs.with_frames(manifest=manifest(sector_etfs={}))
    before, after = (estimate_betas(panel_of(values), no_funds) for values in (returns, shocked))
    assert_array_equal(before.sector_to_market[:, column], after.sector_to_market[:, column])


def test_too_few_peers_take_out_the_market_only(inputs):
    returns, market, _ = planted()
    no_funds = inputs.with_frames(manifest=manifest(sector_etfs={}))
    betas = estimate_betas(panel_of(returns), no_funds)
    column = NAMES.index("EEE")  # two peers
    assert betas.market_only[1:, column].all()
    assert betas.residual[300, column] == pytest.approx(returns[300, column] - betas.market[300, column] * market[300])
    assert Settings().features.minimum_peers == 3


def test_leave_one_out_mean():
    values = np.array([[1.0, 2.0, np.nan, 6.0]])
    found = leave_one_out_mean(values, np.array([0, 1, 2, 3]), np.array([0, 2]))
    assert_allclose(found, [[4.0, 3.0]])
