"""Every table of the lake, declared once: key, columns, types, units, and the column that says when a row was known.

A table is written only through :func:`validated`, which enforces its schema. Timestamps are ``timestamp[us, UTC]``, prices
USD per share, volumes shares, returns and weights fractions (0.001 = 10 bps), costs USD. `symbol` is the symbol of the day,
`instrument_id` the permanent name behind it (the first symbol the instrument ever had): a rename changes the former only.

Tables of a session carry `session` both as a column and in their path. Where a table holds versions of a fact
(corrections, restatements) its key ends in `known_at`, and a reader takes the newest version known at its decision time.
"""

from aurora_pipeline.contracts.catalogue import (
    BOOK_TABLES,
    FEATURE_FEEDS,
    FEED_TABLES,
    TABLES,
    Table,
    empty,
    table,
    validated,
)

__all__ = [
    "BOOK_TABLES",
    "FEATURE_FEEDS",
    "FEED_TABLES",
    "TABLES",
    "Table",
    "empty",
    "table",
    "validated",
]
