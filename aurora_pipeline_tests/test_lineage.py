"""Fingerprints on a hand-made home: what makes a partition stale, and what must not."""

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest

from aurora_pipeline import fingerprints
from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.models.model_store import name_champion, withdraw_champion
from aurora_pipeline.contracts import empty
from aurora_pipeline.fingerprints import settings_hash
from aurora_pipeline.lineage import Lineage, contiguous
from aurora_pipeline.models.stored_model import FINGERPRINT, MANIFEST
from aurora_pipeline.settings import CalibrationSettings, Settings, load_settings
from aurora_pipeline.stage import Read, Stage
from aurora_pipeline.stages import book_name, label_reach

DAYS = ["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"]
STAGES = [
    Stage("weights", ("universe",), (Read("earnings", "feed"),), ("quality",), ("market/point_in_time.py",)),
    Stage("same", ("ensemble_weights",), (Read("universe", "same"),), ("ensemble",), ("errors.py",)),
    Stage("back", ("ensemble",), (Read("universe", "back", 1),), (), ("errors.py",)),
    Stage("ahead", ("labels",), (Read("universe", "ahead", 1),), (), ("errors.py",)),
    Stage("history", ("signals",), (Read("universe", "history"),), (), ("errors.py",)),
]
BY_NAME = {stage.name: stage for stage in STAGES}


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.record_market(MarketRecord(name="hand", first_session=date(2025, 1, 2), last_session=date(2025, 1, 7)))
    return Home(tmp_path)


def _lineage(home, settings=None):
    return Lineage(home, settings or Settings(), STAGES, "backtest-x")


def _announce(home, *moments):
    rows = [
        {"symbol": "AAA", "instrument_id": "AAA", "known_at": moment, "fiscal_period_end": None, "eps_actual": 1.0}
        for moment in moments
    ]
    home.lake.write("earnings", pl.DataFrame(rows, schema=empty("earnings").schema), fingerprint="feed")


def _make(home, name, keys, settings=None):
    lineage = _lineage(home, settings)
    stage = BY_NAME[name]
    for key in keys:
        for table in stage.writes:
            home.lake.write(table, empty(table), key, fingerprint=lineage.actual(stage, key))


def test_everything_is_stale_in_an_empty_home_and_fresh_once_made(home):
    assert _lineage(home).stale(BY_NAME["weights"], DAYS) == DAYS
    for name in BY_NAME:
        _make(home, name, DAYS)
    lineage = _lineage(home)
    assert [lineage.stale(stage, DAYS) for stage in STAGES] == [[]] * len(STAGES)


def test_a_later_feed_row_makes_later_sessions_stale_and_no_earlier_one(home):
    _announce(home, datetime(2025, 1, 2, 12, tzinfo=UTC))
    for name in BY_NAME:
        _make(home, name, DAYS)
    _announce(home, datetime(2025, 1, 2, 12, tzinfo=UTC), datetime(2025, 1, 6, 22, tzinfo=UTC))
    lineage = _lineage(home)
    assert lineage.stale(BY_NAME["weights"], DAYS) == ["2025-01-07"]
    assert lineage.stale(BY_NAME["same"], DAYS) == ["2025-01-07"]
    assert lineage.stale(BY_NAME["ahead"], DAYS) == ["2025-01-06", "2025-01-07"]
    assert lineage.stale(BY_NAME["history"], DAYS) == ["2025-01-07"]


def test_a_change_reaches_as_far_as_a_window_looks_back(home):
    _announce(home, datetime(2025, 1, 3, 12, tzinfo=UTC))
    for name in BY_NAME:
        _make(home, name, DAYS)
    corrected = home.lake.read("earnings").with_columns(pl.lit(2.0).alias("eps_actual"))
    home.lake.write("earnings", corrected, fingerprint="feed")
    assert _lineage(home).stale(BY_NAME["back"], DAYS) == DAYS[1:]
    assert _lineage(home).stale(BY_NAME["ahead"], DAYS) == DAYS


def test_a_setting_makes_the_stages_that_read_it_stale_and_what_follows(home):
    for name in BY_NAME:
        _make(home, name, DAYS)
    other = load_settings(None, ["ensemble.cap=0.5"], {})
    assert _lineage(home, other).stale(BY_NAME["same"], DAYS) == DAYS
    assert _lineage(home, other).stale(BY_NAME["weights"], DAYS) == []
    other = load_settings(None, ["quality.stale_bars=3"], {})
    assert all(_lineage(home, other).stale(stage, DAYS) == DAYS for stage in STAGES)


def test_a_changed_derivation_of_a_setting_makes_the_stages_that_read_its_section_stale(home, monkeypatch):
    stage = Stage("labels", ("labels",), (), ("horizon", "calibration"), ("errors.py",))

    def fingerprint():
        fingerprints._derivation_hash.cache_clear()
        return _lineage(home).actual(stage, DAYS[0])

    before, others = fingerprint(), _lineage(home).actual(BY_NAME["same"], DAYS[0])
    for section, method in ((Settings, "purge_bars"), (CalibrationSettings, "volatility_pull")):
        with monkeypatch.context() as patch:
            patch.setattr(section, method, lambda self, bars: 2)
            assert fingerprint() != before
            assert _lineage(home).actual(BY_NAME["same"], DAYS[0]) == others
    assert fingerprint() == before


def test_a_partition_made_from_stale_input_is_itself_stale(home):
    _make(home, "same", DAYS)
    assert _lineage(home).stale(BY_NAME["same"], DAYS) == DAYS


def test_a_model_that_was_withdrawn_is_missing_until_it_is_trained_again(home):
    stage = Stage("trained_model/ridge", ("trained_model/ridge",), (), (), ("errors.py",), by_fold=True)
    lineage = Lineage(home, Settings(), [stage], "backtest-x")
    manifest = {"files": {}, FINGERPRINT: lineage.desired(stage, "2025-01")}
    directory = home.models / "ridge" / "2025-01"
    directory.mkdir(parents=True)
    (directory / MANIFEST).write_text(json.dumps(manifest))
    assert lineage.stale(stage, ["2025-01"]) == ["2025-01"]
    name_champion(home, "ridge", "2025-01")
    assert lineage.stale(stage, ["2025-01"]) == []
    withdraw_champion(home, "ridge", "2025-01")
    assert lineage.stale(stage, ["2025-01"]) == ["2025-01"]


def test_stale_keys_are_grouped_into_ranges():
    assert contiguous(["a", "b", "d"], ["a", "b", "c", "d"]) == [("a", "b"), ("d", "d")]
    assert contiguous([], ["a"]) == []


def test_equal_settings_give_the_same_book_wherever_the_market_lies():
    moved = load_settings(None, ["market.directory=/somewhere/else"], {})
    assert book_name(moved) == book_name(Settings())
    services = ["profile=cluster", "cluster.store=s3://aurora/home", "cluster.ray=http://head:8265"]
    assert book_name(load_settings(None, services, {})) == book_name(Settings())
    assert book_name(load_settings(None, ["book.nav=1000000"], {})) != book_name(Settings())
    assert settings_hash(Settings(), ["book"]) == settings_hash(moved, ["book"])


def test_a_label_can_reach_over_a_half_day():
    assert label_reach(79, 78) == 3
    assert label_reach(6, 1) == 7
