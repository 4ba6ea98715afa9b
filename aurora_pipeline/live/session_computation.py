"""The running session of a home computed up to a bar, and held against what was decided and booked before.

Joins what the home holds (opening, feeds, models, stored scores, sent orders) to the functions of :mod:`.session_tables`. Nothing
is written here.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import date, datetime
from itertools import pairwise

import polars as pl

from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.live_market import LiveMarket
from aurora_pipeline.adapters.models.zoo import read_served
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.kill_switch import KillSwitch
from aurora_pipeline.execution.session_result import SessionResult
from aurora_pipeline.live.decision_log import DecisionLog, digest, session_folder
from aurora_pipeline.live.paper_broker import sent_orders
from aurora_pipeline.live.recorded_switch import RecordedSwitch
from aurora_pipeline.live.session_opening import BOOK
from aurora_pipeline.live.session_sources import SessionSources
from aurora_pipeline.live.session_tables import (
    TRADED_TABLES,
    SessionTables,
    market_tables,
    score,
    signal_tables,
    trade,
)
from aurora_pipeline.models.training_pipeline import TrainedModel


class SessionComputation:
    """Computes one session of a home, from its first bar on each time.

    Parameters
    ----------
    home : Home
        A live home (:mod:`.homes`).
    session : date
    market : LiveMarket
        The home's.
    sources : SessionSources
        Opening and feeds of the session.
    models : mapping of str to TrainedModel
        Family to the model that serves.
    broken : mapping of str to str
        Families whose model could not be loaded, with the reason.
    log : DecisionLog
        What was settled.
    """

    def __init__(
        self,
        home: Home,
        session: date,
        market: LiveMarket,
        sources: SessionSources,
        models: Mapping[str, TrainedModel],
        broken: Mapping[str, str],
        log: DecisionLog,
    ) -> None:
        self._home = home
        self._session = session
        self._market = market
        self._sources = sources
        self._models = models
        self._broken = broken
        self._log = log

    def up_to(self, until: datetime, switch: KillSwitch) -> SessionTables:
        """Compute the session up to the bar that ends then; scores that decisions rest on are kept, the others made."""
        return self._computed(until, switch, self._stored_predictions(), self._decided_without())

    def rehearse(self, until: datetime) -> SessionTables:
        """The same with every score made anew, so that code, files and models are at hand when a bar comes."""
        return self._computed(until, self.switch(), self._stored_predictions().clear(), {})

    def switch(self) -> RecordedSwitch:
        """The kill switch, as it stood at each bar settled before and as it stands now."""
        return RecordedSwitch(FileSwitch(self._home.kill_switch_file), self._log)

    def require_unchanged(self, result: SessionResult) -> None:
        """Refuse to go on if anything decided or booked before would come out differently now.

        Raises
        ------
        BookError
            With the table and the first row that differs.
        """
        targets = {rows.item(0, "decision_time"): rows for rows in result.targets.partition_by("decision_time")}
        for settled in self._log:
            if settled.status == "decided":
                again = targets.get(settled.bar_end, result.targets.clear())
                if digest(again) != settled.content["digest"]:
                    self._refuse("targets", f"{settled.bar_end:%H:%M} UTC")
        for name in TRADED_TABLES:
            stored = self._home.lake.read(name, self._session, self._session, book=BOOK)
            gone = stored.join(getattr(result, name), on=stored.columns, how="anti", nulls_equal=True)
            if not gone.is_empty():
                self._refuse(name, str(gone.row(0, named=True)))

    def _computed(
        self,
        until: datetime,
        switch: KillSwitch,
        stored: pl.DataFrame,
        decided_without: Mapping[str, Collection[datetime]],
    ) -> SessionTables:
        opening, feeds = self._sources.opening, self._sources.feeds
        manifest, calendar = self._sources.manifest, self._home.calendar
        marks = [time.perf_counter()]
        raw = self._market.session_bars(self._session)
        marks.append(time.perf_counter())
        market = market_tables(opening, raw, feeds, until, manifest, calendar)
        marks.append(time.perf_counter())
        predictions, failed = score(market.features, self._models, stored, decided_without)
        ensemble, signals = signal_tables(opening, predictions)
        marks.append(time.perf_counter())
        skipped = [settled.bar_end for settled in self._log if settled.status == "skipped"]
        sent = sent_orders(session_folder(self._home.path / "live", self._session))
        result, inputs, positions = trade(
            opening, market, signals, feeds, until, skipped, manifest, calendar, switch, sent
        )
        marks.append(time.perf_counter())
        spans = [round((after - before) * 1000, 1) for before, after in pairwise(marks)]
        return SessionTables(
            market=market,
            predictions=predictions,
            failed=failed | dict(self._broken),
            ensemble=ensemble,
            signals=signals,
            result=result,
            inputs=inputs,
            positions=positions,
            timings_ms=dict(zip(("read", "market", "signals", "book"), spans, strict=True)),
        )

    def _stored_predictions(self) -> pl.DataFrame:
        return read_served(self._home, self._sources.opening.champions.members, self._session, self._session)

    def _decided_without(self) -> dict[str, set[datetime]]:
        """Family to the decision times that were decided without it."""
        found: dict[str, set[datetime]] = {}
        for settled in self._log:
            for family in settled.failed:
                found.setdefault(family, set()).add(settled.bar_end)
        return found

    def _refuse(self, name: str, where: str) -> None:
        raise BookError(
            f"book {BOOK}, session {self._session}: {name} of {where} would come out differently now, so nothing is decided. "
            "Code or stored inputs changed during the session; put back what changed: until then neither a decision nor "
            "`aurora flatten` can act, positions stay"
        )
