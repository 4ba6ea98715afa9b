"""A file of a market folder that a vendor fills: its rows, and which symbol was asked for when, in one Parquet file.

What has been asked is in the file's metadata, so rows and record change together and a download that was broken off knows what
it has. A row the vendor shows now, but did not show when it was asked after the row should have been known, is a correction or a
late entry: it counts from now. So a row never claims to have been known at a moment at which it was looked for and was not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from aurora_pipeline.atomic import atomic_write
from aurora_pipeline.calendar import BAR_MINUTES, TIMESTAMP
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.columns import RawFile, contract_columns, require_columns

_PREFIX = "aurora."


class FetchedFile:
    """One file.

    Parameters
    ----------
    path : Path
        Need not exist.
    form : RawFile
        Its columns.
    source : str
        Vendor, with what of it must not be mixed, such as ``alpaca-iex``.
    """

    def __init__(self, path: Path, form: RawFile, source: str) -> None:
        self.path, self.form, self.source = path, form, source
        self._metadata = _metadata(path)
        self.asked: dict[str, tuple[date, datetime]] = {
            symbol: (date.fromisoformat(begin), datetime.fromisoformat(through))
            for symbol, (begin, through) in json.loads(self._metadata.get(self._key, "{}")).items()
        }

    @property
    def rows(self) -> pl.DataFrame:
        """Rows in the file, contract columns."""
        if not self.path.exists():
            return pl.DataFrame(schema=self.form.columns)
        schema = pl.Schema(pl.read_parquet_schema(self.path))
        require_columns(schema, self.form, str(self.path))
        return pl.read_parquet(self.path, glob=False).select(contract_columns(schema, self.form))

    def add(self, rows: pl.DataFrame, symbols: Iterable[str], begin: date, through: datetime, now: datetime) -> int:
        """Add what the vendor answered; returns the number of new rows.

        Parameters
        ----------
        rows : polars.DataFrame
            Contract columns.
        symbols : iterable of str
            What was asked for, whether answered or not.
        begin : date
            First day (of the natural key) that was asked for.
        through : datetime
            Moment up to which it was asked for, at most `now`.
        now : datetime
            Moment of the question.
        """
        held = self.rows
        content = [name for name in self.form.columns if name != "known_at"]
        fresh = rows.unique(content, keep="first", maintain_order=True).join(
            held, on=content, how="anti", nulls_equal=True, maintain_order="left"
        )
        schema = pl.Schema({"symbol": pl.String(), "_begin": pl.Date(), "_through": TIMESTAMP})
        asked = pl.DataFrame([(symbol, *span) for symbol, span in self.asked.items()], schema=schema, orient="row")
        looked_for = (pl.col(self.form.key[1]).cast(pl.Date) >= pl.col("_begin")) & (
            _known(self.form) <= pl.col("_through")
        )
        stamped = fresh.join(asked, on="symbol", how="left", maintain_order="left").with_columns(
            pl.when(looked_for.fill_null(value=False))
            .then(pl.max_horizontal(pl.lit(now, TIMESTAMP), "known_at"))
            .otherwise("known_at")
            .alias("known_at")
        )
        for symbol in symbols:
            before = self.asked.get(symbol, (begin, through))
            self.asked[symbol] = (min(begin, before[0]), max(through, before[1]))
        self._metadata[self._key] = json.dumps(
            {symbol: [first.isoformat(), last.isoformat()] for symbol, (first, last) in sorted(self.asked.items())}
        )
        whole = pl.concat([held, stamped.select(list(self.form.columns))])
        atomic_write(self.path, lambda temporary: whole.write_parquet(temporary, metadata=self._metadata))
        return stamped.height

    @property
    def _key(self) -> str:
        return f"{_PREFIX}{self.source}"


def require_one_source(paths: Iterable[Path], vendor: str, source: str) -> None:
    """Refuse to mix two sources of one vendor whose rows do not mean the same.

    Raises
    ------
    MarketDataError
        Naming the first file that another source has filled.
    """
    for path in paths:
        other = sorted(
            key.removeprefix(_PREFIX)
            for key in _metadata(path)
            if key.startswith(f"{_PREFIX}{vendor}") and key != f"{_PREFIX}{source}"
        )
        if other:
            raise MarketDataError(
                f"{path}: holds rows of {other[0]}, not {source}; their volumes do not mean the same. Fetch into another folder"
            )


def _known(form: RawFile) -> pl.Expr:
    """When a row should have been known."""
    if "bar_start" in form.columns:
        return pl.max_horizontal(pl.col("bar_start") + timedelta(minutes=BAR_MINUTES), "known_at")
    return pl.col("known_at")


def _metadata(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return {key: value for key, value in pl.read_parquet_metadata(path).items() if key.startswith(_PREFIX)}
