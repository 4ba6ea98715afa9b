"""A market without alpha must yield none, a market with planted alpha must yield it back."""

import json

import pytest

from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline_tests.end_to_end.conftest import aurora, settings


def _card(tmp_path, seed, alpha):
    market, home = tmp_path / f"market-{seed}-{alpha}", tmp_path / f"home-{seed}-{alpha}"
    simulate_market(market, preset="small", seed=seed, alpha=alpha)
    aurora("run", "--market", market, "--home", home, *settings("threads=1"))
    return json.loads((home / "scorecard.json").read_text())


@pytest.mark.slow
def test_two_markets_without_alpha_do_not_both_show_one(tmp_path):
    estimates = [_card(tmp_path, seed, 0.0)["signal"]["rank_ic"] for seed in (1, 2)]
    assert all(estimate["sessions"] >= 30 for estimate in estimates)
    assert sum(abs(estimate["t"]) > estimate["critical"] for estimate in estimates) < 2


@pytest.mark.slow
def test_planted_alpha_comes_back_through_the_whole_pipeline(tmp_path):
    card = _card(tmp_path, 1, 1.0)
    assert card["signal"]["correlation_with_truth"] > 0.4
    assert card["signal"]["rank_ic"]["mean"] > 0.05
    assert card["book"]["gross_return"] > 0.0
