"""Models are measured, challenged, promoted, rolled back and retired, through the command line."""

import json
import shutil
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aurora_pipeline import open_home
from aurora_pipeline.adapters.home import HOME_VARIABLE, Home
from aurora_pipeline.adapters.models import champion_set
from aurora_pipeline.adapters.models.champion_set import read_champion_set
from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog
from aurora_pipeline.contracts import validated
from aurora_pipeline.defs.up_to_date import bring_up_to_date
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision
from aurora_pipeline_tests.end_to_end.conftest import SHORT, aurora, aurora_here, settings

BREAK = date(2024, 11, 20)
CYCLE = (
    *SHORT,
    "models.families=[ridge]",
    "drift.z=1.2",
    "drift.residual_sessions=4",
    "drift.wait_sessions=10",
    "drift.psi=9",
    "drift.feature_share=1",
    "drift.challenger_half_life_sessions=4",
    "lifecycle.minimum_sessions=4",
    "lifecycle.promotion_rate=0.9",
    "lifecycle.least_gain=0.05",
)
"""Everything shortened, error rates included, so that a cycle fits into weeks: what is shown is that it happens."""


def test_every_scored_session_has_states_scores_and_drift(tiny_home):
    home = open_home(tiny_home)
    scored = home.sessions(home.settings())[14:]
    families = sorted(home.settings().models.families)
    for name in ("model_states", "model_scores"):
        frame = home.read(name)
        assert frame.get_column("session").unique().sort().to_list() == scored
        assert sorted(frame.filter(pl.col("session") == scored[-1]).get_column("model")) == families
        validated(name, frame)
    assert home.read("drift").get_column("session").unique().sort().to_list() == scored
    states = home.read("model_states")
    assert (states.get_column("trial") == 0).all()
    assert {champion.family for champion in read_champion_set(home)[0]} == set(
        states.filter(pl.col("session") == scored[-1], pl.col("serves")).get_column("family")
    )


def test_what_every_model_contributed_and_cost_is_kept(tiny_home):
    home = open_home(tiny_home)
    families = sorted(home.settings().models.families)
    table = home.read("model_contributions")
    validated("model_contributions", table)
    assert table.get_column("model").unique().sort().to_list() == families
    assert table.get_column("session").n_unique() == home.read("ensemble_weights").get_column("session").n_unique()
    assert table.get_column("ensemble_gain").is_not_null().any()
    kept = json.loads((home.reports / "model_contributions.json").read_text())["models"]
    assert [row["model"] for row in kept] == families
    assert all(row["fit_seconds"] > 0.0 for row in kept)


def test_the_list_and_the_history_say_who_serves(tiny_home):
    home = open_home(tiny_home)
    shown = aurora_here("models", "list", "--home", tiny_home).stdout
    assert "champion" in shown
    assert "ridge" in shown
    moment = home.read("predictions").get_column("decision_time").max()
    served = aurora_here("models", "history", "--home", tiny_home, "--at", f"{moment:%Y-%m-%d %H:%M:%S}").stdout
    versions = home.read("predictions").filter(pl.col("decision_time") == moment).get_column("model_version").unique()
    assert all(version in served for version in versions)
    refused = aurora_here("models", "history", "--home", tiny_home, "--at", "2031-01-02 15:00:00", check=False)
    assert refused.returncode == 2


def test_a_wrong_decision_is_one_line_and_changes_nothing(tiny_home):
    for arguments, message in (
        (("promote", "svm", "--reason", "x"), "no model 'svm'"),
        (("rollback", "ridge", "--reason", "x"), "nothing to roll back to"),
        (("retire", "ridge", "--reason", "x", "--from", "2024-12-25"), "not a session"),
    ):
        done = aurora_here("models", *arguments, "--home", tiny_home, check=False)
        assert done.returncode == 2
        assert message in done.stderr
    assert not (tiny_home / "model_decisions.jsonl").exists()


