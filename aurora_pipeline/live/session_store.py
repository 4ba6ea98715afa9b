"""Where a running session lies in the lake: today's partition of every table, replaced at each tick."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import polars as pl

from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.storage.lake import WRITERS
from aurora_pipeline.live.decision_log import digest
from aurora_pipeline.live.session_champions import FINGERPRINT
from aurora_pipeline.live.session_opening import BOOK, SessionOpening
from aurora_pipeline.live.session_tables import SessionTables

Item = tuple[str, pl.DataFrame, dict[str, str]]


def store_session(home: Home, opening: SessionOpening, made: SessionTables) -> dict[str, int]:
    """Replace today's partitions; returns the rows of each table."""
    key = opening.session.isoformat()
    items = _items(opening, made)
    # Of its own for every commit: a state must not fit the tables of an earlier tick.
    commit = f"{FINGERPRINT}-{digest(made.result.portfolio)}"

    def put(item: Item) -> None:
        name, frame, branches = item
        home.lake.write(name, frame, key, fingerprint=FINGERPRINT, **branches)

    with ThreadPoolExecutor(WRITERS) as pool:
        book = pool.submit(BookStore(home.lake, BOOK).commit, key, [made.result], commit)
        list(pool.map(put, items))
        rows = book.result()
    for name, frame, _ in items:
        rows[name] = rows.get(name, 0) + frame.height
    rows["predictions"] = made.predictions.height
    return rows


def _items(opening: SessionOpening, made: SessionTables) -> list[Item]:
    market, bars = made.market, made.market.bars
    tables: list[Item] = [
        (name, getattr(bars, name), {}) for name in ("universe", "bars", "session_bars", "data_quality")
    ]
    tables.append(("quarantine", bars.quarantine, {"source": "bars"}))
    tables += [(f"{view}_features", frame, {}) for view, frame in market.views.items()]
    return [
        *tables,
        *_scores(opening, made),
        ("residual_returns", market.residual_returns, {}),
        ("features", market.features, {}),
        ("ensemble_weights", opening.weights, {}),
        ("ensemble", made.ensemble, {}),
        ("signals", made.signals, {}),
    ]


def _scores(opening: SessionOpening, made: SessionTables) -> list[Item]:
    """Scores where a backfill puts them: a family's own model's among predictions, a challenger's among the shadows."""
    members, challenging = opening.champions.members, []
    tables: list[Item] = []
    for family, model in members.items():
        rows = made.predictions.filter(pl.col("model") == family)
        if model == family:
            tables.append(("predictions", rows, {"model": family}))
        else:
            challenging.append(rows.with_columns(pl.lit(model).alias("model")))
    return [*tables, ("shadow_predictions", pl.concat(challenging), {})] if challenging else tables
