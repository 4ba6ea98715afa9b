"""Every durable write of a book, with a crash before and after each: no order twice, none lost, the same bytes.

The writes of a session are the lines of the order journal, the state, and one file per table, the portfolio last.
"""

import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from aurora_pipeline.adapters.book import journal_broker
from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.book.journal_broker import JournalBroker
from aurora_pipeline.adapters.storage.lake import Lake
from aurora_pipeline.contracts import BOOK_TABLES
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline_tests.execution.test_trade_book import random_sessions
from aurora_pipeline_tests.execution.tiny_market import settings

SESSIONS = random_sessions(2, names=("A", "B"), bars=3)
DAYS = [inputs.session for inputs in SESSIONS]
RULES = settings("book.turnover_month=0.6", "book.risk_aversion=5")
BOOK = "tiny"


class Crash(BaseException):
    """Not an Exception: nothing on the way may catch it and go on."""


def trade(home: Path) -> None:
    """Run what the store does not hold yet, session by session, as the asset of the book does."""
    store = BookStore(Lake(home / "lake", "5min"), BOOK)
    for inputs in SESSIONS:
        day = inputs.session
        if store.lake.fingerprint("portfolio", day.isoformat(), book=BOOK) is not None:
            continue
        state = store.state_before(day, DAYS, DAYS[0])
        held = state.shares if state else {}
        broker = JournalBroker(home / "journal.jsonl", held, RULES.book.participation)
        result = run_session(state, day, inputs, RULES, BOOK, broker=broker)
        store.commit(day.isoformat(), [result], f"print-{day}")


def contents(home: Path) -> dict[str, bytes]:
    """Every file but those that a kill left half written: they have a name no reader looks at."""
    files = [path for path in sorted(home.rglob("*")) if path.is_file() and path.suffix != ".tmp"]
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    trade(home)
    found = contents(home)
    ids = home.joinpath("journal.jsonl").read_text().splitlines()
    assert len(ids) == len(set(ids)) > 2
    for table in BOOK_TABLES:
        assert any(f"/{table}/" in name for name in found), table
    return found


class Interrupter:
    """Counts durable writes and crashes before or after the one asked for."""

    def __init__(self, monkeypatch, at, after):
        self.count, self.at, self.after = 0, at, after
        self._wrap(monkeypatch, os, "replace")
        self._wrap(monkeypatch, journal_broker.JournalBroker, "_append")

    def _wrap(self, monkeypatch, owner, name):
        original = getattr(owner, name)

        def interrupted(*arguments, **options):
            number, self.count = self.count, self.count + 1
            if number == self.at and not self.after:
                raise Crash
            result = original(*arguments, **options)
            if number == self.at and self.after:
                raise Crash
            return result

        monkeypatch.setattr(owner, name, interrupted)


def writes(tmp_path_factory) -> int:
    with pytest.MonkeyPatch.context() as patch:
        counter = Interrupter(patch, at=-1, after=False)
        trade(tmp_path_factory.mktemp("counted"))
    return counter.count


def test_a_crash_before_or_after_any_durable_write_changes_nothing(undisturbed, tmp_path_factory):
    total = writes(tmp_path_factory)
    orders = undisturbed["journal.jsonl"].count(b"\n")
    assert total == orders + len(DAYS) * (1 + len(BOOK_TABLES))
    # What a crash after a write leaves is left by one before the next write too, but for the last.
    for at, after in (*((at, False) for at in range(total)), (total - 1, True)):
        home = tmp_path_factory.mktemp("crashed")
        with pytest.MonkeyPatch.context() as patch:
            Interrupter(patch, at, after)
            with pytest.raises(Crash):
                trade(home)
        trade(home)
        assert contents(home) == undisturbed, (at, after)


def test_fills_and_accounts_join_without_a_gap(undisturbed, tmp_path):
    trade(tmp_path)
    stored = Lake(tmp_path / "lake", "5min")
    portfolio = stored.read("portfolio", book=BOOK).sort("decision_time")
    for before, after in pairwise(portfolio.iter_rows(named=True)):
        assert after["nav"] == pytest.approx(before["nav"] + after["gross_pnl"] - after["cost"], abs=0.01)
    fills = stored.read("fills", book=BOOK)
    assert fills.select(pl.struct("order_id", "fill_time").is_duplicated().any()).item() is False


PROGRAM = """
import os, sys
from pathlib import Path
from aurora_pipeline.adapters.compiled_kernels import load_kernels
from aurora_pipeline_tests.adapters.book.test_book_crash import trade

load_kernels()
for home in sys.stdin:
    child = os.fork()  # before anything is computed: polars has not started the threads that compute
    if child == 0:
        trade(Path(home.strip()))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Trades in a process of its own for each home it is told of; imports everything once."""


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_fifty_random_kills_change_nothing(undisturbed, tmp_path):
    """Kill -9 at random moments of the writing part, a new home each time it gets through."""
    moments, kills, number, longest = random.Random(11), 0, 0, 1.0
    home = tmp_path / "home-0"
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        while kills < 50:
            print(home, file=starter.stdin, flush=True)
            child = int(starter.stdout.readline())
            started = time.monotonic()
            while running(child) and not (home / "journal.jsonl").exists():
                time.sleep(0.005)
            time.sleep(moments.uniform(0.0, longest))
            if running(child):
                os.kill(child, signal.SIGKILL)
            status = int(starter.stdout.readline())
            if status == signal.SIGKILL:
                kills += 1
                continue
            assert status == 0
            longest = max(0.05, min(longest, time.monotonic() - started))
            assert contents(home) == undisturbed
            number += 1
            home = tmp_path / f"home-{number}"
        starter.stdin.close()
    trade(home)
    assert contents(home) == undisturbed
