"""A market without alpha must yield none, a market with planted alpha must yield it back."""

import json

import pytest

from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline_tests.end_to_end.conftest import aurora, settings

FEW = settings("threads=1", "models.families=[ridge, lightgbm, xgboost]")


@pytest.mark.slow
def test_two_markets_without_alpha_do_not_show_one(tmp_path):
    arguments = ("prove", "--alpha", "none", "--seeds", "1-2", "--home", tmp_path, "--root", tmp_path / "markets")
    done = aurora(*arguments, *FEW, check=False)
    content = json.loads((tmp_path / "reports" / "proof_pipeline.json").read_text())
    null = [verdict for verdict in content["verdicts"] if verdict["what"].startswith("no alpha")]
    assert [verdict["holds"] for verdict in null] == [True, True, True], done.stdout
    assert done.returncode == (0 if all(verdict["holds"] for verdict in content["verdicts"]) else 1)
    assert not list((tmp_path / "markets").iterdir())


@pytest.mark.slow
def test_planted_alpha_comes_back_through_the_whole_pipeline(tmp_path):
    market, home = tmp_path / "market", tmp_path / "home"
    simulate_market(market, preset="small", seed=1)
    aurora("run", "--market", market, "--home", home, *FEW)
    card = json.loads((home / "scorecard.json").read_text())
    assert card["signal"]["correlation_with_truth"] > 0.4
    assert card["signal"]["rank_ic"]["mean"] > 0.05
    assert card["book"]["gross_return"] > 0.0
