import hashlib
import json
import shutil
from datetime import UTC, date, datetime
from types import SimpleNamespace

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.models.challenger_store import DueVersion, challenger_name, manifest_hash, versions_due
from aurora_pipeline.adapters.models.champion_set import (
    FILE,
    champion_set_before,
    read_champion_set,
    write_champion_set,
)
from aurora_pipeline.adapters.models.configuration_log import Configured
from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog, next_session
from aurora_pipeline.adapters.models.model_lifecycle import HISTORY, publish_states
from aurora_pipeline.adapters.models.model_registry import PUBLISHED, FoldRecord, ModelRegistry
from aurora_pipeline.adapters.models.zoo import champion_sets, tradable_universe
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import BookError, LakeError
from aurora_pipeline.models.configuration import configuration
from aurora_pipeline.monitoring.drift import ChallengerWanted
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision
from aurora_pipeline.settings import Settings

FIRST, SECOND = date(2024, 11, 4), date(2024, 11, 5)


def model_files(home, family, fold, content="v1"):
    directory = home.models / family / fold
    directory.mkdir(parents=True, exist_ok=True)
    manifest = {"model_version": f"{family}-{fold}-{content}", "features": ["f"], "files": {}}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    champions = home.champions()
    champions.setdefault(family, {})[fold] = f"{family}/{fold}"
    home.champions_file.write_text(json.dumps(champions))


def states(session, serving, families=("ridge", "lightgbm")):
    rows = [
        {
            "session": session, "model": family, "family": family, "serves": family in serving, "since": session,
            "state": "champion" if family in serving else "retired", "reason": "x", "decided_by": "test", "trial": 0,
            "matured_sessions": 3, "retirement_threshold": 3.0,
        }
        for family in families
    ]  # fmt: skip
    schema = empty("model_states").schema
    return pl.DataFrame(rows, schema={name: schema[name] for name in rows[0]}).select(
        *(pl.col(name) if name in rows[0] else pl.lit(None, dtype).alias(name) for name, dtype in schema.items())
    )


def test_decisions_are_read_back_in_order_and_a_changed_line_is_found(tmp_path):
    log = LifecycleLog(Home(tmp_path))
    assert log.decisions() == []
    said = [
        LifecycleDecision(FIRST, "promote", "ridge~a", "kim", "good"),
        LifecycleDecision(SECOND, "rollback", "ridge", "kim", "bad"),
    ]
    for decision in said:
        log.append(decision)
    assert log.decisions() == said
    text = log.path.read_text()
    log.path.write_text(text.replace("good", "fine"))
    with pytest.raises(LakeError, match="line 1: the seal does not match"):
        log.decisions()
    log.path.write_text("\n".join(text.splitlines()[1:]))
    with pytest.raises(LakeError, match="seal"):
        log.decisions()
    log.path.write_text("not json\n")
    with pytest.raises(LakeError, match="not a sealed line"):
        log.lines()


def test_the_champion_set_names_files_with_their_hashes(tmp_path):
    home = Home(tmp_path)
    model_files(home, "ridge", "2024-11")
    model_files(home, "lightgbm", "2024-11")
    write_champion_set(home, states(FIRST, {"ridge"}), FIRST)
    champions, problems = read_champion_set(home)
    assert [(champion.family, champion.version, champion.features) for champion in champions] == [
        ("ridge", "ridge-2024-11-v1", ("f",))
    ]
    assert problems == []
    stored = json.loads((tmp_path / FILE).read_text())
    assert stored["families"]["ridge"][0]["sha256"] == manifest_hash(home.models / "ridge/2024-11")


def test_a_manifest_whose_hash_does_not_match_falls_back_to_the_last_good_one_or_drops_out(tmp_path):
    home = Home(tmp_path)
    model_files(home, "ridge", "2024-10")
    write_champion_set(home, states(date(2024, 10, 31), {"ridge"}), date(2024, 10, 31))
    model_files(home, "ridge", "2024-11")
    write_champion_set(home, states(FIRST, {"ridge"}), FIRST)
    assert read_champion_set(home)[0][0].version == "ridge-2024-11-v1"
    (home.models / "ridge/2024-11/manifest.json").write_text("{}")
    champions, problems = read_champion_set(home)
    assert champions[0].version == "ridge-2024-10-v1"
    assert "fell back to ridge-2024-10-v1" in problems[0]
    (home.models / "ridge/2024-10/manifest.json").unlink()
    champions, problems = read_champion_set(home)
    assert champions == []
    assert "does not trade" in problems[0]


