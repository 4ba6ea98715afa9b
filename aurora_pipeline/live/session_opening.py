"""What a session's decisions rest on and what does not change while it runs, fixed once before its first bar.

Look-back of bars, returns and universe; ensemble weights and calibration from what had matured before the open; who trades, and
from which files (:mod:`.session_champions`); the book's state at the end of the session before and what the broker holds; the
settings, at the share of the capital the book has earned (:mod:`.capital`). Kept in `<home>/live/sessions/<session>/opening/`,
so that a tick reads a few files, a restart goes on with the same numbers, and a setting changed at noon counts from tomorrow.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.clock import clock_of
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.champions_in_force import weights_of_champions
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import FEED_TABLES, empty
from aurora_pipeline.ensemble.residual_volatility import bars_per_session, residual_volatility
from aurora_pipeline.ensemble.signal_calibrator import calibration_states
from aurora_pipeline.errors import LakeError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.alerting import tell
from aurora_pipeline.live.capital import capital_step, settings_at, stepped_down
from aurora_pipeline.live.decision_log import decision_log, session_folder
from aurora_pipeline.live.paper_broker import BrokerView, carried_over, read_account
from aurora_pipeline.live.session_champions import SessionChampions, choose_champions
from aurora_pipeline.lookback import BAR_LOOKBACK, RISK_LOOKBACK, SESSION_LOOKBACK
from aurora_pipeline.market.ingest import LOOKBACK_SESSIONS, stored_feeds
from aurora_pipeline.market.universe import listed_on
from aurora_pipeline.models.walk_forward import make_folds
from aurora_pipeline.policy.holding_period import WINDOW_SESSIONS, closing_scores
from aurora_pipeline.policy.session_returns import session_returns
from aurora_pipeline.settings import Settings

BOOK = "live"
RECORD = "opening.json"
_SCORES = ("session", "symbol", "decision_time", "score")
_LABELS = ("session", "symbol", "decision_time", "label", "matured_at")
_RESIDUALS = ("session", "symbol", "instrument_id", "bar_end", "known_at", "quarantined_at", "residual_return")
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_FRAMES = (
    "bars", "session_bars", "residual_returns", "universe", "returns", "weights", "calibration", "volatility", "scores",
)  # fmt: skip


@dataclass(frozen=True)
class SessionOpening:
    """Everything fixed before a session's first bar.

    Attributes
    ----------
    session : date
    settings : Settings
        In force for the whole session, limits at the share of the capital in use.
    champions : SessionChampions
        Who trades, and from which files.
    capital : float
        Share of the capital in use, fraction.
    state : BookState or None
        Book at the end of the session before; None for a book that starts flat.
    broker : BrokerView
        What the broker holds, and the orders of the last bar before that it was sent.
    bars, session_bars, residual_returns, universe : polars.DataFrame
        Lake tables over the look-back, this session left out.
    returns : polars.DataFrame
        Session returns of the risk model's look-back.
    weights, calibration, volatility : polars.DataFrame
        Of this session: table `ensemble_weights`, the calibrator's state, forecast volatility by symbol.
    scores : polars.DataFrame
        Scores at the last decision of the sessions before: how long an edge lasts is measured from them.
    """

    session: date
    settings: Settings
    champions: SessionChampions
    capital: float
    state: BookState | None
    broker: BrokerView
    bars: pl.DataFrame
    session_bars: pl.DataFrame
    residual_returns: pl.DataFrame
    universe: pl.DataFrame
    returns: pl.DataFrame
    weights: pl.DataFrame
    calibration: pl.DataFrame
    volatility: pl.DataFrame
    scores: pl.DataFrame

    def save(self, folder: Path) -> None:
        """Write the opening, whole or not at all: it is there, or the new one is, once `opening.json` is replaced.

        The tables lie in a folder of their own that the record names; those of the opening before stay for who is reading them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        before = _record(folder).get("frames")
        frames = Path(tempfile.mkdtemp(prefix="frames-", dir=folder))
        for name in _FRAMES:
            getattr(self, name).write_parquet(frames / f"{name}.parquet")
        record = {
            "frames": frames.name,
            "session": self.session.isoformat(),
            "settings": self.settings.model_dump(mode="json"),
            "members": self.champions.members,
            "models": self.champions.directories,
            "problems": self.champions.problems,
            "capital": self.capital,
            "state": self.state.to_json() if self.state else None,
            "positions": self.broker.positions,
            "carried": sorted(self.broker.sent),
        }
        atomic_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
        for old in folder.glob("frames-*"):
            if old.name not in (frames.name, before):
                shutil.rmtree(old, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> SessionOpening:
        """Read what :meth:`save` wrote."""
        record = _record(folder)
        tables = folder / record.get("frames", "")  # an opening of an earlier release has them beside the record
        frames = {name: pl.read_parquet(tables / f"{name}.parquet", glob=False) for name in _FRAMES}
        return cls(
            session=date.fromisoformat(record["session"]),
            settings=Settings.model_validate(record["settings"]),
            champions=SessionChampions(record["members"], record["models"], tuple(record["problems"])),
            capital=record["capital"],
            state=BookState.from_json(record["state"]) if record["state"] else None,
            broker=BrokerView(record["positions"], frozenset(record["carried"])),
            **frames,
        )


def opening_of(home: Home, session: date) -> SessionOpening:
    """Return the session's opening, made, kept and told of at the first call."""
    folder = session_folder(home.path / "live", session) / "opening"
    if not (folder / RECORD).exists():
        with home.locked("opening"):
            if not (folder / RECORD).exists():
                made = build_opening(home, session)
                tell(home, made.champions.alerts(session))
                made.save(folder)
    return SessionOpening.load(folder)


def reopen(home: Home, session: date) -> bool:
    """Forget the opening of a session that has not begun, so that it is made of what the home holds by then.

    Returns whether there was one. Evidence and decisions of persons that came after it was made would otherwise count from the
    session after.
    """
    live = home.path / "live"
    record = session_folder(live, session) / "opening" / RECORD
    with home.locked("opening"):
        begun = clock_of(live).now() >= home.calendar.open(session) or decision_log(live, session).newest() is not None
        if begun or not record.exists():
            return False
        record.unlink()
        return True


def _record(folder: Path) -> dict[str, Any]:
    """Everything of an opening but its tables; empty where there is none."""
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def build_opening(home: Home, session: date, served: SessionOpening | None = None) -> SessionOpening:
    """Compute a session's opening from the lake.

    Parameters
    ----------
    home : Home
    session : date
    served : SessionOpening, optional
        The one the session was traded with, when it is made again: settings, files that serve, share of the capital and the
        broker's account are facts of that time and are taken from it. By default they are found out now.

    Raises
    ------
    LakeError
        Sessions before it are not in the lake.
    BookError
        The live book does not end with the session before.
    """
    settings = served.settings if served else home.settings()
    sessions = [day for day in home.sessions(settings) if day <= session]
    if sessions[-1:] != [session]:
        raise LakeError(f"home {home.path} does not reach {session}; its market ends with {home.market().last_session}")
    earlier = sessions[:-1]
    _require_history(home, earlier)
    scored_from = make_folds(sessions, home.frequency, settings)[0].test_sessions[0]
    axis = [day for day in sessions if day >= scored_from]
    state = book_before(home, session, sessions)
    if served:
        champions, capital, broker = served.champions, served.capital, served.broker
    else:
        champions = choose_champions(home, settings, axis)
        standing = capital_step(home, settings, BOOK, session)
        if standing.since == session and standing.before is not None:
            tell(home, [Alert("info", "capital", f"{session}: {standing.text}")])
        capital, settings = standing.share, settings_at(settings, standing.share)
        broker = _broker_before(home, earlier[-1], state)
    if state is not None:
        state = stepped_down(home, settings, session, state)
    weights, calibration, volatility = _evidence(home, axis, settings, champions.members)
    return SessionOpening(
        session=session,
        settings=settings,
        champions=champions,
        capital=capital,
        state=state,
        broker=broker,
        **look_back(home, earlier),
        weights=weights,
        calibration=calibration,
        volatility=volatility,
        scores=_closing_scores(home, earlier, scored_from),
    )


def _broker_before(home: Home, before: date, state: BookState | None) -> BrokerView:
    """What the broker holds; where it never kept an account, what the book holds."""
    live = home.path / "live"
    account = read_account(live)
    held = account.positions if account else dict(state.shares) if state else {}
    return BrokerView(held, carried_over(state, session_folder(live, before)))


def _closing_scores(home: Home, earlier: Sequence[date], scored_from: date) -> pl.DataFrame:
    """Closing scores of the sessions the holding period is measured over."""
    first = max(earlier[-WINDOW_SESSIONS:][0], scored_from)
    return closing_scores(home.lake.read("signals", first, earlier[-1], _SCORES))


def look_back(home: Home, earlier: Sequence[date]) -> dict[str, pl.DataFrame]:
    """Read what a session looks back to: `bars`, `session_bars`, `residual_returns`, `universe`, `returns`.

    Parameters
    ----------
    home : Home
    earlier : sequence of date
        All sessions before it.
    """

    def back(name: str, count: int) -> pl.DataFrame:
        days = earlier[-count:]
        return home.lake.read(name, days[0], days[-1])

    return {
        "bars": back("bars", max(BAR_LOOKBACK, LOOKBACK_SESSIONS)),
        "session_bars": back("session_bars", SESSION_LOOKBACK),
        "residual_returns": back("residual_returns", BAR_LOOKBACK),
        "universe": back("universe", BAR_LOOKBACK),
        "returns": session_returns(back("residual_returns", RISK_LOOKBACK)),
    }


def book_before(home: Home, session: date, sessions: Sequence[date]) -> BookState | None:
    """State of the live book before a session; None if it has not started."""
    held = [date.fromisoformat(key) for key in home.lake.partitions("portfolio", book=BOOK)]
    first = min((day for day in held if day < session), default=session)
    return BookStore(home.lake, BOOK).state_before(session, sessions, first)


def _require_history(home: Home, earlier: Sequence[date]) -> None:
    for name in ("bars", "session_bars", "residual_returns", "universe"):
        days = {day.isoformat() for day in earlier[-(BAR_LOOKBACK if name != "session_bars" else SESSION_LOOKBACK) :]}
        missing = sorted(days - set(home.lake.partitions(name)))
        if missing:
            raise LakeError(
                f"the session looks back to {name} of {missing[0]} to {missing[-1]}, which the lake does not have; bring the "
                f"home up to date first (`aurora run --home {home.path}`)"
            )


def _evidence(
    home: Home, axis: Sequence[date], settings: Settings, members: Mapping[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Weights, calibration state and volatility of the last session of an axis, from what had matured before its open."""
    lake, calendar = home.lake, home.calendar
    scored_from, session = axis[0], axis[-1]
    last = calendar.shift(session, -1)
    opens = {day: calendar.open(day) for day in axis}
    labels = lake.read("labels", scored_from, last, _LABELS)
    weights = empty("ensemble_weights")
    if members:
        span = (scored_from, last)
        weights = weights_of_champions(home, settings, members, {session: opens[session]}, labels, span)
    scores = lake.read("ensemble", scored_from, last, _SCORES).select(_SCORES)
    stored = lake.read("residual_returns", None, last, _RESIDUALS).select(_RESIDUALS)
    residuals = pl.concat([stored, _named_today(home, session)])
    calibration = settings.calibration
    bars = bars_per_session(residuals)
    volatility = residual_volatility(
        list(opens),
        opens,
        residuals,
        calibration.volatility_span(bars),
        settings.horizon_bars(home.frequency),
        calibration.volatility_pull(bars),
    )
    # The calibrator steps through the sessions that have scores; one row without a label takes it to this one.
    today = pl.DataFrame(
        {"session": [session], "symbol": [""], "decision_time": [calendar.open(session)], "score": [0.0]},
        schema=scores.schema,
    )
    reach = -(-settings.purge_bars(home.frequency) // bars)
    states = calibration_states(opens, pl.concat([scores, today]), labels, volatility, calibration, reach)
    own = pl.col("session") == session
    return weights, states.filter(own), volatility.filter(own)


def _named_today(home: Home, session: date) -> pl.DataFrame:
    """Rows that tell the symbols of the day and nothing else: they are never known."""
    feeds = stored_feeds(home.folder(), {name: home.lake.read(name) for name in FEED_TABLES})
    end = home.calendar.bar_ends(session)[0]
    return listed_on([session], feeds.intervals).select(
        "session",
        "symbol",
        "instrument_id",
        pl.lit(end, TIMESTAMP).alias("bar_end"),
        pl.lit(_NEVER, TIMESTAMP).alias("known_at"),
        pl.lit(None, TIMESTAMP).alias("quarantined_at"),
        pl.lit(0.0).alias("residual_return"),
    )
