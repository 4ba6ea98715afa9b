"""A whole cycle without a person, at the rates that ship, and one command that takes it back."""

from datetime import date

import dagster as dg
import polars as pl
import pytest

from aurora_pipeline import open_home
from aurora_pipeline.adapters.models.champion_set import read_champion_set
from aurora_pipeline.adapters.models.model_lifecycle import HISTORY
from aurora_pipeline.adapters.models.model_registry import ModelRegistry
from aurora_pipeline.adapters.models.zoo import champion_sets, read_served
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline_tests.end_to_end.conftest import aurora, aurora_here, settings

BREAK = date(2024, 2, 5)
CYCLE = ("models.families=[ridge]", "warm_up_sessions=564", "drift.residual_sessions=20")
"""Everything of `lifecycle` as it ships; frequency `session`, because a session costs little there.

Drift looks at twenty newest ICs instead of ten: those of five-session labels overlap, and ten of them notice only a fall deeper
than the one here. It decides who is trained, not who trades. Nothing is planted in the first 504 sessions: the first fold begins
60 sessions after them.
"""


@pytest.mark.slow
def test_drift_is_seen_a_challenger_promoted_by_test_and_one_command_brings_the_old_champion_back(tmp_path):
    market, home_path = tmp_path / "market", tmp_path / "home"
    simulate_market(market, preset="reference-long", seed=5, alpha=2.0, sessions=350, symbols=240, break_session=BREAK)
    folder = MarketFolder.open(market)
    days = folder.calendar.sessions(*folder.span)
    aurora("run", "--market", market, "--home", home_path, "--end", days[-2], *settings(*CYCLE))
    home = open_home(home_path)

    fell = home.read("drift").filter("drifted", pl.col("kind") == "residual", pl.col("session") >= BREAK)
    assert fell.height
    states = home.read("model_states").sort("session")
    promoted = states.filter(
        pl.col("state") == "champion", pl.col("decided_by") == "test", pl.col("since") == pl.col("session")
    ).row(-1, named=True)
    name = promoted["model"]
    asked = home.read("challengers").filter(pl.col("model") == name).sort("session").row(0, named=True)
    assert BREAK <= asked["session"] < promoted["session"]
    own = states.filter(pl.col("model") == name).get_column("state").unique(maintain_order=True).to_list()
    assert own == ["candidate", "shadow", "champion"]
    assert promoted["gain_evidence"] >= promoted["promotion_threshold"]
    old = states.filter(pl.col("model") == "ridge", pl.col("session") == promoted["session"]).row(0, named=True)
    assert (old["state"], old["decided_by"]) == ("retired", "test")
    assert not (home_path / "model_decisions.jsonl").exists()

    client = ModelRegistry(home_path / "mlflow").client
    version = client.get_model_version_by_alias("aurora-ridge", "champion")
    assert version.tags["model"] == name
    assert promoted["reason"] in version.tags[HISTORY]
    with instance_of(home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("model_states"))
        assert promoted["reason"] in event.asset_materialization.metadata["changes"].value
    claims = home.read("claims")
    assert claims.filter(pl.col("claim_id") == "automated_promotion").get_column("verdict").item() == "met"

    aurora_here("models", "rollback", "ridge", "--reason", "worse since the new feed", "--home", home_path)
    aurora("run", "--home", home_path, "--end", days[-1])
    home = open_home(home_path)
    states = home.read("model_states")
    ((_, before), (_, after)) = champion_sets(states, days[-2:])
    assert (before, after) == ({"ridge": name}, {"ridge": "ridge"})
    assert [champion.model for champion in read_champion_set(home)[0]] == ["ridge"]
    traded = home.read("ensemble", start=days[-1]).select("symbol", "decision_time", "score")
    scored = read_served(home, after, days[-1], days[-1])
    assert traded.height == scored.height > 0
    told = aurora_here("models", "history", "--home", home_path).stdout
    assert "rollback: worse since the new feed" in " ".join(told.split())
    moment = scored.get_column("decision_time").max()
    served = aurora_here("models", "history", "--home", home_path, "--at", f"{moment:%Y-%m-%d %H:%M:%S}").stdout
    assert name not in served
    assert home.read("model_states", start=days[-1]).filter(model=name).get_column("state").item() == "retired"