def test_a_family_without_a_model_of_the_fold_the_others_have_sits_it_out(tmp_path):
    home = Home(tmp_path)
    for family in ("ridge", "lightgbm"):
        model_files(home, family, "2024-10")
    write_champion_set(home, states(date(2024, 10, 31), {"ridge", "lightgbm"}), date(2024, 10, 31))
    write_champion_set(home, states(FIRST, {"ridge", "lightgbm"}), FIRST)
    assert len(read_champion_set(home)[0]) == 2, "no family has been trained for the fold: the one before serves"
    model_files(home, "lightgbm", "2024-11")
    write_champion_set(home, states(FIRST, {"ridge", "lightgbm"}), FIRST)
    champions, problems = read_champion_set(home)
    assert [champion.version for champion in champions] == ["lightgbm-2024-11-v1"]
    assert len(problems) == 1
    assert problems[0].startswith("ridge: no model of fold 2024-11")
    model_files(home, "ridge", "2024-11")
    write_champion_set(home, states(FIRST, {"ridge", "lightgbm"}), FIRST)
    assert (len(read_champion_set(home)[0]), read_champion_set(home)[1]) == (2, [])
    (home.models / "ridge/2024-11/manifest.json").unlink()
    assert "fell back to ridge-2024-10-v1" in read_champion_set(home)[1][0]


def test_a_family_does_not_fall_back_to_a_model_that_was_retired(tmp_path):
    home = Home(tmp_path)
    model_files(home, "ridge", "2024-10")
    write_champion_set(home, states(date(2024, 10, 31), {"ridge"}), date(2024, 10, 31))
    write_champion_set(home, states(FIRST, {"lightgbm"}), FIRST)
    model_files(home, "ridge", "2024-11")
    write_champion_set(home, states(SECOND, {"ridge"}), SECOND)
    assert [champion.version for champion in read_champion_set(home)[0]] == ["ridge-2024-11-v1"]
    (home.models / "ridge/2024-11/manifest.json").unlink()
    champions, problems = read_champion_set(home)
    assert champions == []
    assert "nothing earlier is sound: the family does not trade" in problems[0]


def test_a_retired_last_model_leaves_an_empty_champion_set(tmp_path):
    home = Home(tmp_path)
    model_files(home, "ridge", "2024-11")
    write_champion_set(home, states(FIRST, {"ridge"}, ["ridge"]), FIRST)
    write_champion_set(home, states(SECOND, set(), ["ridge"]), SECOND)
    assert read_champion_set(home) == ([], [])
    assert champion_sets(states(SECOND, set()), [SECOND]) == [([SECOND], {})]


def test_a_home_without_a_champion_set_has_no_champions(tmp_path):
    assert read_champion_set(Home(tmp_path)) == ([], [])


def test_a_damaged_champion_set_is_told_of_and_written_anew(tmp_path):
    home = Home(tmp_path)
    model_files(home, "ridge", "2024-11")
    write_champion_set(home, states(FIRST, {"ridge"}), FIRST)
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text()[:60])
    champions, problems = read_champion_set(home)
    assert champions == []
    assert len(problems) == 1
    assert "champion_set.json: not readable" in problems[0]
    champion_set_before(home, Home(tmp_path / "replay"), SECOND)
    write_champion_set(home, states(SECOND, {"ridge"}), SECOND)
    champions, problems = read_champion_set(home)
    assert ([champion.version for champion in champions], problems) == (["ridge-2024-11-v1"], [])


def test_a_damaged_champion_manifest_is_refused_by_name(tmp_path):
    home = Home(tmp_path)
    home.champions_file.write_text('{"ridge": {')
    with pytest.raises(LakeError, match=r"champions.json: not readable .*; restore it, or remove it"):
        home.champions()


def test_a_registry_that_cannot_be_reached_is_reported_and_told_the_next_time(tmp_path):
    class Away:
        @property
        def client(self):
            raise ConnectionError("no route")

    home = Home(tmp_path)
    assert publish_states(Away(), home, states(FIRST, {"ridge"})) == "unreachable: ConnectionError: no route"
    assert not (home.mlflow / PUBLISHED).exists()


