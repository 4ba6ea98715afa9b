"""Reads what is stored of one decision: everything between a symbol's bar and its position; nothing is computed again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import BookError, LakeError, ModelError
from aurora_pipeline.models.linear_model import LinearModel
from aurora_pipeline.models.model_factory import LINEAR_FAMILIES
from aurora_pipeline.models.training_pipeline import load_trained
from aurora_pipeline.monitoring.explained_decision import ExplainedDecision
from aurora_pipeline.stages import VIEWS

NEAREST = 3


def read_decision(home: Home, book: str, symbol: str, at: datetime) -> ExplainedDecision:
    """Everything stored of a symbol's decision.

    Parameters
    ----------
    home : Home
        Only read.
    book : str
        Book whose target, order, fill and position are shown.
    symbol : str
        Symbol of the day.
    at : datetime
        Decision time: a bar end, UTC.

    Raises
    ------
    LakeError
        The lake has nothing of that session, the session does not have the symbol, or no decision was taken then; the
        message names what is nearest.
    BookError
        The home has no such book.
    """
    lake = home.lake
    session = _session(home, at)
    following = home.calendar.shift(session, 1)
    universe = lake.read("universe", session, session).filter(pl.col("symbol") == symbol)
    if universe.is_empty():
        known = lake.read("universe", session, session).get_column("symbol").to_list()
        near = [name for name in known if name.casefold() == symbol.casefold()]
        near = near or get_close_matches(symbol.upper(), known, NEAREST, 0.0)
        raise LakeError(f"symbol {symbol} is not in the universe of {session}; nearest names: {', '.join(near)}")
    moment = pl.lit(at, TIMESTAMP)
    features = lake.read("features", session, session)
    _require_decision(home, features, session, at)
    books = lake.branch_values("portfolio", "book")
    if book not in books:
        raise BookError(f"home {home.path} holds no book {book}; it has {', '.join(books) or 'none'}")
    instrument = universe["instrument_id"][0]
    now, own = pl.col("decision_time") == moment, pl.col("symbol") == symbol
    same = pl.col("instrument_id") == instrument
    states = lake.read("model_states", session, session).filter(pl.col("session") == session)
    serving = states.filter("serves").get_column("model")
    scores = pl.concat(lake.read(name, session, session).filter(now) for name in ("predictions", "shadow_predictions"))
    predictions = scores.with_columns(
        pl.col("model").is_in(serving.implode()).alias("trades") if states.height else pl.lit(True).alias("trades")
    )
    orders = lake.read("orders", session, following, book=book).filter(now, same)
    placed = orders.get_column("order_id").implode()
    positions = lake.read("positions", session, following, book=book).filter(same, pl.col("decision_time") >= moment)
    next_bar = lake.read("portfolio", session, following, ["decision_time"], book=book).filter(
        pl.col("decision_time") > moment
    )
    until = next_bar.get_column("decision_time").min() if next_bar.height else at
    versions = predictions.filter(own)
    return ExplainedDecision(
        symbol,
        book,
        at,
        bars=lake.read("bars", session, session).filter(own, pl.col("bar_end") == moment),
        quarantine=lake.read("quarantine", session, session).filter(own),
        universe=universe,
        residual_returns=lake.read("residual_returns", session, session)
        .filter(own, pl.col("bar_end") == moment, pl.col("known_at") <= moment)
        .sort("known_at", descending=True)
        .head(1),
        raw=_raw(home, session, symbol, at),
        features=features.filter(now),
        predictions=predictions,
        ensemble=lake.read("ensemble", session, session).filter(now),
        weights=lake.read("ensemble_weights", session, session).filter(pl.col("session") == session),
        states=states,
        signal=lake.read("signals", session, session).filter(now, own),
        target=lake.read("targets", session, session, book=book).filter(now, own),
        orders=orders,
        fills=lake.read("fills", session, following, book=book).filter(pl.col("order_id").is_in(placed)),
        positions=positions.filter(pl.col("decision_time") <= pl.lit(until, TIMESTAMP)),
        account=lake.read("portfolio", session, session, book=book).filter(now),
        events=lake.read("events", session, session, book=book).filter(pl.col("name").is_in([instrument, ""])),
        coefficients=_coefficients(home, dict(versions.select("model", "model_version").iter_rows())),
    )


def _session(home: Home, at: datetime) -> date:
    """Session of a moment, if the lake has features of it."""
    session = home.calendar.session_of(at)
    stored = home.lake.read("features", columns=["session"]).get_column("session").unique().sort()
    if stored.is_empty():
        raise LakeError(f"home {home.path} has decided nothing yet; start with `aurora run`")
    if session not in set(stored):
        before, after = stored.filter(stored < session), stored.filter(stored > session)
        near = [str(day) for day in (*before.tail(1), *after.head(1))]
        raise LakeError(
            f"nothing is stored of session {session}; the lake has {stored[0]} to {stored[-1]}, nearest {' and '.join(near)}"
        )
    return session


def _require_decision(home: Home, features: pl.DataFrame, session: date, at: datetime) -> None:
    times = features.filter(pl.col("session") == session).get_column("decision_time").unique().sort()
    if at in set(times):
        return
    before, after = times.filter(times < at).tail(1).to_list(), times.filter(times > at).head(1).to_list()
    near = [*(before or [home.calendar.close(home.calendar.shift(session, -1))]), *after]
    raise LakeError(
        f"{at:%Y-%m-%d %H:%M} UTC is no decision time; nearest: {' and '.join(f'{time:%Y-%m-%d %H:%M}' for time in near)} UTC "
        f"(session {session} decides at bar ends, {times[0]:%H:%M} to {times[-1]:%H:%M} UTC)"
    )


def _raw(home: Home, session: date, symbol: str, at: datetime) -> pl.DataFrame:
    """Values of the views: `feature`, `view`, `raw`."""
    keys, frames = set(empty("features").columns), []
    for view in VIEWS:
        frame = home.lake.read(f"{view}_features", session, session)
        found = frame.filter(pl.col("symbol") == symbol, pl.col("decision_time") == pl.lit(at, TIMESTAMP))
        names = [name for name in frame.columns if name not in keys]
        values = list(found.select(names).row(0)) if found.height else [None] * len(names)
        schema = {"feature": pl.String, "raw": pl.Float64}
        frames.append(
            pl.DataFrame({"feature": names, "raw": values}, schema=schema).with_columns(pl.lit(view).alias("view"))
        )
    return pl.concat(frames)


def _coefficients(home: Home, versions: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Coefficients of the linear models that scored; a version whose files are gone or changed gives none."""
    found = {}
    for family in LINEAR_FAMILIES:
        version = versions.get(family)
        directory = None if version is None else _directory(home, family, version)
        if directory is None:
            continue
        try:
            trained = load_trained(directory)
        except ModelError:
            continue
        if trained.version == version and isinstance(trained.model, LinearModel):
            names = trained.manifest["features"]
            found[family] = dict(zip(names, map(float, trained.model.fitted), strict=True))
    return found


def _directory(home: Home, family: str, version: str) -> Path | None:
    """Folder of a founding model's version, `<family>-<fold>-<hash>`."""
    fold = version.removeprefix(f"{family}-").rpartition("-")[0]
    directory = home.models / family / fold
    return directory if directory.is_dir() else None
