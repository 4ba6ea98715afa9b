"""The loop on a tiny market, tick by tick and without a daemon: parity with the backfill, faults, restarts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.adapters.feeds import pump
from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.cli import app
from aurora_pipeline.defs.graph import build_definitions
from aurora_pipeline.defs.live import TICK_JOB, asset_tables
from aurora_pipeline.defs.session_jobs import train_fold
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.live.arrival_watch import ArrivalWatch
from aurora_pipeline.live.decision_log import AlreadySettled, decision_log
from aurora_pipeline.live.homes import make_replay
from aurora_pipeline.live.paper_broker import sent_orders
from aurora_pipeline.live.parity import differences, live_tables, parity
from aurora_pipeline.live.preflight import run_preflight
from aurora_pipeline.live.session_opening import opening_of
from aurora_pipeline.live.tick import TickRunner
from aurora_pipeline.market.columns import FEEDS

EAGER = (
    "costs.impact_coefficient=0.01",
    "costs.half_spread_floor=0",
    "costs.half_spread_cap=0",
    "costs.fee_rate=0",
    "book.holding_horizons=20",
    "book.assumed_ic=0.05",
    "live.settle_seconds=0",
    "book.capital_steps=[1.0]",
)
"""A book that trades on little, so that there is something to compare."""
SESSION_INDEX = 17
"""First session of the tiny market whose signals are calibrated."""
OPENED = "opened"
"""Beside a home: its replay before the first bar, which every loop without wishes of its own is a copy of."""


class Loop:
    """A replay home with the replayer that feeds it and a runner per process it would take."""

    def __init__(
        self, source: Path, target: Path, *settings: str, prepare: Callable[[Loop], None] | None = None
    ) -> None:
        self.source = Home(source)
        self.session = self.source.sessions(self.source.settings())[SESSION_INDEX]
        self.replayer = Replayer(self.source.folder(), self.session)
        self.ends = self.replayer.decision_times
        if settings or prepare is not None:
            self._open(target, settings)
            if prepare is not None:
                prepare(self)
        else:
            opened = source.with_name(OPENED)
            if not opened.exists():
                self._open(opened)
                self.restart()
            self.home = Home(shutil.copytree(opened, target))
        self.restart()

    def _open(self, target: Path, settings: Sequence[str] = ()) -> None:
        self.home = make_replay(self.source, self.session, target)
        self.home.save_settings(self.home.settings([*EAGER, *settings]))
        self._hold_too_much()

    def _hold_too_much(self) -> None:
        """Let the live book come into the session with names above their cap, so that it trades whatever the signals say."""
        home = Home(self.home.path)
        before = home.calendar.shift(self.session, -1)
        closes = home.lake.read("session_bars", before, before).sort("instrument_id")
        stocks = home.lake.read("universe", before, before).filter("eligible")["instrument_id"]
        held = closes.filter(pl.col("instrument_id").is_in(stocks.implode())).head(3)
        nav = home.settings().book.nav
        prices = dict(held.select("instrument_id", "close").iter_rows())
        shares = {name: float(0.02 * nav // price) for name, price in prices.items()}
        cash = nav - sum(shares[name] * price for name, price in prices.items())
        flat = BookState.flat("live", nav)
        state = replace(flat, session=before, cash=cash, shares=shares, prices=prices, sessions=30)
        account = dict.fromkeys(home.lake.read("portfolio").columns, 0.0) | {
            "book": "live", "session": before, "decision_time": home.calendar.close(before), "nav": nav, "cash": cash,
        }  # fmt: skip
        rows = pl.DataFrame([account], schema=home.lake.read("portfolio").schema)
        home.lake.write("portfolio", rows, before.isoformat(), fingerprint="held", book="live")
        positions = held.select(
            pl.lit("live").alias("book"),
            "session",
            "symbol",
            "instrument_id",
            pl.lit(home.calendar.close(before), dtype=rows.schema["decision_time"]).alias("decision_time"),
            pl.col("instrument_id").replace_strict(shares, return_dtype=pl.Float64).alias("shares"),
            pl.col("close").alias("price"),
            pl.lit(0.02).alias("weight"),
        )
        home.lake.write("positions", positions, before.isoformat(), fingerprint="held", book="live")
        content = json.dumps({"fingerprint": "held", "state": state.to_json()})
        atomic_text(home.path / "books" / "live" / f"{before}.json", content)

    def restart(self) -> None:
        self.runner = TickRunner(Home(self.home.path), self.session)

    def feed(self, bar: int) -> None:
        self.runner.clock.set(self.ends[bar])
        pump([self.replayer], self.runner.market.inbox, self.ends[bar])

    def tick(self, bar: int):
        self.feed(bar)
        return self.runner.attempt(self.ends[bar])

    def status(self) -> list[str]:
        return [settled.status for settled in self.runner.log]


@pytest.fixture
def loop(tiny_home, tmp_path):
    return Loop(tiny_home, tmp_path / "replay")


@pytest.fixture(scope="module")
def traded(tiny_home, tmp_path_factory):
    """A stretch of a session with a skip and a restart; tests must not change it."""
    loop = Loop(tiny_home, tmp_path_factory.mktemp("live") / "replay")
    for bar in range(8):
        if bar == 4:
            loop.feed(bar)
            loop.runner.skip(loop.ends[bar], "nobody was there")
            loop.restart()
        else:
            assert loop.tick(bar).settled.status == "decided"
    return loop


def test_features_predictions_and_signals_are_those_of_the_backfill_to_the_last_bit(traded):
    times = pl.Series([settled.bar_end for settled in traded.runner.log if settled.status == "decided"])
    assert len(times) == 7
    for name in ("features", "predictions", "ensemble", "signals"):
        rows = traded.source.lake.read(name, traded.session, traded.session)
        backfill = rows.filter(pl.col("decision_time").is_in(times.implode()))
        live = live_tables(traded.home, traded.session)[name]
        assert live.height == backfill.height > 0
        assert differences({name: live}, {name: backfill}).is_empty()


def test_the_book_trades_and_is_that_of_the_same_session_in_one_go(traded):
    live = live_tables(traded.home, traded.session)
    assert live["fills"].height > 0
    assert live["portfolio"].height == 8
    assert parity(traded.home, traded.session).is_empty()


def test_nothing_is_wanted_at_a_skipped_bar_and_orders_before_it_still_fill(traded):
    skipped = traded.ends[4]
    live = live_tables(traded.home, traded.session)
    assert live["targets"].filter(pl.col("decision_time") == skipped).is_empty()
    assert live["orders"].filter(pl.col("decision_time") == skipped).is_empty()
    assert not live["fills"].filter(pl.col("fill_time") == skipped).is_empty()


def test_parity_names_table_column_and_row_of_what_was_changed(traded):
    live = live_tables(traded.home, traded.session)
    targets = live["targets"]
    row = targets.row(3, named=True)
    nudged = targets.with_columns(
        pl.when(pl.int_range(pl.len()) == 3)
        .then(pl.col("target_weight") + 1e-12)
        .otherwise("target_weight")
        .alias("target_weight")
    )
    (found,) = differences(live, live | {"targets": nudged}).to_dicts()
    assert (found["table"], found["column"]) == ("targets", "target_weight")
    assert json.loads(found["row"])["symbol"] == row["symbol"]
    (gone,) = differences({"targets": targets}, {"targets": targets.filter(pl.int_range(pl.len()) != 3)}).to_dicts()
    assert (gone["column"], gone["live"], gone["again"]) == ("(row)", "true", "false")


def test_a_bar_is_decided_once_whoever_comes_second(loop):
    first = loop.tick(0)
    again = loop.runner.attempt(loop.ends[0])
    assert (first.own, again.own) == (True, False)
    assert again.settled == first.settled
    loop.restart()
    assert not loop.runner.attempt(loop.ends[0]).own
    with pytest.raises(AlreadySettled):
        loop.runner.log.settle(loop.ends[0], "skipped", "second thoughts")


def test_a_late_and_a_corrected_bar_change_no_past_decision_and_parity_holds(loop):
    for bar in range(3):
        loop.tick(bar)
    decided = live_tables(loop.home, loop.session)
    rows = loop.runner.market.session_bars(loop.session)
    late = rows.filter(pl.col("bar_start") == rows["bar_start"].min()).with_columns(
        pl.col("close") * 1.0001, pl.col("high") * 1.01
    )
    loop.feed(3)
    loop.runner.market.inbox.drop("bars", late)
    loop.runner.market.inbox.drop("bars", rows.head(20))
    for bar in (3, 4):
        assert loop.tick(bar).settled.status == "decided"
    kept = live_tables(loop.home, loop.session)
    for name in ("features", "predictions", "signals", "targets"):
        past = kept[name].filter(pl.col("decision_time") <= loop.ends[2])
        assert differences({name: decided[name]}, {name: past}).is_empty()
    corrected = loop.home.lake.read("bars", loop.session, loop.session).filter(pl.col("known_at") > pl.col("bar_end"))
    assert corrected["known_at"].unique().to_list() == [loop.ends[3]]
    assert corrected.height == late.height
    assert parity(loop.home, loop.session).is_empty()


def test_a_correction_of_yesterday_counts_from_its_arrival_and_parity_holds(loop):
    for bar in range(2):
        loop.tick(bar)
    decided = live_tables(loop.home, loop.session)
    yesterday = loop.home.calendar.shift(loop.session, -1)
    rows = loop.home.folder().read_bars([yesterday])
    stock = loop.runner.opening.universe.filter("eligible")["symbol"][0]
    last = rows.filter(pl.col("symbol") == stock, pl.col("bar_start") == rows["bar_start"].max())
    assert last.height == 1
    loop.feed(2)
    loop.runner.market.inbox.drop("bars", last.with_columns(pl.col("close") * 1.001, pl.col("high") * 1.01))
    for bar in (2, 3):
        assert loop.tick(bar).settled.status == "decided"
    versions = loop.home.lake.read("bars", yesterday, yesterday).filter(pl.col("known_at") > loop.ends[1])
    assert versions["known_at"].to_list() == [loop.ends[2]]
    assert loop.home.lake.read("residual_returns", yesterday, yesterday)["known_at"].max() == loop.ends[2]
    kept = live_tables(loop.home, loop.session)
    for name in ("features", "targets"):
        past = kept[name].filter(pl.col("decision_time") <= loop.ends[1])
        assert differences({name: decided[name]}, {name: past}).is_empty()
    loop.restart()
    assert loop.tick(4).settled.status == "decided"
    assert parity(loop.home, loop.session).is_empty()


def test_before_the_first_bar_a_correction_of_a_session_that_was_decided_counts_from_its_arrival(loop):
    yesterday = loop.home.calendar.shift(loop.session, -1)
    decided = decision_log(loop.home.path / "live", yesterday)
    decided.settle(loop.home.calendar.close(yesterday), "skipped", "the day before")
    rows = loop.home.folder().read_bars([yesterday])
    stock = loop.runner.opening.universe.filter("eligible")["symbol"][0]
    old = rows.filter(pl.col("symbol") == stock, pl.col("bar_start") == rows["bar_start"].min())
    loop.feed(0)
    loop.runner.market.inbox.drop("bars", old.with_columns(pl.col("close") * 1.001, pl.col("high") * 1.01))
    assert loop.tick(0).settled.status == "decided"
    corrected = loop.home.lake.read("bars", yesterday, yesterday).filter(pl.col("known_at") > pl.col("bar_end"))
    assert corrected["known_at"].to_list() == [loop.ends[0]]
    assert parity(loop.home, loop.session).is_empty()


def test_a_delisting_and_a_rename_of_an_earlier_day_told_in_the_session_name_nothing_else_in_it(loop):
    for bar in range(2):
        loop.tick(bar)
    decided = live_tables(loop.home, loop.session)
    held = sorted(loop.runner.opening.state.shares)
    told = {"ex_date": loop.home.calendar.shift(loop.session, -2), "known_at": loop.ends[1] + timedelta(minutes=1)}
    rows = [{"symbol": held[0], "kind": "delist"}, {"symbol": held[1], "kind": "rename", "new_symbol": held[2]}]
    schema = pl.Schema(FEEDS["corporate_actions"].columns)
    loop.feed(2)
    loop.runner.market.inbox.drop("corporate_actions", pl.DataFrame([row | told for row in rows], schema=schema))
    for bar in (2, 3):
        assert loop.tick(bar).settled.status == "decided"
    actions = loop.home.lake.read("corporate_actions").filter(pl.col("known_at") > loop.ends[1])
    assert set(actions["instrument_id"]) == set(held[:2])
    kept = live_tables(loop.home, loop.session)
    for name in ("features", "targets"):
        past = kept[name].filter(pl.col("decision_time") <= loop.ends[1])
        assert differences({name: decided[name]}, {name: past}).is_empty()
    assert set(held) <= set(loop.home.lake.read("bars", loop.session, loop.session)["instrument_id"])
    loop.restart()
    assert loop.tick(4).settled.status == "decided"
    assert parity(loop.home, loop.session).is_empty()


def test_settings_damaged_at_noon_stop_no_tick_and_flatten_acts(loop):
    for bar in range(2):
        loop.tick(bar)
    loop.home.settings_file.write_text("book: [")
    loop.restart()
    assert ArrivalWatch(Home(loop.home.path), loop.runner.clock).newest_bar(None) is None
    assert loop.tick(2).settled.status == "decided"
    FileSwitch(loop.home.kill_switch_file, loop.runner.clock).throw("flatten", "for the test")
    assert loop.tick(3).settled.status == "decided"
    targets = live_tables(loop.home, loop.session)["targets"].filter(pl.col("decision_time") == loop.ends[3])
    assert targets["target_weight"].abs().sum() < targets["current_weight"].abs().sum()
    assert set(targets.filter(pl.col("target_weight") != pl.col("current_weight"))["reason"]) == {"flatten"}


@pytest.mark.parametrize("trouble", ["thin", "no model"])
def test_flatten_acts_at_a_bar_that_is_too_thin_or_without_models_to_open_anything(
    tiny_home, tmp_path, monkeypatch, trouble
):
    loop = Loop(tiny_home, tmp_path / "replay", "live.minimum_families=9", "live.coverage=1.0")
    held = sorted(loop.runner.opening.state.shares)
    loop.runner.clock.set(loop.ends[0] - timedelta(minutes=1))
    FileSwitch(loop.home.kill_switch_file, loop.runner.clock).throw("flatten", "for the test")
    loop.feed(0)
    if trouble == "thin":
        inbox = loop.runner.market.inbox
        (file,) = [file for file in inbox.pending() if file.kind == "bars"]
        rows = inbox.read(file)
        inbox.done([file])
        inbox.drop("bars", rows.filter(pl.col("symbol").is_in(held[:2])))
        open_names = set(held[2:])
    else:
        monkeypatch.setattr(type(loop.runner.models["ridge"].model), "predict", lambda self, X: 1 / 0)
        open_names = set()
    settled = loop.runner.attempt(loop.ends[0]).settled
    orders = settled.content["orders"]
    assert (settled.status, {order["reason"] for order in orders}) == ("decided", {"flatten"})
    assert {order["instrument"] for order in orders} <= set(held) - open_names
    assert sent_orders(loop.runner.folder) == {order["order_id"] for order in orders}
    assert parity(loop.home, loop.session).is_empty()


def test_missed_bars_are_recorded_before_the_next_is_decided(loop):
    loop.tick(0)
    loop.feed(1)
    loop.feed(2)
    outcome = loop.tick(3)
    assert outcome.settled.status == "decided"
    assert loop.status() == ["decided", "skipped", "skipped", "decided"]
    assert "missed" in loop.runner.log.get(loop.ends[1]).reason
    assert parity(loop.home, loop.session).is_empty()


def test_a_bar_that_does_not_come_is_skipped_after_a_bounded_wait(loop):
    loop.tick(0)
    loop.runner.clock.set(loop.ends[1])
    outcome = loop.runner.wait(loop.ends[1], seconds=0.2)
    assert outcome.settled.status == "skipped"
    assert outcome.settled.reason == "the bar did not come in time"
    assert loop.tick(2).settled.status == "decided"


def test_a_late_tick_does_not_decide_an_old_bar(loop):
    loop.feed(0)
    loop.runner.clock.set(loop.ends[0] + timedelta(seconds=241))
    outcome = loop.runner.attempt(loop.ends[0])
    assert outcome.settled.status == "skipped"
    assert outcome.settled.reason.startswith("late")


def test_a_bar_with_too_few_symbols_holds_and_one_with_enough_goes_on(loop):
    loop.feed(0)
    (file,) = [file for file in loop.runner.market.inbox.pending() if file.kind == "bars"]
    rows = loop.runner.market.inbox.read(file)
    loop.runner.market.inbox.done([file])
    names = rows["symbol"].unique().sort()
    loop.runner.market.inbox.drop("bars", rows.filter(pl.col("symbol").is_in(names[:3].implode())))
    outcome = loop.runner.attempt(loop.ends[0])
    assert outcome.settled.status == "skipped"
    assert outcome.settled.reason.startswith("thin")
    loop.feed(1)
    (file,) = [file for file in loop.runner.market.inbox.pending() if file.kind == "bars"]
    rows = loop.runner.market.inbox.read(file)
    loop.runner.market.inbox.done([file])
    eligible = loop.runner.opening.universe.filter("eligible")["symbol"].unique().sort()
    loop.runner.market.inbox.drop("bars", rows.filter(pl.col("symbol") != eligible[0]))
    assert loop.runner.attempt(loop.ends[1]).settled.status == "decided"
    assert parity(loop.home, loop.session).is_empty()


def test_a_bar_nobody_closed_waits_for_missing_symbols(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay", "live.settle_seconds=0.3")
    loop.feed(0)
    inbox = loop.runner.market.inbox
    inbox.forget_closed(loop.ends[0])
    (file,) = [file for file in inbox.pending() if file.kind == "bars"]
    rows = inbox.read(file)
    inbox.done([file])
    eligible = loop.runner.opening.universe.filter("eligible")["symbol"].unique().sort()
    inbox.drop("bars", rows.filter(pl.col("symbol") != eligible[0]))
    assert loop.runner.attempt(loop.ends[0]) is None
    inbox.drop("bars", rows.filter(pl.col("symbol") == eligible[0]))
    outcome = loop.runner.attempt(loop.ends[0])
    assert outcome.settled.status == "decided"
    assert outcome.numbers["coverage"] == 1.0


def test_a_bar_that_is_dropped_and_closed_while_the_inbox_is_being_emptied_waits_for_the_next_look(loop, monkeypatch):
    """Its mark is there when completeness is judged, its rows are not: it was taken for a bar without symbols once."""
    take = type(loop.runner.market).take

    def slow(self, *arguments):
        found = take(self, *arguments)
        loop.feed(0)
        return found

    loop.runner.clock.set(loop.ends[0])
    with monkeypatch.context() as racing:
        racing.setattr(type(loop.runner.market), "take", slow)
        assert loop.runner.attempt(loop.ends[0]) is None
    assert loop.runner.attempt(loop.ends[0]).settled.status == "decided"


def test_a_bar_ahead_of_the_clock_is_not_decided_although_it_is_said_to_be_complete(loop):
    loop.feed(0)
    loop.runner.clock.set(loop.ends[0] - timedelta(minutes=4))
    assert loop.runner.attempt(loop.ends[0]) is None
    assert loop.status() == []
    loop.runner.clock.set(loop.ends[0])
    assert loop.runner.attempt(loop.ends[0]).settled.status == "decided"


def test_a_failing_model_is_left_out_told_of_and_stays_out_of_that_decision(loop, monkeypatch):
    loop.tick(0)
    model = loop.runner.models["ridge"].model
    with monkeypatch.context() as broken:
        broken.setattr(type(model), "predict", lambda self, X: 1 / 0)
        outcome = loop.tick(1)
    assert outcome.settled.status == "decided"
    assert "ZeroDivisionError" in outcome.settled.failed["ridge"]
    assert [alert.key for alert in outcome.alerts] == ["model:ridge"]
    loop.restart()
    assert loop.tick(2).settled.failed == {}
    rows = loop.home.lake.read("predictions", loop.session, loop.session, model="ridge")
    assert rows["decision_time"].unique().sort().to_list() == [loop.ends[0], loop.ends[2]]
    assert parity(loop.home, loop.session).is_empty()


def test_a_model_file_that_was_changed_is_left_out(loop):
    place = loop.home.models / loop.runner.opening.champions.directories["lightgbm"]
    file = place / next(iter(json.loads((place / "manifest.json").read_text())["files"]))
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content + b" ")
    loop.restart()
    outcome = loop.tick(0)
    assert "sha256" in outcome.settled.failed["lightgbm"]
    assert outcome.settled.status == "decided"


def test_without_enough_models_the_tick_holds(tiny_home, tmp_path, monkeypatch):
    loop = Loop(tiny_home, tmp_path / "replay", "live.minimum_families=9")
    monkeypatch.setattr(type(loop.runner.models["ridge"].model), "predict", lambda self, X: 1 / 0)
    outcome = loop.tick(0)
    assert outcome.settled.status == "skipped"
    assert outcome.settled.reason.startswith("no model")


def test_a_full_disk_decides_nothing(loop, monkeypatch):
    from aurora_pipeline.live import tick

    loop.feed(0)
    with monkeypatch.context() as full:
        full.setattr(tick.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
        outcome = loop.runner.attempt(loop.ends[0])
    assert outcome.settled.reason.startswith("disk full")
    assert loop.tick(1).settled.status == "decided"


def test_parity_ends_where_the_book_does_although_a_later_bar_was_skipped(loop):
    with pytest.raises(BookError, match="no bar has been decided"):
        parity(loop.home, loop.session)
    decided = [loop.tick(position).settled.status for position in range(3)]
    loop.runner.skip(loop.ends[3], "for the test")
    assert (decided, loop.status()) == (["decided"] * 3, [*decided, "skipped"])
    assert parity(loop.home, loop.session).is_empty()


def test_a_session_that_runs_is_not_closed_but_can_be_compared(loop):
    for bar in range(2):
        loop.tick(bar)
    arguments = ["--home", str(loop.home.path), "--session", loop.session.isoformat()]
    refused = CliRunner().invoke(app, ["close", *arguments])
    assert refused.exit_code != 0
    assert "would be skipped for good" in " ".join(str(refused.exception or refused.output).split())
    assert loop.status() == ["decided"] * 2
    compared = CliRunner().invoke(app, ["parity", *arguments])
    assert (compared.exit_code, compared.output) == (
        0, f"{loop.session}: 0 value(s) differ from the session made in one go\n",
    )  # fmt: skip
    assert loop.tick(2).settled.status == "decided"


def test_an_opening_that_changes_while_it_is_read_is_read_again(loop, monkeypatch):
    from aurora_pipeline.live import session_sources

    path = loop.runner.folder / "opening" / "opening.json"
    record = json.loads(path.read_text())

    def reserve(megabytes):
        record["settings"]["live"]["disk_reserve_mb"] = megabytes
        atomic_text(path, json.dumps(record))

    def changed_after_reading(*arguments):
        found = opening_of(*arguments)
        reserve(8)
        return found

    reserve(7)
    with monkeypatch.context() as change:
        change.setattr(session_sources, "opening_of", changed_after_reading)
        loop.tick(0)
    assert loop.runner.settings.live.disk_reserve_mb == 7
    loop.tick(1)
    assert loop.runner.settings.live.disk_reserve_mb == 8


def test_a_process_that_dies_before_the_decision_is_durable_has_decided_nothing(loop, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(type(loop.runner.log), "settle", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            loop.tick(0)
    loop.restart()
    assert loop.runner.attempt(loop.ends[0]).settled.status == "decided"
    assert parity(loop.home, loop.session).is_empty()


def test_a_process_that_dies_after_it_is_completed_by_the_next_tick(loop, monkeypatch):
    from aurora_pipeline.live import tick

    loop.tick(0)
    with monkeypatch.context() as killed:
        killed.setattr(tick, "store_session", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            loop.tick(1)
    assert loop.home.lake.read("targets", book="live")["decision_time"].n_unique() == 1
    loop.restart()
    loop.tick(2)
    assert loop.status() == ["decided"] * 3
    assert parity(loop.home, loop.session).is_empty()


def test_what_was_decided_is_never_rewritten(loop):
    """Stored inputs that change under a running session stop it instead."""
    for bar in range(2):
        loop.tick(bar)
    before = {name: loop.home.lake.read(name, book="live") for name in ("targets", "portfolio")}
    path = loop.runner.market.folder / "bars" / f"live-{loop.session}.parquet"
    rows = pl.read_parquet(path)
    rows.with_columns(pl.col("close") * 0.9999, pl.col("low") * 0.99).write_parquet(path)
    with pytest.raises(BookError, match="would come out differently"):
        loop.tick(2)
    assert loop.status() == ["decided"] * 2
    for name, frame in before.items():
        assert loop.home.lake.read(name, book="live").equals(frame)


def test_a_setting_changed_at_noon_counts_from_tomorrow(loop):
    loop.tick(0)
    loop.home.save_settings(loop.home.settings(["book.name_cap=0.0001"]))
    loop.restart()
    assert loop.tick(1).settled.status == "decided"
    assert opening_of(loop.home, loop.session).settings.book.name_cap == 0.01


def test_a_truncated_file_is_refused_told_of_and_the_bar_is_decided(loop):
    loop.feed(0)
    (loop.runner.market.inbox.folder / "bars-broken.parquet").write_bytes(b"PAR1")
    outcome = loop.runner.attempt(loop.ends[0])
    assert outcome.settled.status == "decided"
    assert [alert.key for alert in outcome.alerts] == ["refused:bars-broken.parquet"]


def test_a_replay_home_knows_nothing_of_its_session(tiny_home, tmp_path):
    loop = Loop(tiny_home, tmp_path / "replay")
    opened = loop.home.calendar.open(loop.session)
    for name in ("bars", "features", "labels", "predictions", "signals", "daily_bars"):
        rows = loop.home.lake.read(name)
        moment = {"labels": "matured_at", "bars": "known_at", "daily_bars": "known_at"}.get(name, "decision_time")
        assert rows[moment].max() < opened
    assert loop.source.lake.read("labels", end=loop.session - timedelta(days=1))["matured_at"].max() > opened
    assert loop.home.folder().span[1] < loop.session


def test_the_job_of_the_tick_reports_todays_partition_of_the_graphs_assets(loop):
    definitions = build_definitions(Home(loop.home.path))
    loop.feed(0)
    config = {"ops": {"decide": {"config": {"session": loop.session.isoformat(), "bar_end": loop.ends[0].isoformat()}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(TICK_JOB).execute_in_process(instance=instance, run_config=config)
        assert result.success
        reported = {event.asset_key.to_user_string() for event in result.all_events if event.is_step_materialization}
        assert reported == set(asset_tables(tuple(loop.runner.models)))
        for asset in ("bars", "prediction/ridge", "target_positions"):
            keys = instance.get_materialized_partitions(dg.AssetKey(asset.split("/")))
            assert keys == {loop.session.isoformat()}
        event = instance.get_latest_materialization_event(dg.AssetKey("target_positions"))
        assert event.asset_materialization.metadata["computation_ms"].value > 0
        assert loop.runner.opening.universe["symbol"][0] in event.asset_materialization.metadata["targets"].value
        again = definitions.resolve_job_def(TICK_JOB).execute_in_process(instance=instance, run_config=config)
        assert not [event for event in again.all_events if event.is_step_materialization]
    assert loop.status() == ["decided"]


def test_a_halted_session_is_told_of_to_whoever_flattens_and_holds_up_the_next_until_it_is_put_back(loop):
    for bar in range(2):
        loop.tick(bar)
    record = loop.runner.folder / "opening" / "opening.json"
    sound = record.read_text()
    content = json.loads(sound)
    content["settings"]["book"]["name_cap"] *= 0.7
    record.write_text(json.dumps(content))
    loop.feed(2)
    config = {"ops": {"decide": {"config": {"session": loop.session.isoformat(), "bar_end": loop.ends[2].isoformat()}}}}
    tick = build_definitions(Home(loop.home.path)).resolve_job_def(TICK_JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        assert not tick.execute_in_process(instance=instance, run_config=config, raise_on_error=False).success
    (alert,) = [row for row in kept_alerts(loop.home) if row["key"] == "tick"]
    assert (alert["severity"], "would come out differently" in alert["text"]) == ("critical", True)
    for command, told in (("flatten", True), ("kill", False)):
        done = CliRunner().invoke(app, [command, "--home", str(loop.home.path)])
        assert (done.exit_code, "would come out differently" in done.output) == (0, told)
    loop.runner.clock.set(loop.ends[-1])
    with pytest.raises(BookError, match="would come out differently"):
        TickRunner(Home(loop.home.path), loop.session).close()
    following = loop.home.calendar.shift(loop.session, 1)
    loop.runner.clock.set(loop.home.calendar.open(following) - timedelta(minutes=30))
    checks = {check.name: check for check in run_preflight(Home(loop.home.path), following, train_fold)}
    assert "would come out differently" in checks["missed sessions"].found
    record.write_text(sound)
    TickRunner(Home(loop.home.path), loop.session).close()
    assert BookStore(loop.home.lake, "live").ends(loop.session)
    assert parity(loop.home, loop.session).is_empty()


def test_a_kill_sends_nothing_more_and_changes_nothing_that_was_decided(loop):
    for bar in range(3):
        loop.tick(bar)
    before = loop.home.lake.read("targets", book="live")
    thrown = loop.ends[2] + timedelta(seconds=1)
    rows = [{"mode": "halt", "reason": "fire drill", "since": thrown.isoformat()}]
    loop.home.kill_switch_file.write_text(json.dumps(rows))
    for bar in range(3, 6):
        loop.tick(bar)
    assert loop.status() == ["decided"] * 6
    orders = loop.home.lake.read("orders", book="live").filter(pl.col("decision_time") >= loop.ends[2])
    assert set(orders.filter(pl.col("decision_time") > loop.ends[2]).get_column("reason")) == {"kill_switch"}
    assert set(orders.filter(pl.col("decision_time") == loop.ends[2]).get_column("status")) <= {"cancelled"}
    assert loop.home.lake.read("fills", book="live").filter(pl.col("fill_time") > loop.ends[2]).is_empty()
    after = loop.home.lake.read("targets", book="live")
    assert before.join(after, on=before.columns, how="anti", nulls_equal=True).is_empty()
    assert parity(loop.home, loop.session).is_empty()


def test_after_a_resume_what_was_refused_stays_refused_and_the_book_trades_again(loop):
    switch = FileSwitch(loop.home.kill_switch_file, loop.runner.clock)
    loop.tick(0)
    switch.throw("halt", "fire drill")
    loop.tick(1)
    loop.runner.clock.set(loop.ends[1] + timedelta(minutes=1))
    switch.throw("on", "drill over")
    for bar in range(2, 5):
        loop.tick(bar)
    assert loop.status() == ["decided"] * 5
    orders = loop.home.lake.read("orders", book="live")
    refused = orders.filter(pl.col("decision_time") == loop.ends[1])
    assert set(refused.select("status", "reason").iter_rows()) == {("rejected", "kill_switch")}
    assert "filled" in set(orders.filter(pl.col("decision_time") > loop.ends[1]).get_column("status"))
    assert not loop.home.lake.read("events", book="live").get_column("event").str.starts_with("breaker").any()
    assert parity(loop.home, loop.session).is_empty()


def test_a_kill_between_decision_and_sending_sends_nothing(loop, monkeypatch):
    loop.tick(0)
    settle = type(loop.runner.log).settle

    def settle_and_kill(self, *arguments, **content):
        settled = settle(self, *arguments, **content)
        loop.runner.clock.set(loop.ends[1] + timedelta(seconds=2))
        FileSwitch(loop.home.kill_switch_file, loop.runner.clock).throw("halt", "at the last moment")
        return settled

    with monkeypatch.context() as thrown:
        thrown.setattr(type(loop.runner.log), "settle", settle_and_kill)
        wanted = {order["order_id"] for order in loop.tick(1).settled.content["orders"]}
    assert wanted
    assert not wanted & sent_orders(loop.runner.folder)
    for bar in range(2, 4):
        loop.tick(bar)
    orders = loop.home.lake.read("orders", book="live").filter(pl.col("order_id").is_in(list(wanted)))
    assert set(orders.select("status", "reason").iter_rows()) == {("rejected", "not_sent")}
    assert parity(loop.home, loop.session).is_empty()


def test_a_switch_that_could_not_be_read_for_a_bar_stays_a_halt_of_that_bar(loop):
    loop.tick(0)
    loop.home.kill_switch_file.write_text("{")
    loop.tick(1)
    loop.home.kill_switch_file.unlink()
    for bar in range(2, 4):
        loop.tick(bar)
    assert loop.status() == ["decided"] * 4
    orders = loop.home.lake.read("orders", book="live")
    refused = orders.filter(pl.col("decision_time") == loop.ends[1])
    assert set(refused.select("status", "reason").iter_rows()) == {("rejected", "kill_switch")}
    assert "filled" in set(orders.filter(pl.col("decision_time") > loop.ends[1]).get_column("status"))
    assert parity(loop.home, loop.session).is_empty()
