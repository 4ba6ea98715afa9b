"""What a session's decisions rest on and what does not change while it runs, fixed once before its first bar.

Look-back of bars, returns and universe; ensemble weights and calibration from what had matured before the open; the model that
serves for each family; the book's state at the end of the session before; the settings. Kept in
`<home>/live/sessions/<session>/opening/`, so that a tick reads a few files, a restart goes on with the same numbers, and a
setting changed at noon counts from tomorrow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.book_store import BookStore
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.zoo import trading_families
from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import FEED_TABLES
from aurora_pipeline.ensemble.ic_weighted_ensemble import ensemble_weights, session_information_coefficients
from aurora_pipeline.ensemble.residual_volatility import bars_per_session, residual_volatility
from aurora_pipeline.ensemble.score_correlation import ScoreCorrelations
from aurora_pipeline.ensemble.signal_calibrator import calibration_states
from aurora_pipeline.errors import LakeError, ModelError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.live.decision_log import session_folder
from aurora_pipeline.market.ingest import LOOKBACK_SESSIONS, stored_feeds
from aurora_pipeline.market.universe import listed_on
from aurora_pipeline.models.walk_forward import make_folds
from aurora_pipeline.policy.holding_period import WINDOW_SESSIONS, closing_scores
from aurora_pipeline.policy.session_returns import session_returns
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import BAR_LOOKBACK, RISK_LOOKBACK, SESSION_LOOKBACK

BOOK = "live"
_SCORES = ("session", "symbol", "decision_time", "score")
_LABELS = ("session", "symbol", "decision_time", "label", "matured_at")
_RESIDUALS = ("session", "symbol", "instrument_id", "bar_end", "known_at", "residual_return")
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
        In force for the whole session.
    models : dict of str to str
        Family to the directory of the model that serves, relative to `models/`.
    state : BookState or None
        Book at the end of the session before; None for a book that starts flat.
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
    models: dict[str, str]
    state: BookState | None
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
        """Write the opening, whole or not at all."""
        staging = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        for name in _FRAMES:
            getattr(self, name).write_parquet(staging / f"{name}.parquet")
        record = {
            "session": self.session.isoformat(),
            "settings": self.settings.model_dump(mode="json"),
            "models": self.models,
            "state": self.state.to_json() if self.state else None,
        }
        (staging / "opening.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        staging.replace(folder)

    @classmethod
    def load(cls, folder: Path) -> SessionOpening:
        """Read what :meth:`save` wrote."""
        record = json.loads((folder / "opening.json").read_text(encoding="utf-8"))
        frames = {name: pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in _FRAMES}
        return cls(
            session=date.fromisoformat(record["session"]),
            settings=Settings.model_validate(record["settings"]),
            models=record["models"],
            state=BookState.from_json(record["state"]) if record["state"] else None,
            **frames,
        )


def opening_of(home: Home, session: date) -> SessionOpening:
    """Return the session's opening, made and kept at the first call."""
    folder = session_folder(home.path / "live", session) / "opening"
    if not (folder / "opening.json").exists():
        build_opening(home, session).save(folder)
    return SessionOpening.load(folder)


def build_opening(home: Home, session: date, settings: Settings | None = None) -> SessionOpening:
    """Compute a session's opening from the lake.

    Parameters
    ----------
    home : Home
    session : date
    settings : Settings, optional
        Those of the home by default.

    Raises
    ------
    LakeError
        Sessions before it are not in the lake.
    ModelError
        A family has no model trained before this session.
    BookError
        The live book does not end with the session before.
    """
    settings = settings or home.settings()
    sessions = [day for day in home.sessions(settings) if day <= session]
    if sessions[-1:] != [session]:
        raise LakeError(f"home {home.path} does not reach {session}; its market ends with {home.market().last_session}")
    earlier = sessions[:-1]
    _require_history(home, earlier)
    folds = make_folds(sessions, home.frequency, settings)
    scored_from = folds[0].test_sessions[0]
    families = trading_families(home, settings.models.families, session)
    if not families:
        raise ModelError(f"no model trades {session}: every family is retired or waits; see `aurora models list`")
    weights, calibration, volatility = _evidence(home, session, earlier, scored_from, settings, families)
    return SessionOpening(
        session=session,
        settings=settings,
        models=serving_models(home, families, folds[-1].key, session),
        state=book_before(home, session, sessions),
        **look_back(home, earlier),
        weights=weights,
        calibration=calibration,
        volatility=volatility,
        scores=_closing_scores(home, earlier, scored_from),
    )


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


def serving_models(home: Home, families: Sequence[str], fold: str, session: date) -> dict[str, str]:
    """Directory of the model that serves each family: the champion of the session's fold, or of the newest one before it."""
    champions = home.champions()
    serving = {}
    for family in families:
        known = sorted(key for key in champions.get(family, {}) if key <= fold)
        if not known:
            raise ModelError(
                f"no {family} model serves {session} (fold {fold}); train one with `aurora run`, or materialise "
                f"trained_model/{family} of that fold"
            )
        serving[family] = champions[family][known[-1]]
    return serving


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
    home: Home,
    session: date,
    earlier: Sequence[date],
    scored_from: date,
    settings: Settings,
    families: Sequence[str],
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Weights, calibration state and volatility of a session, from what had matured before its open."""
    lake, calendar, last = home.lake, home.calendar, earlier[-1]
    opens = {day: calendar.open(day) for day in [*earlier, session] if day >= scored_from}
    labels = lake.read("labels", scored_from, last, _LABELS)
    evidence = pl.concat(
        session_information_coefficients(lake.read("predictions", scored_from, last, model=family), labels)
        for family in families
    )
    alike = None
    if settings.ensemble.correlation_aware:
        alike = ScoreCorrelations.of(
            lake.read("predictions", scored_from, last).filter(pl.col("model").is_in(families))
        )
    weights = ensemble_weights([session], opens, evidence, list(families), settings, alike)
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
        pl.lit(0.0).alias("residual_return"),
    )
