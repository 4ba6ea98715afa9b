"""What a running session rests on beside its bars: its opening and the feeds, as they were last stored by whichever tick.

Ticks of one session run in several processes, one at a time under the lock of the home. Each looks, once it holds the lock,
whether another has stored something since it last looked.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.live_market import FEEDS_MARK, LiveMarket
from aurora_pipeline.adapters.storage.feed_store import store_feeds
from aurora_pipeline.contracts import FEED_TABLES
from aurora_pipeline.fingerprints import feeds_fingerprint
from aurora_pipeline.live.decision_log import session_folder
from aurora_pipeline.live.opening_amendment import amend_opening
from aurora_pipeline.live.session_opening import SessionOpening, opening_of
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.market.ingest import FeedTables, ingest_feeds, stored_feeds
from aurora_pipeline.market.manifest import read_manifest


class SessionSources:
    """Opening and feeds of one session.

    Parameters
    ----------
    home : Home
        A live home (:mod:`.homes`).
    session : date
    market : LiveMarket
        The home's.

    Attributes
    ----------
    opening : SessionOpening
        What was fixed before the open, with late rows of earlier sessions worked in.
    manifest : Manifest
        Of the live market folder.
    """

    def __init__(self, home: Home, session: date, market: LiveMarket) -> None:
        self._home = home
        self._session = session
        self._market = market
        self.manifest = read_manifest(market.folder)
        self._stamps = self._stored()  # before the reading: what changes meanwhile is read again
        self.opening: SessionOpening = opening_of(home, session)
        self._feeds: FeedTables | None = None

    @property
    def feeds(self) -> FeedTables:
        """Feeds as the lake has them; read when they are first asked for."""
        if self._feeds is None:
            folder = MarketFolder(self._market.folder, self.manifest)
            self._feeds = stored_feeds(folder, {name: self._home.lake.read(name) for name in FEED_TABLES})
        return self._feeds

    def follow(self) -> None:
        """Under the lock: read again what another tick has stored, then store what the market's new rows change."""
        stamps = self._stored()
        if stamps[0] != self._stamps[0]:
            self._feeds = None
        if stamps[1] != self._stamps[1]:
            self.opening = opening_of(self._home, self._session)
        changed = self._market.changed()
        if FEEDS_MARK in changed:
            self._store_feeds()
        days = sorted(date.fromisoformat(name) for name in changed - {FEEDS_MARK})
        if days:
            self.opening = amend_opening(self._home, self.opening, days, self.feeds)
        self._market.followed(changed)
        self._stamps = self._stored() if changed else stamps

    def _stored(self) -> tuple[int, int]:
        """When the stored feeds and the opening were last written, ns; 0 for what is not there yet."""
        opening = session_folder(self._home.path / "live", self._session) / "opening" / "opening.json"
        feeds = [self._home.lake.path(name) for name in FEED_TABLES]
        return max(map(_written, feeds)), _written(opening)

    def _store_feeds(self) -> None:
        folder, settings = self._home.folder(), self.opening.settings
        feeds = ingest_feeds(folder, settings)
        store_feeds(self._home, feeds, feeds_fingerprint(folder, settings))
        self._feeds = feeds


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
