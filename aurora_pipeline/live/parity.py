"""Whether a live session is what a backfill of the same rows gives, to the last bit.

The session is made again in one go from the market folder: opening, bars, features, scores of the same models, signals, and the
book from the same starting state, with nothing decided where nothing was. Every value that differs is named by table, column
and row.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.zoo import read_served
from aurora_pipeline.contracts import table
from aurora_pipeline.errors import BookError
from aurora_pipeline.live.decision_log import DecisionLog, decision_log, session_folder
from aurora_pipeline.live.paper_broker import read_account, sent_orders
from aurora_pipeline.live.recorded_switch import RecordedSwitch
from aurora_pipeline.live.session_champions import states_before
from aurora_pipeline.live.session_opening import BOOK, build_opening, opening_of
from aurora_pipeline.live.session_tables import TRADED_TABLES, market_tables, score, signal_tables, trade
from aurora_pipeline.market.ingest import ingest_feeds
from aurora_pipeline.models.training_pipeline import load_trained
from aurora_pipeline.models.walk_forward import make_folds

DECIDED_ON = ("features", "predictions", "ensemble", "signals")
"""Tables by decision time that decisions rest on."""
RESTS_ON = ("model_states", "ensemble_weights")
"""Tables of the whole session that they rest on."""
DIFFERENCE = {"table": pl.String, "column": pl.String, "row": pl.String, "live": pl.String, "again": pl.String}
Tables = dict[str, pl.DataFrame]


def live_tables(home: Home, session: date) -> Tables:
    """Return what the loop stored of a session: the book, and what its decisions rest on."""
    stored = stored_tables(home, session)
    stored |= {name: home.lake.read(name, session, session, book=BOOK) for name in TRADED_TABLES}
    return decided_rows(home, session, stored)


def stored_tables(home: Home, session: date) -> Tables:
    """Return what the lake holds of a session that decisions rest on; of the scores those that served."""
    stored = {name: home.lake.read(name, session, session) for name in (*DECIDED_ON, *RESTS_ON)}
    return stored | {"predictions": read_served(home, opening_of(home, session).champions.members, session, session)}


def decided_rows(home: Home, session: date, tables: Tables) -> Tables:
    """Leave the decision times of :data:`DECIDED_ON` at which something was decided."""
    times = _decided(decision_log(home.path / "live", session))
    return {name: _at(frame, times) if name in DECIDED_ON else frame for name, frame in tables.items()}


def session_again(home: Home, session: date) -> Tables:
    """Make a session in one go from the rows of the market folder.

    Raises
    ------
    BookError
        Nothing has been decided in this session.
    """
    live = home.path / "live"
    log = decision_log(live, session)
    through = _booked_through(live, session, log)
    if through is None:
        raise BookError(f"session {session}: no bar has been decided, so there is nothing to compare")
    served = opening_of(home, session)
    opening = build_opening(home, session, served)
    folder, calendar = home.folder(), home.calendar
    feeds = ingest_feeds(folder, opening.settings)
    raw = folder.read_bars([session])
    market = market_tables(opening, raw, feeds, through, folder.manifest, calendar)
    models = {family: load_trained(home.models / place) for family, place in served.champions.directories.items()}
    failed: dict[str, set[datetime]] = {}
    for settled in log:
        for family in settled.failed:
            failed.setdefault(family, set()).add(settled.bar_end)
    predictions, _ = score(market.features, models, home.lake.read("predictions").clear(), failed)
    ensemble, signals = signal_tables(opening, predictions)
    skipped = [settled.bar_end for settled in log if settled.status == "skipped"]
    switch = RecordedSwitch(FileSwitch(home.kill_switch_file), decision_log(home.path / "live", session))
    sent = sent_orders(session_folder(live, session))
    result, _, _ = trade(opening, market, signals, feeds, through, skipped, folder.manifest, calendar, switch, sent)
    times = _decided(log)
    made = {"features": market.features, "predictions": predictions, "ensemble": ensemble, "signals": signals}
    made = {name: _at(frame, times) for name, frame in made.items()}
    made |= {name: getattr(result, name) for name in TRADED_TABLES}
    return made | {"ensemble_weights": opening.weights, "model_states": _states(home, session)}


def _booked_through(live: Path, session: date, log: DecisionLog) -> datetime | None:
    """Bar that the stored book has reached: a skipped bar moves it only with the next decision, or the session's close."""
    account = read_account(live)
    if account is None or account.session < session:
        return None
    return account.bar_end if account.session == session else log.newest()


def _states(home: Home, session: date) -> pl.DataFrame:
    """States of a session decided again from the sessions before it."""
    settings = home.settings()
    sessions = [day for day in home.sessions(settings) if day <= session]
    scored_from = make_folds(sessions, home.frequency, settings)[0].test_sessions[0]
    return states_before(home, settings, [day for day in sessions if day >= scored_from])[0]


def differences(live: Mapping[str, pl.DataFrame], again: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Name every value that differs.

    Parameters
    ----------
    live, again : mapping of str to polars.DataFrame
        Lake tables by name; those both have are compared.

    Returns
    -------
    polars.DataFrame
        `table`, `column` (`(row)` where the whole row is on one side only), `row` (its key), `live`, `again` (values as text).
    """
    found = [_differences(name, live[name], again[name]) for name in sorted(set(live) & set(again))]
    return pl.concat([pl.DataFrame(schema=DIFFERENCE), *found])


def parity(home: Home, session: date) -> pl.DataFrame:
    """Compare a live session with the same session made in one go; as :func:`differences`."""
    return differences(live_tables(home, session), session_again(home, session))


def _differences(name: str, live: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    key = table(name).key
    both = live.with_columns(pl.lit(value=True).alias("_live")).join(
        again.with_columns(pl.lit(value=True).alias("_again")),
        on=key,
        how="full",
        coalesce=True,
        suffix="_again",
        nulls_equal=True,
    )
    row = pl.struct(key).struct.json_encode().alias("row")
    alone = both.filter(pl.col("_live").is_null() | pl.col("_again").is_null())
    parts = [_named(name, "(row)", alone, row, pl.col("_live").is_not_null(), pl.col("_again").is_not_null())]
    shared = both.filter(pl.col("_live").is_not_null() & pl.col("_again").is_not_null())
    for column in live.columns:
        if column not in key:
            ours, theirs = pl.col(column), pl.col(f"{column}_again")
            parts.append(_named(name, column, shared.filter(ours.ne_missing(theirs)), row, ours, theirs))
    return pl.concat(parts)


def _named(name: str, column: str, rows: pl.DataFrame, row: pl.Expr, live: pl.Expr, again: pl.Expr) -> pl.DataFrame:
    return rows.select(
        pl.lit(name).alias("table"),
        pl.lit(column).alias("column"),
        row,
        live.cast(pl.String).alias("live"),
        again.cast(pl.String).alias("again"),
    )


def _decided(log: DecisionLog) -> list[datetime]:
    return [settled.bar_end for settled in log if settled.status == "decided"]


def _at(frame: pl.DataFrame, times: list[datetime]) -> pl.DataFrame:
    wanted = pl.Series(times, dtype=frame.schema["decision_time"])
    return frame.filter(pl.col("decision_time").is_in(wanted.implode()))
