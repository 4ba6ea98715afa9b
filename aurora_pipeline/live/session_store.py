"""Where a running session lies in the lake: today's partition of every table, replaced at each tick."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import polars as pl

from aurora_pipeline.adapters.book_store import BookStore
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.lake import WRITERS
from aurora_pipeline.live.session_opening import BOOK, SessionOpening
from aurora_pipeline.live.session_tables import SessionTables

FINGERPRINT = "live"
"""What partitions of a running session carry: never fresh, so that the end of day makes them again."""
Item = tuple[str, pl.DataFrame, dict[str, str]]


def store_session(home: Home, opening: SessionOpening, made: SessionTables) -> dict[str, int]:
    """Replace today's partitions; returns the rows of each table."""
    key = opening.session.isoformat()
    items = _items(opening, made)

    def put(item: Item) -> None:
        name, frame, branches = item
        home.lake.write(name, frame, key, fingerprint=FINGERPRINT, **branches)

    with ThreadPoolExecutor(WRITERS) as pool:
        book = pool.submit(BookStore(home.lake, BOOK).commit, key, [made.result], FINGERPRINT)
        list(pool.map(put, items))
        rows = book.result()
    for name, frame, _ in items:
        rows[name] = rows.get(name, 0) + frame.height
    return rows


def _items(opening: SessionOpening, made: SessionTables) -> list[Item]:
    market, bars = made.market, made.market.bars
    tables: list[Item] = [
        (name, getattr(bars, name), {}) for name in ("universe", "bars", "session_bars", "data_quality")
    ]
    tables.append(("quarantine", bars.quarantine, {"source": "bars"}))
    tables += [(f"{view}_features", frame, {}) for view, frame in market.views.items()]
    tables += [
        ("predictions", made.predictions.filter(pl.col("model") == family), {"model": family})
        for family in opening.models
    ]
    return [
        *tables,
        ("residual_returns", market.residual_returns, {}),
        ("features", market.features, {}),
        ("ensemble_weights", opening.weights, {}),
        ("ensemble", made.ensemble, {}),
        ("signals", made.signals, {}),
    ]
