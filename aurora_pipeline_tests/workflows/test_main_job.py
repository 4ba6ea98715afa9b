"""The main job where somebody else works on the same home."""

import pytest

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs import up_to_date
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.workflows.main_job import prepare_home, run_main_job


def test_settings_another_command_changes_meanwhile_are_not_reported_as_those_of_this_one(tmp_path, monkeypatch):
    market = tmp_path / "market"
    simulate_market(market, preset="small", seed=3, sessions=5, symbols=8)
    home = Home(tmp_path / "home")

    def meanwhile(*_, **__):
        prepare_home(Home(home.path), None, ["book.name_cap=0.008"])

    monkeypatch.setattr(up_to_date, "bring_up_to_date", meanwhile)
    with pytest.raises(SettingsError, match="another command changed the settings"):
        run_main_job(home, market, ["book.name_cap=0.007"])
    assert not list(home.runs.glob("*.json")), "no manifest names settings that were not those of the run"
