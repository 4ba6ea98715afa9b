import multiprocessing
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest

from aurora_pipeline.adapters.progress import listening
from aurora_pipeline.adapters.storage.lake import Lake, partition_of
from aurora_pipeline.contracts import TABLES, empty
from aurora_pipeline.errors import ContractError, LakeError

DAY = date(2025, 1, 2)


def _predictions(days=(DAY,), score=0.5, model="ridge"):
    rows = [
        {
            "session": day,
            "symbol": "AAA",
            "decision_time": datetime(day.year, day.month, day.day, 15, tzinfo=UTC),
            "model": model,
            "model_version": "v1",
            "score": score,
        }
        for day in days
    ]
    return pl.DataFrame(rows, schema=empty("predictions").schema)


def test_what_is_written_is_read_back_with_its_fingerprint(tmp_path):
    lake = Lake(tmp_path, "5min")
    written = lake.write_sessions("predictions", _predictions(), {"2025-01-02": "a", "2025-01-03": "b"}, model="ridge")
    assert written["2025-01-03"].is_empty()
    assert lake.read("predictions").equals(_predictions())
    assert lake.fingerprint("predictions", "2025-01-02", model="ridge") == "a"
    assert lake.partitions("predictions", model="ridge") == ["2025-01-02", "2025-01-03"]
    assert lake.branch_values("predictions", "model") == ["ridge"]


def test_reading_is_by_session_and_branch(tmp_path):
    lake = Lake(tmp_path, "5min")
    days = [DAY + timedelta(days=offset) for offset in range(3)]
    for model in ("ridge", "lightgbm"):
        stamps = {day.isoformat(): "x" for day in days}
        lake.write_sessions("predictions", _predictions(days, model=model), stamps, model=model)
    assert lake.read("predictions", days[1], days[1]).height == 2
    assert lake.read("predictions", days[1], model="ridge").get_column("session").to_list() == days[1:]
    assert lake.read("predictions", columns=["score"], model="ridge").columns == ["score"]


def test_months_hold_sessions_at_frequency_session_and_are_cut_to_the_day(tmp_path):
    lake = Lake(tmp_path, "session")
    days = [date(2025, 1, 2), date(2025, 1, 31), date(2025, 2, 3)]
    lake.write_sessions("predictions", _predictions(days), {"2025-01": "x", "2025-02": "y"}, model="ridge")
    assert partition_of(days[1], "session") == "2025-01"
    assert lake.read("predictions", days[1], days[2]).get_column("session").to_list() == days[1:]


def test_rows_outside_the_partitions_being_written_are_refused(tmp_path):
    with pytest.raises(LakeError, match="2025-01-02"):
        Lake(tmp_path, "5min").write_sessions("predictions", _predictions(), {"2025-01-03": "a"}, model="ridge")


