"""Each bar is settled once, whoever tries and however many at a time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from aurora_pipeline.live.decision_log import AlreadySettled, DecisionLog, digest

BAR = datetime(2024, 11, 26, 14, 35, tzinfo=UTC)


def test_of_many_at_once_exactly_one_settles_a_bar(tmp_path):
    def attempt(number):
        try:
            return DecisionLog(tmp_path).settle(BAR, "decided", number=number).content["number"]
        except AlreadySettled:
            return None

    with ThreadPoolExecutor(16) as pool:
        won = [number for number in pool.map(attempt, range(64)) if number is not None]
    assert len(won) == 1
    assert DecisionLog(tmp_path).get(BAR).content["number"] == won[0]
    assert [path.name for path in (tmp_path / "decisions").iterdir()] == ["20241126T143500.json"]


def test_what_was_recorded_comes_back_in_time_order(tmp_path):
    log = DecisionLog(tmp_path)
    assert log.newest() is None
    assert list(log) == []
    log.settle(BAR + timedelta(minutes=5), "skipped", "late: too old")
    log.settle(
        BAR, "decided", failed={"ridge": "ValueError: x"}, targets=[{"symbol": "AAA", "target_weight": 0.1 + 0.2}]
    )
    first, second = log
    assert (first.bar_end, first.status, first.failed) == (BAR, "decided", {"ridge": "ValueError: x"})
    assert first.content["targets"][0]["target_weight"] == 0.1 + 0.2
    assert (second.status, second.reason, second.failed) == ("skipped", "late: too old", {})
    assert log.newest() == BAR + timedelta(minutes=5)


def test_a_second_attempt_leaves_the_first_untouched(tmp_path):
    log = DecisionLog(tmp_path)
    log.settle(BAR, "decided", number=1)
    with pytest.raises(AlreadySettled, match="14:35"):
        log.settle(BAR, "skipped", "again")
    assert log.get(BAR).status == "decided"


def test_a_digest_sees_the_last_bit():
    frame = pl.DataFrame({"weight": [0.1, 0.2]})
    nudged = pl.DataFrame({"weight": [0.1, 0.2 + 3e-17]})
    assert digest(frame) == digest(frame.clone())
    assert digest(frame) != digest(frame.reverse())
    assert digest(frame) != digest(nudged)