class Client:
    """The registry's part that states are told to; versions as (number, tags)."""

    def __init__(self, *versions):
        self.versions = [SimpleNamespace(version=number, tags=tags) for number, tags in versions]
        self.aliases, self.tags = {}, {}

    def search_model_versions(self, query):
        return self.versions if "ridge" in query else []

    def set_model_version_tag(self, name, version, key, value):
        self.tags[name, version, key] = value

    def get_registered_model(self, name):
        return SimpleNamespace(aliases={alias: version for (of, alias), version in self.aliases.items() if of == name})

    def set_registered_model_alias(self, name, alias, version):
        self.aliases[name, alias] = version

    def delete_registered_model_alias(self, name, alias):
        del self.aliases[name, alias]


def test_aliases_and_tags_follow_the_states_and_an_unchanged_state_costs_nothing(tmp_path):
    registry = SimpleNamespace(client=Client(("1", {"model_version": "v"})))
    home = Home(tmp_path)
    assert publish_states(registry, home, states(FIRST, {"ridge"})) is None
    assert registry.client.aliases == {("aurora-ridge", "champion"): "1"}
    assert registry.client.tags["aurora-ridge", "1", "state"] == "champion"
    registry.client.aliases.clear()
    assert publish_states(registry, home, states(FIRST, {"ridge"})) is None
    assert registry.client.aliases == {}


def test_a_versions_history_keeps_the_evidence_of_every_change(tmp_path):
    client = Client(("1", {"fold": "2024-10"}))
    shadow = states(FIRST, set(), ["ridge"]).with_columns(state=pl.lit("shadow"), reason=pl.lit("3 sound sessions"))
    promoted = states(SECOND, {"ridge"}, ["ridge"]).with_columns(reason=pl.lit("evidence 3.70 of a gain (limit 3.69)"))
    third = promoted.with_columns(session=date(2024, 11, 6))
    publish_states(SimpleNamespace(client=client), Home(tmp_path), pl.concat([shadow, promoted, third]))
    assert client.tags["aurora-ridge", "1", HISTORY].splitlines() == [
        "2024-11-04 shadow, by test: 3 sound sessions",
        "2024-11-05 champion, by test: evidence 3.70 of a gain (limit 3.69)",
    ]


def test_the_version_of_the_newest_fold_is_champion_whichever_was_registered_last(tmp_path):
    client = Client(("1", {"fold": "2024-08"}), ("2", {"fold": "2024-10"}), ("3", {"fold": "2024-09"}))
    publish_states(SimpleNamespace(client=client), Home(tmp_path), states(FIRST, {"ridge"}))
    assert client.aliases == {("aurora-ridge", "champion"): "2"}


def test_the_champion_is_the_version_the_home_holds_when_its_fold_was_trained_again(tmp_path):
    tags = [{"fold": "2024-11", "model_version": f"ridge-2024-11-{content}"} for content in ("v1", "v2")]
    client, home = Client(*zip("12", tags, strict=True)), Home(tmp_path)
    for content, number in (("v1", "1"), ("v2", "2"), ("v1", "1")):
        model_files(home, "ridge", "2024-11", content)
        assert publish_states(SimpleNamespace(client=client), home, states(FIRST, {"ridge"}, ["ridge"])) is None
        assert client.aliases == {("aurora-ridge", "champion"): number}


def register_ridge(registry, home):
    held = home.models / "ridge/2024-11"
    registry.record_fold(FoldRecord("ridge", "2024-11", "ridge-2024-11-v1", held, {}, {}, {}, "x"))


def test_a_database_that_was_made_anew_is_told_everything_again(tmp_path):
    home, told = Home(tmp_path), states(FIRST, {"ridge"}, ["ridge"])
    model_files(home, "ridge", "2024-11")
    gone = Client(("1", {"fold": "2024-11", "model_version": "ridge-2024-11-v1"}))
    assert publish_states(SimpleNamespace(client=gone), home, told) is None
    registry = ModelRegistry(home.mlflow)
    register_ridge(registry, home)
    assert publish_states(registry, home, told) is None
    assert "champion" in registry.client.get_registered_model("aurora-ridge").aliases


