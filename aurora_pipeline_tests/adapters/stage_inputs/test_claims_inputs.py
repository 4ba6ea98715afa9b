"""What the claim ledger reads is of one book."""

import json
from types import SimpleNamespace

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.stage_inputs.claims import read_claims_inputs
from aurora_pipeline.monitoring.claims import claim_ledger
from aurora_pipeline.stages import book_name
from aurora_pipeline_tests.reports.dashboard.conftest import store_session


def test_a_scorecard_of_another_book_says_nothing_of_the_book_in_force(tmp_path, monkeypatch):
    home = Home(tmp_path)
    settings = home.settings()
    monkeypatch.setattr(
        Home, "folder", lambda home: SimpleNamespace(manifest=SimpleNamespace(name="hand"), synthetic=True)
    )
    other = {"sessions": 300, "sharpe": 9.0, "sharpe_lower": 8.0, "sharpe_upper": 10.0, "max_drawdown": 0.001}
    home.scorecard_file.write_text(json.dumps({"signal": {"correlation_with_truth": 0.8}, "book": other}))
    for number in (0, 1):
        store_session(home, "backtest-other", number)

    inputs = read_claims_inputs(home, settings, book_name(settings))
    claims = {row["claim_id"]: row for row in claim_ledger(inputs).iter_rows(named=True)}
    assert claims["sharpe"]["verdict"] == "not testable"
    assert claims["drawdown"]["verdict"] == "not testable"
    assert claims["correlation_with_truth"]["value"] == 0.8

    inputs = read_claims_inputs(home, settings, "backtest-other")
    assert (inputs.portfolio.height, inputs.card["book"]["sessions"]) == (2, 2)