def test_a_frame_that_breaks_its_contract_leaves_the_old_partition(tmp_path):
    lake = Lake(tmp_path, "5min")
    lake.write("predictions", _predictions(), "2025-01-02", fingerprint="a", model="ridge")
    with pytest.raises(ContractError):
        lake.write("predictions", _predictions().drop("score"), "2025-01-02", fingerprint="b", model="ridge")
    assert lake.fingerprint("predictions", "2025-01-02", model="ridge") == "a"
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_crash_inside_a_write_leaves_the_old_partition_and_no_debris(tmp_path, monkeypatch):
    lake = Lake(tmp_path, "5min")
    lake.write("predictions", _predictions(), "2025-01-02", fingerprint="a", model="ridge")

    def no_space(*_args, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", no_space)
    with pytest.raises(OSError, match="No space"):
        lake.write("predictions", _predictions(score=0.9), "2025-01-02", fingerprint="b", model="ridge")
    monkeypatch.undo()
    assert lake.read("predictions").equals(_predictions())
    assert not list(tmp_path.rglob("*.tmp"))


def test_same_rows_give_the_same_bytes_whatever_their_order(tmp_path):
    lake = Lake(tmp_path, "5min")
    frame = pl.concat([_predictions(), _predictions().with_columns(symbol=pl.lit("BBB"))])
    lake.write("predictions", frame, "2025-01-02", fingerprint="a", model="ridge")
    first = lake.path("predictions", "2025-01-02", model="ridge").read_bytes()
    lake.write("predictions", frame.reverse(), "2025-01-02", fingerprint="a", model="ridge")
    assert lake.path("predictions", "2025-01-02", model="ridge").read_bytes() == first


def test_views_can_be_kept_open_while_the_lake_is_written(tmp_path):
    lake = Lake(tmp_path / "lake", "5min")
    lake.write("predictions", _predictions(), "2025-01-02", fingerprint="a", model="ridge")
    lake.write_views(tmp_path / "aurora.duckdb")
    with duckdb.connect(str(tmp_path / "aurora.duckdb"), read_only=True) as reader:
        assert reader.execute("select count(*) from predictions").fetchone() == (1,)
        assert reader.execute("select count(*) from bars").fetchall() == [(0,)]
        lake.write("predictions", _predictions([date(2025, 1, 3)]), "2025-01-03", fingerprint="a", model="ridge")
        lake.write_views(tmp_path / "aurora.duckdb")
        assert reader.execute("select count(*) from predictions").fetchall() == [(2,)]


def test_queries_find_a_home_whatever_characters_its_name_has(tmp_path):
    lake = Lake(tmp_path / "home [1]" / "lake", "5min")
    lake.write("predictions", _predictions(), "2025-01-02", fingerprint="a", model="ridge")
    with lake.connect() as connection:
        assert connection.sql("select count(*) from predictions").fetchall() == [(1,)]


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_file_cut_off_counts_as_missing_and_costs_its_own_table_only(tmp_path, kept):
    lake = Lake(tmp_path / "lake", "5min")
    days = [DAY, DAY + timedelta(days=1)]
    lake.write_sessions("predictions", _predictions(days), {day.isoformat(): "a" for day in days}, model="ridge")
    lake.write("universe", empty("universe"), "2025-01-02", fingerprint="u")
    damaged = lake.path("predictions", "2025-01-02", model="ridge")
    damaged.write_bytes(damaged.read_bytes()[:kept])
    keys = [day.isoformat() for day in days]
    assert lake.fingerprints("predictions", keys, model="ridge") == {"2025-01-02": None, "2025-01-03": "a"}
    with pytest.raises(LakeError, match=str(damaged)):
        lake.read("predictions")
    with pytest.raises(LakeError, match=str(damaged)):
        lake.read_at("predictions", pl.Series([datetime(2025, 1, 2, 15, tzinfo=UTC)]), DAY, DAY)
    assert lake.read("predictions", days[1]).height == 1
    with lake.connect("select count(*) from universe") as connection:
        assert connection.sql("select count(*) from universe").fetchall() == [(0,)]
    with pytest.raises(duckdb.Error, match=str(damaged)):
        lake.connect("select count(*) from predictions")
    database = tmp_path / "aurora.duckdb"
    lake.write_views(database)
    lake.write("predictions", _predictions(), "2025-01-02", fingerprint="a", model="ridge")
    lake.write_views(database)
    with duckdb.connect(str(database), read_only=True) as connection:
        assert connection.sql("select count(*) from predictions").fetchall() == [(2,)]


def test_export_makes_real_tables_once(tmp_path):
    lake = Lake(tmp_path / "lake", "5min")
    lake.write("predictions", _predictions(), "2025-01-02", fingerprint="a", model="ridge")
    told: list[tuple[str, int, int]] = []
    with listening(lambda *what: told.append(what)):
        lake.export(tmp_path / "copy.duckdb")
    assert told == [("tables", done, len(TABLES)) for done in range(len(TABLES) + 1)]
    lake.remove("predictions", "2025-01-02", model="ridge")
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as reader:
        assert reader.execute("select model, score from predictions").fetchall() == [("ridge", 0.5)]
    with pytest.raises(LakeError, match="exists"):
        lake.export(tmp_path / "copy.duckdb")


def test_what_a_killed_export_left_is_removed_by_the_next_one(tmp_path):
    lake = Lake(tmp_path / "lake", "5min")
    for name in (".copy.duckdb.0.tmp", ".copy.duckdb.0.tmp.wal"):
        (tmp_path / name).write_bytes(b"half")
    other = tmp_path / ".other.duckdb.0.tmp"
    other.write_bytes(b"half")
    lake.export(tmp_path / "copy.duckdb")
    assert {path.name for path in tmp_path.iterdir()} == {"copy.duckdb", other.name}


def test_an_export_that_another_process_is_writing_is_left_alone(tmp_path):
    half = tmp_path / ".copy.duckdb.0.tmp"
    writing = f"import duckdb; held = duckdb.connect({str(half)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", writing], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(LakeError, match="being written by another process"):
            Lake(tmp_path / "lake", "5min").export(tmp_path / "copy.duckdb")
        assert half.exists()
        other.communicate(b"\n")


def _write_often(root, model):
    lake = Lake(root, "5min")
    for turn in range(60):
        lake.write(
            "predictions", _predictions(score=float(turn), model=model), "2025-01-02", fingerprint="x", model=model
        )


def test_writers_and_readers_in_different_processes_never_see_a_torn_partition(tmp_path):
    lake = Lake(tmp_path, "5min")
    for model in ("ridge", "lightgbm"):
        lake.write("predictions", _predictions(model=model), "2025-01-02", fingerprint="x", model=model)
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_often, args=(tmp_path, model)) for model in ("ridge", "lightgbm")]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        assert lake.read("predictions").height == 2
        with lake.connect() as connection:
            assert connection.execute("select count(*) from predictions").fetchall() == [(2,)]
        reads += 1
    assert reads
    assert [writer.exitcode for writer in writers] == [0, 0]
