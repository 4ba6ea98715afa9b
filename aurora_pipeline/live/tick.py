"""One tick: what lies in the inbox becomes market, the newest bar becomes a decision, the decision becomes durable.

Under one lock of the home, in this order:

1. the inbox's rows join the market (:mod:`aurora_pipeline.adapters.live_market`);
2. the bar is looked at: settled before, still incomplete, too old, too thin: then nothing is decided, and a reason is kept;
3. the session is computed up to it (:mod:`.session_computation`), and every decision taken before must come out unchanged;
4. the decision is settled in the log (:mod:`.decision_log`): from here on it is durable;
5. its orders are sent (:mod:`.paper_broker`);
6. the lake's partitions of today are replaced.

A process that dies before 4 has decided nothing: the lock is gone with it and the next tick takes the bar. One that dies after it
is completed by the next tick: orders are sent as long as the bar they could fill in runs, and never afterwards.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.adapters.clock import Clock, clock_of
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.live_market import Arrivals, LiveMarket
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import PendingOrder, read_order
from aurora_pipeline.execution.limits import limit_violations
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.bar_arrival import BarArrival, reason_to_skip
from aurora_pipeline.live.decision_log import DecisionLog, Settled, decision_log, digest, newest_settled, session_folder
from aurora_pipeline.live.model_loading import load_champions
from aurora_pipeline.live.paper_broker import save_account, send
from aurora_pipeline.live.recorded_switch import RecordedSwitch
from aurora_pipeline.live.session_computation import SessionComputation
from aurora_pipeline.live.session_opening import BOOK, SessionOpening
from aurora_pipeline.live.session_sources import SessionSources
from aurora_pipeline.live.session_store import store_session
from aurora_pipeline.live.session_tables import SessionTables
from aurora_pipeline.live.waiting import waiting_for
from aurora_pipeline.settings import Settings

LOCK = "live"
_LOOK_ANYWAY = 0.5
"""Seconds after which a waiting tick looks at its bar although nothing new lies in the inbox."""
_MEGABYTE = 1_000_000


@dataclass
class TickOutcome:
    """What a tick did.

    Attributes
    ----------
    session : date
    bar_end : datetime
    settled : Settled
        What stands in the log.
    own : bool
        Whether this tick settled the bar; otherwise somebody had before.
    timings_ms : dict of str to float
        Milliseconds by part; `computation` is from rows to decision, `durable` ends when the decision was on disk.
    rows : dict of str to int
        Rows of each lake table written.
    numbers : dict of str to float
        Headline of the book: NAV, gross, net, names, coverage.
    alerts : list of Alert
    """

    session: date
    bar_end: datetime
    settled: Settled
    own: bool = True
    timings_ms: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)


class TickRunner:
    """Takes the decisions of one session of a home.

    Parameters
    ----------
    home : Home
        A live home (:mod:`.homes`).
    session : date, optional
        The running one by default.
    clock : Clock, optional
        The home's by default.

    Attributes
    ----------
    moments : dict of str to float
        When what happened, seconds since 1970: `opened` (models loaded) and `begun` (the bar taken up); whoever runs the tick
        adds `process` and `step`. Kept with each decision.
    """

    def __init__(self, home: Home, session: date | None = None, clock: Clock | None = None) -> None:
        home.require_local("the live book")
        live = home.path / "live"
        self.home = home
        self.clock = clock or clock_of(live)
        self.session = session or home.calendar.running_session(self.clock.now())
        self.log: DecisionLog = decision_log(live, self.session)
        self.folder = session_folder(live, self.session)
        self.market = LiveMarket(home)
        self.sources = SessionSources(home, self.session, self.market)
        self.bar_ends = home.calendar.bar_ends(self.session)
        self.arrival = BarArrival(self.market, self.session, self.bar_ends)
        with ThreadPoolExecutor(1) as beside:
            feeds = beside.submit(lambda: self.sources.feeds)  # while the models are loaded
            places = self.opening.champions.directories
            self.models, broken = load_champions(home.models, places, self.settings.threads)
        feeds.result()
        self.computation = SessionComputation(
            home, self.session, self.market, self.sources, self.models, broken, self.log
        )
        self.moments: dict[str, float] = {"opened": time.time()}

    @property
    def opening(self) -> SessionOpening:
        """What was fixed before the open."""
        return self.sources.opening

    @property
    def settings(self) -> Settings:
        """Those of the opening."""
        return self.opening.settings

    def due(self, now: datetime) -> datetime:
        """End of the newest bar that is over, or of the session's first."""
        over = [end for end in self.bar_ends if end <= now]
        return over[-1] if over else self.bar_ends[0]

    def warm_up(self) -> None:
        """Compute what can be computed before the bar comes, so that code and files are at hand when it does."""
        self.computation.rehearse(self.log.newest() or self.bar_ends[0])

    def wait(self, bar_end: datetime, seconds: float | None = None, poll: float = 0.05) -> TickOutcome:
        """Decide a bar as soon as it is there; record that it was skipped if it does not come in time after its end."""
        ahead = max(0.0, (bar_end - self.clock.now()).total_seconds())
        deadline = time.monotonic() + ahead + (self.settings.live.wait_seconds if seconds is None else seconds)
        seen, looked = (0, ""), -_LOOK_ANYWAY
        with waiting_for(self.home.path / "live", bar_end):
            while True:
                newest = self.market.inbox.newest()
                if newest != seen or time.monotonic() - looked >= _LOOK_ANYWAY:
                    seen, looked = newest, time.monotonic()
                    outcome = self.attempt(bar_end)
                    if outcome is not None:
                        return outcome
                if time.monotonic() >= deadline:
                    return self.skip(bar_end, "the bar did not come in time")
                time.sleep(poll)

    def attempt(self, bar_end: datetime | None = None) -> TickOutcome | None:
        """Take the inbox in and decide one bar, the newest that is there by default; None while it is not complete."""
        with self._locked() as arrivals:
            wanted = bar_end or self.arrival.newest()
            if wanted is None:
                return None
            settled = self.log.get(wanted)
            if settled is not None:
                self._send_what_was_not(settled)
                return TickOutcome(self.session, wanted, settled, own=False, alerts=_of_arrivals(arrivals))
            skew = timedelta(seconds=self.settings.live.clock_skew_seconds)
            coverage = self.arrival.coverage(wanted, self.opening.universe)
            complete = self.arrival.complete(wanted, coverage, self.settings.live.settle_seconds)
            if wanted > self.clock.now() + skew or not complete:
                return None
            outcome = self._decide(wanted, coverage)
            outcome.alerts += _of_arrivals(arrivals)
            return outcome

    def skip(self, bar_end: datetime, reason: str) -> TickOutcome:
        """Record that nothing is decided at a bar, unless it has been settled."""
        with self._locked() as arrivals:
            settled = self.log.get(bar_end)
            if settled is not None:
                return TickOutcome(self.session, bar_end, settled, own=False, alerts=_of_arrivals(arrivals))
            outcome = self._skip(bar_end, reason)
            outcome.alerts += _of_arrivals(arrivals)
            return outcome

    @contextmanager
    def _locked(self) -> Iterator[Arrivals]:
        with self.home.locked(LOCK):
            skew = timedelta(seconds=self.settings.live.clock_skew_seconds)
            self.arrival.look_at_marks()
            decided = newest_settled(self.home.path / "live", self.session)
            arrivals = self.market.take(self.session, self.clock.now(), decided, skew)
            self.sources.follow()
            yield arrivals

    def _send_what_was_not(self, settled: Settled) -> None:
        """Send the orders of a decision whose process died before it had, while their bar still runs."""
        orders = [read_order(dict(order)) for order in settled.content.get("orders", ())]
        now = self.clock.now()
        self._send([order for order in orders if order.execute_by > now])

    def _send(self, orders: Sequence[PendingOrder]) -> None:
        """Send what the switch lets through now; the rest stays unsent, and is refused as such once its bar is over."""
        mode = FileSwitch(self.home.kill_switch_file).state(self.clock.now()).mode
        send(
            self.folder,
            [order for order in orders if mode == "on" or (mode == "flatten" and order.reason == "flatten")],
        )

    def _skip(self, bar_end: datetime, reason: str) -> TickOutcome:
        switch = self.computation.switch().record(bar_end)
        settled = self.log.settle(
            bar_end, "skipped", reason, switch=switch, settled_at=datetime.now(tz=UTC).isoformat()
        )
        self.market.inbox.forget_closed(bar_end)
        alert = Alert("warning", f"skipped:{reason.partition(':')[0]}", f"{bar_end:%H:%M} UTC skipped: {reason}")
        return TickOutcome(self.session, bar_end, settled, alerts=[alert])

    def _decide(self, bar_end: datetime, coverage: float) -> TickOutcome:
        started = time.perf_counter()
        self.moments["begun"] = time.time()
        self._skip_missed(bar_end)
        age = (self.clock.now() - bar_end).total_seconds()
        free = shutil.disk_usage(self.home.path).free / _MEGABYTE
        switch = self.computation.switch()
        # A flatten closes what it can: thin bars and missing models do not hold it up.
        flatten = switch.state(bar_end).mode == "flatten"
        reason = reason_to_skip(age, 1.0 if flatten else coverage, free, self.settings.live)
        if reason is not None:
            return self._skip(bar_end, reason)
        made = self.computation.up_to(bar_end, switch)
        reason = None if flatten else self._reason_not_to_trust(made)
        if reason is not None:
            return self._skip(bar_end, reason)
        breaches = limit_violations(made.result, made.inputs, self.settings).filter(pl.col("decision_time") == bar_end)
        if not breaches.is_empty():
            raise BookError(f"book {BOOK}, {bar_end}: limit breached, nothing sent: {breaches.row(0, named=True)}")
        self.computation.require_unchanged(made.result)
        computed = time.perf_counter()
        settled = self._settle(bar_end, coverage, made, switch)
        durable = time.perf_counter()
        self._send(made.result.state.pending)
        self.market.inbox.forget_closed(bar_end)
        rows = self._store(made, bar_end)
        stored = time.perf_counter()
        return TickOutcome(
            self.session,
            bar_end,
            settled,
            timings_ms={
                **made.timings_ms,
                "computation": round((computed - started) * 1000, 1),
                "durable": round((durable - started) * 1000, 1),
                "lake": round((stored - durable) * 1000, 1),
            },
            rows=rows,
            numbers=self._headline(made, coverage),
            alerts=[
                Alert("warning", f"model:{name}", f"{name} gave no scores at {bar_end:%H:%M} UTC: {text}")
                for name, text in made.failed.items()
            ],
        )

    def _skip_missed(self, bar_end: datetime) -> None:
        """Settle the bars before one that nobody took up."""
        for end in self.bar_ends:
            if end < bar_end and self.log.get(end) is None:
                self._skip(end, "missed: no tick had decided it before a later bar came")

    def _reason_not_to_trust(self, made: SessionTables) -> str | None:
        """Why what was computed is no ground for a decision: too few families gave scores."""
        trading = self.opening.champions.members
        if not trading or len(trading) - len(made.failed) >= self.settings.live.minimum_families:
            return None
        return "no model: " + "; ".join(f"{name}: {text}" for name, text in made.failed.items())

    def _settle(self, bar_end: datetime, coverage: float, made: SessionTables, switch: RecordedSwitch) -> Settled:
        """Make the decision durable."""
        targets = made.result.targets.filter(pl.col("decision_time") == bar_end)
        return self.log.settle(
            bar_end,
            "decided",
            digest=digest(targets),
            switch=switch.record(bar_end),
            failed=made.failed,
            coverage=coverage,
            targets=targets.drop("book", "session", "decision_time").to_dicts(),
            orders=[_plain(asdict(order)) for order in made.result.state.pending],
            timings_ms=made.timings_ms,
            moments=self.moments,
            settled_at=datetime.now(tz=UTC).isoformat(),
        )

    def _headline(self, made: SessionTables, coverage: float) -> dict[str, float]:
        account = made.result.portfolio.row(-1, named=True)
        return {
            "nav": round(account["nav"], 2),
            "gross": account["gross"],
            "net": account["net"],
            "orders": float(len(made.result.state.pending)),
            "coverage": coverage,
            "capital": self.opening.capital,
            "families": float(len(self.opening.champions.members) - len(made.failed)),
        }

    def close(self) -> list[Settled]:
        """Settle what is left of the session as skipped and bring the account to its last bar; returns the whole log.

        Raises
        ------
        BookError
            The session still runs: its bars to come would be skipped for good.
        """
        now, ends = self.clock.now(), self.bar_ends[-1]
        if now < ends:
            raise BookError(
                f"session {self.session} runs until {ends:%H:%M} UTC and the home's clock says {now:%Y-%m-%d %H:%M}: closed "
                "now, its bars to come would be skipped for good; `aurora parity` compares without closing"
            )
        with self._locked():
            for end in self.bar_ends:
                if self.log.get(end) is None:
                    self._skip(end, "missed: the session ended")
            made = self.computation.up_to(self.bar_ends[-1], self.computation.switch())
            self.computation.require_unchanged(made.result)
            self._store(made, self.bar_ends[-1])
        return list(self.log)

    def _store(self, made: SessionTables, bar_end: datetime) -> dict[str, int]:
        save_account(self.home.path / "live", self.session, bar_end, made.positions)
        return store_session(self.home, self.opening, made)


def _of_arrivals(arrivals: Arrivals) -> list[Alert]:
    found = [Alert("warning", f"refused:{name}", reason) for name, reason in arrivals.refused.items()]
    return found + [Alert("warning", "clock_skew", f"{name} waits: {reason}") for name, reason in arrivals.held.items()]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
