"""The lake's rules on an S3-compatible server; needs the extras `cluster` and `cluster-test`, run by `.ci/cluster`."""

import threading
import time
from datetime import UTC, date, datetime

import polars as pl
import pytest

from aurora_pipeline.adapters.storage.lake import Lake
from aurora_pipeline.adapters.storage.object_storage import FOOTER_BYTES, ObjectStorage
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import LakeError, ServiceDownError, SettingsError
from aurora_pipeline.settings import ClusterSettings, load_settings

pytest.importorskip("obstore")
moto_server = pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")

SECRET = "not-to-be-seen-anywhere"
DAYS = [date(2025, 1, 2), date(2025, 1, 3), date(2025, 1, 6)]


@pytest.fixture(scope="module")
def server():
    running = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AURORATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def settings(server, keys, request):
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    bucket = f"lake-{abs(hash(request.node.name)) % 10**8}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return ClusterSettings(store=f"s3://{bucket}/a/b", endpoint=endpoint, patience_seconds=2.0)


@pytest.fixture(params=["disk", "objects"])
def lake(request, tmp_path):
    if request.param == "disk":
        return Lake(tmp_path / "lake", "5min")
    return Lake(tmp_path / "lake", "5min", ObjectStorage(request.getfixturevalue("settings"), "lake"))


def _rows(days, model, score=0.5):
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


def test_both_storages_keep_the_lakes_rules(lake):
    assert lake.read("predictions").is_empty()
    assert lake.partitions("predictions", model="ridge") == []
    for model in ("ridge", "lasso"):
        stamps = {day.isoformat(): f"{model}{day.day}" for day in DAYS}
        lake.write_sessions("predictions", _rows(DAYS[:2], model), stamps, model=model)
    assert lake.partitions("predictions", model="ridge") == [day.isoformat() for day in DAYS]
    assert lake.branch_values("predictions", "model") == ["lasso", "ridge"]
    assert lake.fingerprint("predictions", "2025-01-03", model="lasso") == "lasso3"
    assert lake.fingerprint("predictions", "2025-01-07", model="lasso") is None
    many = lake.fingerprints("predictions", ["2025-01-02", "2025-01-07"], model="ridge")
    assert many == {"2025-01-02": "ridge2", "2025-01-07": None}
    assert lake.read("predictions", DAYS[1], DAYS[1]).height == 2
    assert lake.read("predictions", DAYS[1], model="ridge", columns=["score"]).columns == ["score"]
    times = _rows(DAYS[:1], "ridge").get_column("decision_time")
    assert lake.storage.read([lake.key("predictions", "2025-01-02", model="ridge")], None).equals(
        _rows(DAYS[:1], "ridge")
    )
    wanted = pl.col("decision_time").is_in(times.implode())
    assert lake.storage.read(lake.files("predictions"), None, wanted).height == 2
    lake.write("predictions", _rows(DAYS[:1], "ridge", 0.75), "2025-01-02", fingerprint="new", model="ridge")
    assert lake.fingerprint("predictions", "2025-01-02", model="ridge") == "new"
    lake.restamp("predictions", "2025-01-02", fingerprint="blocked", model="ridge")
    assert lake.read("predictions", DAYS[0], DAYS[0], model="ridge").get_column("score").item() == 0.75
    lake.remove("predictions", "2025-01-02", model="ridge")
    lake.remove("predictions", "2025-01-02", model="ridge")
    assert lake.partitions("predictions", model="ridge") == ["2025-01-03", "2025-01-06"]


def test_files_are_the_same_bytes_on_both(settings, tmp_path):
    disk = Lake(tmp_path / "lake", "5min")
    objects = Lake(tmp_path / "lake", "5min", ObjectStorage(settings, "lake"))
    for lake in (disk, objects):
        lake.write("predictions", _rows(DAYS[:1], "ridge"), "2025-01-02", fingerprint="x", model="ridge")
    (key,) = disk.files("predictions")
    assert objects.files("predictions") == [key]
    assert objects.storage.content(key) == disk.storage.content(key)


def test_a_footer_longer_than_what_is_asked_for_first_is_read_whole(settings):
    storage = ObjectStorage(settings, "lake")
    storage.write_frame("wide/data.parquet", pl.DataFrame({"a": [1]}), {"note": "n" * (2 * FOOTER_BYTES)})
    (found,) = storage.metadata(["wide/data.parquet"])
    assert found is not None
    assert len(found["note"]) == 2 * FOOTER_BYTES


def test_a_record_somebody_else_has_written_is_not_overwritten(settings):
    storage = ObjectStorage(settings, "home")
    first = storage.put("champions.json", b"1", replacing="")
    storage.put("champions.json", b"2", replacing=first)
    for stale in ("", first):
        with pytest.raises(LakeError, match="somebody else"):
            storage.put("champions.json", b"3", replacing=stale)
    assert storage.read_text("champions.json") == "2"
    assert storage.put("champions.json", b"2", replacing=first)  # an answer that was lost: the same bytes are there


def test_a_store_that_is_away_is_waited_for_and_then_named_without_its_keys(settings, server):
    away = settings.model_copy(update={"endpoint": "http://127.0.0.1:9", "patience_seconds": 1.0})
    began = time.monotonic()
    with pytest.raises(ServiceDownError, match=r"s3://.*no answer in 1 s") as raised:
        ObjectStorage(away, "lake").write_text("a", "b")
    assert 0.5 < time.monotonic() - began < 30
    assert SECRET not in str(raised.value)
    host, port = server.get_host_and_port()
    server.stop()
    back = moto_server.ThreadedMotoServer(host, port, verbose=False)
    waiting = settings.model_copy(update={"patience_seconds": 60.0})
    timer = threading.Timer(2.0, back.start)
    timer.start()
    try:
        began = time.monotonic()
        ObjectStorage(waiting, "lake").write_text("a", "b")
        assert time.monotonic() - began > 1.0
        assert ObjectStorage(waiting, "lake").read_text("a") == "b"
    finally:
        timer.join()
        back.stop()
        server.start()


def test_the_profile_names_what_it_lacks(monkeypatch):
    with pytest.raises(SettingsError, match=r"cluster\.store and cluster\.ray"):
        load_settings(None, ["profile=cluster"], {})
    with pytest.raises(SettingsError, match=r"cluster\.store"):
        load_settings(None, ["cluster.store=/a/folder"], {})
    from aurora_pipeline.adapters.storage.postgres import DAGSTER_VARIABLE, database_address

    monkeypatch.delenv(DAGSTER_VARIABLE, raising=False)
    with pytest.raises(SettingsError, match=f"{DAGSTER_VARIABLE} is not set"):
        database_address(DAGSTER_VARIABLE)
    monkeypatch.setenv(DAGSTER_VARIABLE, f"mysql://u:{SECRET}@h/d")
    with pytest.raises(SettingsError) as raised:
        database_address(DAGSTER_VARIABLE)
    assert SECRET not in str(raised.value)