def test_a_model_the_registry_does_not_know_is_named_and_a_challenger_among_them_is_registered_then(tmp_path):
    home, registry = Home(tmp_path), ModelRegistry(tmp_path / "mlflow")
    name, version = challenger_name("ridge", FIRST), f"ridge~{FIRST}-{FIRST}-v1"
    model_files(home, "ridge", "2024-11")
    model_files(home, name, FIRST.isoformat())
    serving = states(FIRST, {"ridge"}, ["ridge"])
    waiting = serving.with_columns(model=pl.lit(name), state=pl.lit("shadow"), serves=pl.lit(value=False))
    both = pl.concat([serving, waiting])
    row = {
        "session": FIRST, "model": name, "family": "ridge", "first_session": FIRST, "serves_from": FIRST,
        "model_version": version, "directory": f"{name}/{FIRST}", "configuration": "{}", "reason": "drift",
    }  # fmt: skip
    trained = pl.DataFrame([row], schema=empty("challengers").schema)
    home.lake.write("challengers", trained, FIRST.isoformat(), fingerprint="x")
    assert publish_states(registry, home, both) == f"not registered: ridge, {name}"
    assert not (home.mlflow / PUBLISHED).exists(), "it is tried again"
    register_ridge(registry, home)
    assert publish_states(registry, home, both) is None
    found = {
        alias: registry.client.get_model_version_by_alias("aurora-ridge", alias).tags["model_version"]
        for alias in ("champion", "challenger")
    }
    assert found == {"champion": "ridge-2024-11-v1", "challenger": version}


def test_a_challenger_takes_the_alias_and_a_family_without_champion_has_none(tmp_path):
    client = Client(("1", {"fold": "2024-10"}), ("2", {"model": "ridge~a", "serves_from": "2024-11-04"}))
    registry, home = SimpleNamespace(client=client), Home(tmp_path)
    own = states(FIRST, {"ridge"}, ["ridge"])
    challenger = own.with_columns(
        pl.lit("ridge~a").alias("model"), pl.lit("shadow").alias("state"), pl.lit(False).alias("serves")
    )
    publish_states(registry, home, pl.concat([own, challenger]))
    assert client.aliases == {("aurora-ridge", "champion"): "1", ("aurora-ridge", "challenger"): "2"}
    promoted = challenger.with_columns(pl.lit("champion").alias("state"), pl.lit(True).alias("serves"))
    publish_states(registry, home, pl.concat([states(SECOND, set(), ["ridge"]), promoted.with_columns(session=SECOND)]))
    assert client.aliases == {("aurora-ridge", "champion"): "2"}
    publish_states(registry, home, states(date(2024, 11, 6), set(), ["ridge"]))
    assert client.aliases == {}


def test_a_decision_in_the_middle_of_a_session_holds_from_the_next_one(tmp_path):
    home = Home(tmp_path)
    home.record_market(MarketRecord(name="live", live=True, last_session=SECOND))
    home = Home(tmp_path)
    before, during = datetime(2024, 11, 4, 14, 0, tzinfo=UTC), datetime(2024, 11, 4, 15, 0, tzinfo=UTC)
    assert next_session(home, before, None) == FIRST
    assert next_session(home, during, None) == SECOND
    assert next_session(home, datetime(2024, 11, 8, 22, 0, tzinfo=UTC), None) == date(2024, 11, 11)
    with pytest.raises(BookError, match="session 2024-11-04 has begun"):
        next_session(home, during, FIRST)
    with pytest.raises(BookError, match="not a session"):
        next_session(home, during, date(2024, 11, 9))


def configured(family, session, founding=False, **values):
    return Configured(family, session, configuration(family, Settings().models) | values, founding)


def test_versions_are_due_after_drift_and_when_a_fold_begins():
    wanted = [ChallengerWanted(FIRST, "ridge", "drift"), ChallengerWanted(SECOND, "ridge", "drift")]
    alive = pl.DataFrame(
        {
            "model": ["lightgbm~2024-10-01"] * 2,
            "family": ["lightgbm"] * 2,
            "first_session": [date(2024, 10, 1)] * 2,
            "configuration": ["{}"] * 2,
        }
    )
    founding = [configured("ridge", None, founding=True, ridge_penalties=[7.0])]
    (due,) = versions_due(FIRST, SECOND, wanted, founding, alive, False, Settings())
    assert (due.name, due.family, due.first_session, due.reason) == ("ridge~2024-11-05", "ridge", SECOND, "drift")
    both = versions_due(FIRST, SECOND, wanted, founding, alive, True, Settings())
    assert both[0] == due
    assert both[1] == DueVersion("lightgbm~2024-10-01", "lightgbm", date(2024, 10, 1), "{}", "refit with the fold")
    assert challenger_name("ridge", FIRST) == "ridge~2024-11-04"


