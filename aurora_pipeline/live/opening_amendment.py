"""Late rows of earlier sessions: their tables are made again, and the running session's look-back with them.

Every row carries the moment it became known, so decisions taken before see nothing of it. What the session rests on beyond its
look-back (weights, calibration, models, the book) stays as it was fixed before the open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline.live.decision_log import session_folder
from aurora_pipeline.live.session_champions import FINGERPRINT
from aurora_pipeline.live.session_opening import SessionOpening, look_back
from aurora_pipeline.lookback import BAR_LOOKBACK, SESSION_LOOKBACK
from aurora_pipeline.market.ingest import LOOKBACK_SESSIONS, FeedTables, ingest_bars

_TABLES = ("universe", "bars", "session_bars", "data_quality")


def amend_opening(home: Home, opening: SessionOpening, days: Sequence[date], feeds: FeedTables) -> SessionOpening:
    """Make earlier sessions again from the first that has new rows, store them, and return the opening with them.

    Parameters
    ----------
    home : Home
    opening : SessionOpening
        Of the running session.
    days : sequence of date
        Sessions before it that have new rows, sorted.
    feeds : FeedTables
        Everything the feeds have told.
    """
    settings, lake, folder = opening.settings, home.lake, home.folder()
    sessions = [day for day in home.sessions(settings) if day < opening.session]
    changed = [day for day in sessions[-LOOKBACK_SESSIONS:] if day >= days[0]]
    if not changed:
        return opening
    keys = {day.isoformat(): FINGERPRINT for day in changed}
    at = sessions.index(changed[0])

    def back(count: int) -> tuple[date, date]:
        return sessions[max(0, at - count)], changed[-1]

    recent = (
        lake.read("bars", sessions[max(0, at - LOOKBACK_SESSIONS)], sessions[at - 1])
        if at
        else lake.read("bars").clear()
    )
    made = ingest_bars(folder.read_bars(changed), changed, feeds, folder.manifest, home.calendar, recent, settings)
    for name in _TABLES:
        lake.write_sessions(name, getattr(made, name), keys)
    lake.write_sessions("quarantine", made.quarantine, keys, source="bars")
    residuals = compute_residual_returns(
        ResidualInputs(
            sessions=changed,
            calendar=home.calendar,
            frequency=home.frequency,
            manifest=folder.manifest,
            settings=settings,
            bars=lake.read("bars", *back(BAR_LOOKBACK)),
            session_bars=lake.read("session_bars", *back(SESSION_LOOKBACK)),
            universe=lake.read("universe", *back(BAR_LOOKBACK)),
            daily_bars=feeds["daily_bars"],
            corporate_actions=feeds["corporate_actions"],
        )
    )
    lake.write_sessions("residual_returns", residuals, keys)
    frames: dict[str, Any] = look_back(home, sessions)
    amended = replace(opening, **frames)
    amended.save(session_folder(home.path / "live", opening.session) / "opening")
    return amended