def test_states_that_were_cut_off_before_the_champion_set_was_written_are_made_again(tiny_home, tmp_path, monkeypatch):
    home = Home(tmp_path / "home")
    shutil.copytree(tiny_home, home.path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv(HOME_VARIABLE, str(home.path))
    last = home.sessions(home.settings())[-1]
    LifecycleLog(home).append(LifecycleDecision(last, "retire", "ridge", "kim", "test"))

    def killed(*_):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(champion_set, "write_champion_set", killed)
        with pytest.raises(OSError, match="killed"):
            bring_up_to_date(home, home.settings(), trade=False)
    bring_up_to_date(home, home.settings(), trade=False)
    assert home.read("model_states").filter(pl.col("session") == last, model="ridge")["state"].item() == "retired"
    families = [champion.family for champion in read_champion_set(home)[0]]
    assert families == sorted(set(home.settings().models.families) - {"ridge"})


@pytest.mark.slow
def test_a_retired_model_leaves_the_ensemble_and_without_any_model_the_book_is_flat(tiny_home, tmp_path):
    home_path = tmp_path / "home"
    shutil.copytree(tiny_home, home_path)
    home = open_home(home_path)
    days = home.sessions(home.settings())
    families = home.settings().models.families
    aurora_here("models", "retire", families[0], "--reason", "test", "--from", days[-5], "--home", home_path)
    for family in families[1:]:
        aurora_here("models", "retire", family, "--reason", "test", "--from", days[-3], "--home", home_path)
    aurora("run", "--home", home_path)
    weights = home.read("ensemble_weights")
    of = {day: set(weights.filter(pl.col("session") == day).get_column("model")) for day in days[-6:]}
    assert families[0] in of[days[-6]]
    assert of[days[-5]] == of[days[-4]] == set(families[1:])
    assert of[days[-3]] == of[days[-1]] == set()
    assert home.read("signals", start=days[-3]).is_empty()
    gross = home.read("portfolio").sort("decision_time").get_column("gross")
    assert gross[-1] == 0.0
    assert read_champion_set(home) == ([], [])


@pytest.mark.slow
def test_drift_brings_a_challenger_into_shadow_and_a_person_promotes_it_and_rolls_back(tmp_path):
    """The whole cycle on a market that breaks; it is too short for a test to promote anybody, so a person does."""
    from aurora_pipeline.adapters.models.model_registry import ModelRegistry

    market, home_path = tmp_path / "market", tmp_path / "home"
    simulate_market(market, preset="small", seed=5, sessions=52, symbols=24, break_session=BREAK)
    aurora("run", "--market", market, "--home", home_path, *settings(*CYCLE))
    home = open_home(home_path)
    days = home.sessions(home.settings())

    fell = home.read("drift").filter("drifted", pl.col("kind") == "residual", pl.col("session") >= BREAK)
    assert fell.get_column("z").min() < -home.settings().drift.z
    asked = home.read("challengers").filter(pl.col("reason").str.starts_with("residual drift of ridge"))
    first = asked.filter(pl.col("session") >= BREAK).sort("session").row(0, named=True)
    name = first["model"]
    assert first["serves_from"] == home.calendar.shift(first["session"], 1)
    shadow = home.read("shadow_predictions").filter(pl.col("model") == name)
    assert shadow.get_column("session").min() == first["serves_from"]
    states = home.read("model_states").filter(pl.col("model") == name).sort("session")
    assert states.get_column("state").unique(maintain_order=True).to_list() == ["candidate", "shadow"]
    newest = states.row(-1, named=True)
    assert newest["gain_evidence"] < newest["promotion_threshold"]

    aurora_here("models", "promote", name, "--reason", "seen enough", "--from", days[-4], "--home", home_path)
    aurora_here("models", "rollback", "ridge", "--reason", "try it", "--from", days[-1], "--home", home_path)
    aurora("run", "--home", home_path)
    serving = home.read("model_states").filter("serves").sort("session")
    tail = serving.filter(pl.col("session") >= days[-5]).select("session", "model").rows()
    assert tail == [(days[-5], "ridge"), *((day, name) for day in days[-4:-1]), (days[-1], "ridge")]
    old = home.read("model_states").filter(pl.col("model") == "ridge", pl.col("session") == days[-4])
    assert old.get_column("state").item() == "retired"
    assert f"replaced by {name}" in old.get_column("reason").item()
    told = aurora_here("models", "history", "--home", home_path).stdout
    assert "rollback: try it" in told
    moment = shadow.filter(pl.col("session") == days[-2]).get_column("decision_time").max()
    served = aurora_here("models", "history", "--home", home_path, "--at", f"{moment:%Y-%m-%d %H:%M:%S}").stdout
    assert name in served
    moment = home.read("ensemble", start=days[-1]).get_column("decision_time").max()
    served = aurora_here("models", "history", "--home", home_path, "--at", f"{moment:%Y-%m-%d %H:%M:%S}").stdout
    assert name not in served, "the session after the rollback trades the old champion"
    assert [champion.model for champion in read_champion_set(home)[0]] == ["ridge"]

    client = ModelRegistry(home_path / "mlflow").client
    version = client.get_model_version_by_alias("aurora-ridge", "champion")
    assert version.tags["state"] == "champion"
    assert "model" not in version.tags
    tried = [found for found in client.search_model_versions("name='aurora-ridge'") if found.tags.get("model") == name]
    assert tried[-1].tags["state"] == "retired"
    assert float(tried[-1].tags["promotion_threshold"]) > 0


@pytest.mark.slow
def test_changed_settings_send_a_challenger_and_the_old_model_goes_on(tiny_market, tmp_path):
    from aurora_pipeline.adapters.models.model_registry import ModelRegistry

    home_path = tmp_path / "home"
    folder = MarketFolder.open(tiny_market)
    days = folder.calendar.sessions(*folder.span)
    last, following = days[-6], days[-5]
    options = settings(*SHORT, "models.families=[ridge]", "drift.most_challengers=0")
    aurora("run", "--market", tiny_market, "--home", home_path, "--end", last, *options)
    home = open_home(home_path)
    before = home.read("predictions", end=last), home.read("ensemble", end=last), home.champions()

    done = aurora("run", "--home", home_path, "--end", days[-1], "--set", "models.ridge_penalties=[3.0]")
    assert f"ridge: its settings changed; the new configuration is a challenger from {following} on" in done.stderr
    home = open_home(home_path)
    assert_frame_equal(home.read("predictions", end=last), before[0])
    assert_frame_equal(home.read("ensemble", end=last), before[1])
    (asked,) = home.read("challengers").filter(pl.col("session") == last).iter_rows(named=True)
    name = f"ridge~{following}"
    assert (asked["model"], asked["reason"]) == (name, "settings of `models` changed")
    assert json.loads(asked["configuration"])["ridge_penalties"] == [3.0]
    shadow = home.read("shadow_predictions")
    assert shadow.get_column("session").min() == following
    own = home.read("predictions", start=following)
    assert (
        own.get_column("model_version").unique().to_list() == before[0].get_column("model_version").unique().to_list()
    )
    beside = own.join(shadow, on=["symbol", "decision_time"], suffix="_shadow")
    assert (beside.get_column("score") != beside.get_column("score_shadow")).any()
    states = home.read("model_states").filter(pl.col("session") == days[-1]).sort("model")
    assert states.select("model", "serves", "trial").rows() == [("ridge", True, 0), (name, False, 1)]

    client = ModelRegistry(home_path / "mlflow").client
    assert "model" not in client.get_model_version_by_alias("aurora-ridge", "champion").tags
    assert client.get_model_version_by_alias("aurora-ridge", "challenger").tags["model"] == name
    gone = aurora_here("run", "--home", home_path, "--set", "models.families=[lasso]", check=False)
    assert gone.returncode == 2
    assert "aurora models retire ridge" in gone.stderr
