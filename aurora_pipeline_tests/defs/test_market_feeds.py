"""Feeds whose blocking check failed stay blocked: the next run does not take them for stored."""

import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.storage.feed_store import feeds_are_stored
from aurora_pipeline.defs.instances import instance_of
from aurora_pipeline.defs.jobs import FEEDS_JOB
from aurora_pipeline.defs.launcher import Launcher, StageFailedError
from aurora_pipeline.fingerprints import feeds_fingerprint
from aurora_pipeline.market.simulation import simulate_market


def test_feeds_that_failed_their_check_are_not_taken_for_stored(tmp_path, monkeypatch):
    market = tmp_path / "market"
    simulate_market(market, preset="small", seed=3, sessions=5, symbols=8)
    home = Home(tmp_path / "home")
    home.record_market(MarketRecord(directory=market))
    wanted = feeds_fingerprint(home.folder(), home.settings())
    with monkeypatch.context() as patched, instance_of(home) as instance:
        patched.setattr(
            "aurora_pipeline.market.ingest.known_before_event", lambda feeds: pl.DataFrame({"table": ["earnings"]})
        )
        with pytest.raises(StageFailedError, match="known_after_event"):
            Launcher(home, instance).job(FEEDS_JOB)
        assert not feeds_are_stored(home, wanted)
    with instance_of(home) as instance:
        Launcher(home, instance).job(FEEDS_JOB)
    assert feeds_are_stored(home, wanted)