def test_a_challenger_of_drift_is_the_recorded_configuration_with_another_half_life():
    founding = [configured("ridge", None, founding=True, ridge_penalties=[7.0])]
    wanted = [ChallengerWanted(FIRST, "ridge", "drift")]
    none = empty("challengers")
    (due,) = versions_due(FIRST, SECOND, wanted, founding, none, False, Settings())
    half_life = Settings().drift.challenger_half_life_sessions
    assert json.loads(due.configuration) == founding[0].values | {"recency_half_life_sessions": half_life}


def test_a_changed_configuration_is_due_for_its_session_instead_of_what_drift_asks_for():
    entries = [
        configured("ridge", None, founding=True, ridge_penalties=[7.0]),
        configured("ridge", SECOND, ridge_penalties=[9.0]),
        configured("ridge", date(2024, 11, 6), ridge_penalties=[7.0]),
    ]
    wanted = [ChallengerWanted(FIRST, "ridge", "drift")]
    (due,) = versions_due(FIRST, SECOND, wanted, entries, empty("challengers"), False, Settings())
    assert json.loads(due.configuration) == entries[1].values
    assert due.reason == "settings of `models` changed"
    back = versions_due(SECOND, date(2024, 11, 6), [], entries, empty("challengers"), False, Settings())
    assert back == [], "settings that went back are the family's own model, not a challenger"


def test_the_book_closes_everything_while_no_model_trades(tmp_path):
    universe = pl.DataFrame(
        {
            "session": [FIRST, SECOND, SECOND],
            "symbol": ["A", "A", "B"],
            "eligible": [True, True, False],
            "reason": [None, None, "new"],
        }
    )
    found = tradable_universe(universe, pl.concat([states(FIRST, {"ridge"}), states(SECOND, set())]))
    assert found.get_column("eligible").to_list() == [True, False, False]
    assert found.get_column("reason").to_list() == [None, "no model trades", "new"]


def test_a_model_file_that_changed_counts_as_much_as_its_manifest(tmp_path):
    home = Home(tmp_path)
    model_files(home, "ridge", "2024-11")
    directory = home.models / "ridge/2024-11"
    (directory / "model.json").write_text("{}")
    listed = {"model.json": hashlib.sha256(b"{}").hexdigest()}
    manifest = json.loads((directory / "manifest.json").read_text()) | {"files": listed}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    write_champion_set(home, states(FIRST, {"ridge"}), FIRST)
    assert len(read_champion_set(home)[0]) == 1
    (directory / "model.json").write_text("{ }")
    champions, problems = read_champion_set(home)
    assert champions == []
    assert "model.json: not what its manifest lists" in problems[0]
    (directory / "model.json").unlink()
    assert "model.json: missing" in read_champion_set(home)[1][0]


def test_a_champion_whose_files_are_gone_when_the_set_is_written_falls_back_and_is_told_of(tmp_path):
    home = Home(tmp_path)
    model_files(home, "ridge", "2024-10")
    write_champion_set(home, states(date(2024, 10, 31), {"ridge"}), date(2024, 10, 31))
    model_files(home, "ridge", "2024-11")
    shutil.rmtree(home.models / "ridge/2024-11")
    write_champion_set(home, states(FIRST, {"ridge"}), FIRST)
    champions, problems = read_champion_set(home)
    assert [champion.version for champion in champions] == ["ridge-2024-10-v1"]
    assert "manifest is missing" in problems[0]


def test_a_replay_falls_back_on_what_was_champion_before_its_session_only(tmp_path):
    source, target = Home(tmp_path / "source"), Home(tmp_path / "target")
    for fold, day in (("2024-10", date(2024, 10, 31)), ("2024-11", FIRST)):
        model_files(source, "ridge", fold)
        write_champion_set(source, states(day, {"ridge"}), day)
    target.path.mkdir()
    champion_set_before(source, target, FIRST)
    content = json.loads((target.path / FILE).read_text())
    assert [line["version"] for line in content["families"]["ridge"]] == ["ridge-2024-10-v1"]
    assert content["session"] == "2024-10-31"
