"""Dagster's storage with batches: the same records as one by one, all of a batch or none, and open to other threads."""

import os
import sqlite3
import threading

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from aurora_pipeline.adapters.instance import instance_config
from aurora_pipeline.defs.sqlite_storage import BATCH_SIZE, BATCH_SIZE_VARIABLE, BatchedEventLog

DAYS = [f"2025-{month:02d}-{day:02d}" for month in range(1, 5) for day in range(1, 29)]


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(DAYS),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def numbered(context):
    for place, key in enumerate(context.partition_keys):
        context.add_asset_metadata({"place": place}, partition_key=key)
    return dg.MaterializeResult()


def instance_at(path, size):
    path.mkdir()
    (path / "dagster.yaml").write_text(yaml.safe_dump(instance_config(path)))
    os.environ[BATCH_SIZE_VARIABLE] = str(size)
    return dg.DagsterInstance.from_config(str(path))


def materialise(instance, asset=numbered):
    range_tags = {"dagster/asset_partition_range_start": DAYS[0], "dagster/asset_partition_range_end": DAYS[-1]}
    job = dg.define_asset_job("all", [asset])
    resolved = dg.Definitions([asset], jobs=[job]).resolve_job_def("all")
    return resolved.execute_in_process(instance=instance, tags=range_tags)


def told(instance):
    """Per partition what is stored, ids and times apart."""
    records = instance.fetch_materializations(dg.AssetKey("numbered"), limit=1000).records
    return sorted((record.partition_key, record.asset_materialization.metadata["place"].value) for record in records)


@pytest.fixture(autouse=True)
def variable(monkeypatch):
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "0")


def test_batches_store_what_single_events_store(tmp_path, monkeypatch):
    written = []
    store = BatchedEventLog.store_event_batch
    monkeypatch.setattr(
        BatchedEventLog, "store_event_batch", lambda log, events: (written.append(len(events)), store(log, events))
    )
    found = []
    for size in (0, BATCH_SIZE):
        with instance_at(tmp_path / str(size), size) as instance:
            run = materialise(instance)
            assert run.success
            assert told(instance) == [(key, place) for place, key in enumerate(DAYS)]
            assert instance.get_materialized_partitions(dg.AssetKey("numbered")) == set(DAYS)
            found.append(
                [event.dagster_event.event_type_value for event in instance.all_logs(run.run_id) if event.dagster_event]
            )
    assert found[0] == found[1]
    assert sum(written) == 2 * len(DAYS)  # planned and made
    assert max(written) == BATCH_SIZE


def test_of_a_batch_that_fails_nothing_is_left_and_it_is_written_one_by_one(tmp_path, monkeypatch, capsys):
    store = BatchedEventLog.store_event
    state = {"left": 20}

    def fail_once(log, event):
        state["left"] -= log._batch.stack is not None
        if state["left"] == 0 and log._batch.stack is not None:
            raise OSError("disk full")
        store(log, event)

    monkeypatch.setattr(BatchedEventLog, "store_event", fail_once)
    with instance_at(tmp_path / "home", BATCH_SIZE) as instance:
        assert materialise(instance).success
        assert told(instance) == [(key, place) for place, key in enumerate(DAYS)]
    assert "disk full" in capsys.readouterr().err


def test_another_thread_reads_while_a_batch_is_written(tmp_path):
    with instance_at(tmp_path / "home", BATCH_SIZE) as instance:
        ended = threading.Event()
        counts, errors = [], []

        def read():
            while not ended.is_set():
                try:
                    counts.append(len(instance.get_materialized_partitions(dg.AssetKey("numbered"))))
                except Exception as error:
                    errors.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert materialise(instance).success
        finally:
            ended.set()
            reader.join()
        assert not errors
        assert counts == sorted(counts)
        assert set(counts) <= {0, 50, 100, len(DAYS)}


def test_processes_that_open_a_home_write_in_batches(tmp_path, monkeypatch):
    monkeypatch.delenv(BATCH_SIZE_VARIABLE)
    path = tmp_path / "home"
    path.mkdir()
    (path / "dagster.yaml").write_text(yaml.safe_dump(instance_config(path)))
    with dg.DagsterInstance.from_config(str(path)):
        assert os.environ.pop(BATCH_SIZE_VARIABLE) == str(BATCH_SIZE)


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition(DAYS[0]),
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("positive", asset="checked")],
)
def checked():
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


def test_what_is_written_equals_what_dagster_writes(tmp_path):
    with instance_at(tmp_path / "home", BATCH_SIZE) as instance:
        run = materialise(instance, checked)
        events = instance.all_logs(run.run_id)

    tables = ("asset_check_executions", "asset_keys", "event_logs", "asset_event_tags")
    found = []
    for log in (SqliteEventLogStorage(str(tmp_path / "dagster")), BatchedEventLog(str(tmp_path / "ours"))):
        log.store_event_batch(events)
        with sqlite3.connect(log.path_for_shard("index")) as database:
            found.append({table: database.execute(f"select * from {table}").fetchall() for table in tables})
    planned = [row for row in found[0]["asset_check_executions"] if "PLANNED" in row]
    assert len(planned) > len(DAYS)
    for table in tables:
        ours, theirs = ([[value for value in row if not is_clock(value)] for row in side[table]] for side in found)
        assert ours == theirs, table


def is_clock(value):
    """Whether a value is when its row was written, which differs."""
    return isinstance(value, str) and value.startswith("20") and value[4] == "-" and ":" in value
