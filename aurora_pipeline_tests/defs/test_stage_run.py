"""A step stamps what it writes with what it read: nothing that changed upstream meanwhile makes it look newer than it is."""

from datetime import date
from types import SimpleNamespace

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.contracts import empty
from aurora_pipeline.defs import stage_run
from aurora_pipeline.defs.market_data import SESSION_TABLES
from aurora_pipeline.defs.stage_run import StageRun, check_result
from aurora_pipeline.errors import LakeError
from aurora_pipeline.stages import VIEWS

DAYS = ["2025-01-02", "2025-01-03"]
LAST_VIEW = f"{VIEWS[-1]}_features"
READ = [*SESSION_TABLES, *(f"{view}_features" for view in VIEWS)]


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.record_market(MarketRecord(name="hand", first_session=date(2025, 1, 2), last_session=date(2025, 1, 7)))
    return Home(tmp_path)


def _store(home, names, key, fingerprint):
    for name in names:
        branches = {"source": "bars"} if name == "quarantine" else {}
        home.lake.write(name, empty(name), key, fingerprint=fingerprint, **branches)


def _run(home, keys=DAYS, told=None):
    context = SimpleNamespace(
        partition_keys=keys,
        selected_asset_keys=["feature_panel"],
        run_id="this",
        asset_key="feature_panel",
        add_asset_metadata=lambda *told_of, **where: None if told is None else told.append((*told_of, where)),
        instance=SimpleNamespace(get_runs=lambda **_: []),
    )
    return StageRun(context, home, "feature_panel")


def _as_of_now(home, key):
    run = _run(home)
    return run.lineage.actual(run.stage, key)


def test_a_correction_upstream_while_a_step_computes_leaves_its_partition_stale(home):
    for key in DAYS:
        _store(home, READ, key, "old")
    run = _run(home)
    run.read_back("universe", run.sessions, 0)
    _store(home, SESSION_TABLES, DAYS[0], "corrected")
    run.write("features", empty("features"), DAYS)
    assert home.lake.fingerprint("features", DAYS[0]) != _as_of_now(home, DAYS[0])
    assert home.lake.fingerprint("features", DAYS[1]) == _as_of_now(home, DAYS[1])


def test_what_a_step_waited_for_is_in_its_fingerprint_and_nothing_that_changed_besides(home, monkeypatch):
    _store(home, READ, DAYS[0], "old")
    _store(home, [name for name in READ if name != LAST_VIEW], DAYS[1], "old")
    run = _run(home)
    run.read_back("universe", run.sessions, 0)

    def meanwhile(_):
        _store(home, [LAST_VIEW], DAYS[1], "come")
        _store(home, SESSION_TABLES, DAYS[0], "corrected")

    monkeypatch.setattr(stage_run.time, "sleep", meanwhile)
    run.read_back(LAST_VIEW, run.sessions, 0)
    run.write("features", empty("features"), DAYS)
    assert home.lake.fingerprint("features", DAYS[0]) != _as_of_now(home, DAYS[0])
    assert home.lake.fingerprint("features", DAYS[1]) == _as_of_now(home, DAYS[1])


def test_a_step_waits_for_all_tables_that_come_with_the_one_it_reads(home, monkeypatch):
    _store(home, READ, DAYS[0], "old")
    _store(home, [name for name in READ if name not in SESSION_TABLES], DAYS[1], "old")
    run = _run(home)
    coming = iter(SESSION_TABLES)
    monkeypatch.setattr(stage_run.time, "sleep", lambda _: _store(home, [next(coming)], DAYS[1], "come"))
    run.read_back("universe", run.sessions, 0)
    run.write("features", empty("features"), DAYS)
    assert list(coming) == []
    assert home.lake.fingerprint("features", DAYS[1]) == _as_of_now(home, DAYS[1])


def test_a_partition_of_a_range_that_cannot_be_made_says_so(home):
    told = []
    assert _run(home, ["2024-12-31", *DAYS], told).keys == DAYS
    ((metadata, where),) = told
    assert where == {"asset_key": "feature_panel", "partition_key": "2024-12-31"}
    assert metadata == {"not_made": "nothing is stored: feature_panel begins with 2025-01-02 and ends with 2025-01-07"}
    with pytest.raises(LakeError, match="can be made"):
        _run(home, ["2024-12-31"])


def test_a_check_shows_violations_only_where_there_are_any():
    nothing = check_result("sound", pl.DataFrame({"symbol": []}), "rows that are wrong")
    assert (nothing.passed, set(nothing.metadata)) == (True, {"violations"})
    found = check_result("sound", pl.DataFrame({"symbol": ["A"]}), "rows that are wrong")
    assert (found.passed, found.metadata["first"].value) == (False, [{"symbol": "A"}])
