"""Times and days of a user's file: ISO 8601, or what a time format says. Nothing is guessed.

Whether `06/03/2024` is in June or in March cannot be told from it, so no form but ISO 8601 is read without being named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.errors import MarketDataError

_ISO_MOMENT = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})[Tt ](?P<minute>\d{2}:\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r" ?(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?)?$"
)
_ISO_DAY = r"^(\d{4}-\d{2}-\d{2})(?:[Tt ]00:00(?::00(?:\.0+)?)?)?$"
_TIME_OF_DAY = re.compile(r"%[-_0]?[HIklMSTRrXcs+]")
_TEXTS = (pl.String, pl.Categorical)


@dataclass(frozen=True)
class TimeForms:
    """How a file's times and days are written.

    Attributes
    ----------
    time_zone : str
        Zone of moments that carry none.
    moment, day : str or None
        Format of moments and of days; ISO 8601 where None.
    """

    time_zone: str = "UTC"
    moment: str | None = None
    day: str | None = None

    @classmethod
    def of(cls, time_zone: str = "UTC", time_formats: Sequence[str] = ()) -> TimeForms:
        """Sort formats into that of moments, which has a time of day, and that of days, which has none.

        Raises
        ------
        MarketDataError
            The zone is unknown, a format names no part of a date, or two formats say how to read the same.
        """
        zones = available_timezones()
        if zones and time_zone not in zones:
            raise MarketDataError(
                f"--time-zone {time_zone}: unknown time zone {time_zone!r}; expected a name such as 'America/New_York'"
            )
        forms: dict[str, str] = {}
        for text in time_formats:
            if "%" not in text:
                raise MarketDataError(f"--time-format {text!r}: expected a format such as '%m/%d/%Y %H:%M'")
            what = "moment" if _TIME_OF_DAY.search(text) else "day"
            if forms.setdefault(what, text) != text:
                raise MarketDataError(
                    f"--time-format {text!r}: {forms[what]!r} was given already; "
                    "expected at most one with a time of day and one without"
                )
        return cls(time_zone, forms.get("moment"), forms.get("day"))

    def moments(self, column: pl.Series, source: Path) -> pl.Series:
        """Read a column of moments as UTC.

        Raises
        ------
        MarketDataError
            Naming file, row, value and why it cannot be read.
        """
        if column.dtype == pl.Null:
            return column.cast(TIMESTAMP)
        column = _as_text(column, self.moment)
        if column.dtype == pl.String:
            wall, instant = _iso_moments(column) if self.moment is None else _formatted(column, self.moment)
            _require_read(column, wall.is_not_null() | instant.is_not_null(), source, self.moment, day=False)
        elif isinstance(column.dtype, pl.Datetime):
            nothing = pl.Series(column.name, [None] * column.len(), TIMESTAMP)
            naive = column.dtype.time_zone is None
            wall = column if naive else nothing.dt.replace_time_zone(None)
            instant = nothing if naive else column.dt.convert_time_zone("UTC")
        else:
            raise MarketDataError(
                f"{source}: column {column.name} is {column.dtype}; expected timestamps, in ISO 8601 or as --time-format says"
            )
        local = wall.dt.replace_time_zone(self.time_zone, ambiguous="null", non_existent="null")
        lost = (wall.is_not_null() & local.is_null()).arg_true()
        if len(lost):
            row = int(lost[0])
            twice = wall[row : row + 1].dt.replace_time_zone(self.time_zone, ambiguous="earliest", non_existent="null")
            cause = (
                f"does not exist in {self.time_zone}, where the clocks go forward over it"
                if twice[0] is None
                else f"exists twice in {self.time_zone}, where the clocks go back; write it with its UTC offset"
            )
            raise MarketDataError(f"{source}: row {row + 1}, column {column.name}: {column[row]} {cause}")
        made = local.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        read = pl.select(pl.coalesce(made, instant.dt.cast_time_unit("us"))).to_series()
        return read.alias(column.name)

    def days(self, column: pl.Series, source: Path) -> pl.Series:
        """Read a column of days; errors as of :meth:`moments`."""
        if column.dtype in (pl.Null, pl.Date):
            return column.cast(pl.Date)
        column = _as_text(column, self.day)
        if column.dtype == pl.String:
            form = self.day or "%Y-%m-%d"
            text = column if self.day else column.str.extract(_ISO_DAY)
            read = _caught(text, form, as_day=True)
        elif isinstance(column.dtype, pl.Datetime):
            wall = column.dt.replace_time_zone(None)
            read = wall.dt.date().zip_with(wall.dt.truncate("1d") == wall, pl.Series([None], dtype=pl.Date))
        else:
            raise MarketDataError(
                f"{source}: column {column.name} is {column.dtype}; expected days, in ISO 8601 or as --time-format says"
            )
        _require_read(column, read.is_not_null(), source, self.day, day=True)
        return read.alias(column.name)


def _as_text(column: pl.Series, form: str | None) -> pl.Series:
    """Text of texts, and of whole numbers such as 20240603 where a format says what they are."""
    text = (
        column.dtype in _TEXTS or isinstance(column.dtype, pl.Enum) or (form is not None and column.dtype.is_integer())
    )
    return column.cast(pl.String) if text else column


def _iso_moments(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Moments without an offset, and in UTC those with one; null where the other holds or neither can be read."""
    parts = column.str.extract_groups(_ISO_MOMENT).struct.unnest()
    made = parts.select(
        pl.format(
            "{}T{}:{}.{}", "day", "minute", pl.col("second").fill_null("00"), pl.col("fraction").fill_null("0")
        ).alias("wall"),
        pl.col("offset").str.replace_all("[Zz:]", "").str.pad_end(1, "+").str.pad_end(5, "0").alias("offset"),
    )
    form = "%Y-%m-%dT%H:%M:%S%.f"
    aware = pl.col("offset").is_not_null()
    wall = made.select(pl.when(~aware).then("wall").str.to_datetime(form, time_unit="us", strict=False))
    instant = made.select(
        pl.when(aware)
        .then(pl.concat_str("wall", "offset"))
        .str.to_datetime(f"{form}%z", time_unit="us", time_zone="UTC", strict=False)
    )
    return wall.to_series(), instant.to_series()


def _formatted(column: pl.Series, form: str) -> tuple[pl.Series, pl.Series]:
    """Read moments as a format says; the pair of :func:`_iso_moments`."""
    read = _caught(column, form)
    nothing = pl.Series([None] * column.len(), dtype=TIMESTAMP)
    if isinstance(read.dtype, pl.Datetime) and read.dtype.time_zone is not None:
        return nothing.dt.replace_time_zone(None), read.dt.convert_time_zone("UTC")
    return read, nothing


def _caught(column: pl.Series, form: str, *, as_day: bool = False) -> pl.Series:
    try:
        if as_day:
            return column.str.to_date(form, strict=False)
        return column.str.to_datetime(form, time_unit="us", strict=False)
    except pl.exceptions.PolarsError as error:
        raise MarketDataError(f"--time-format {form!r}: not a format that can be read: {error}") from error


def _require_read(column: pl.Series, read: pl.Series, source: Path, form: str | None, *, day: bool) -> None:
    lost = (column.is_not_null() & ~read).arg_true()
    if not len(lost):
        return
    row = int(lost[0])
    where = f"{source}: row {row + 1}, column {column.name}: {column[row]!r}"
    if form is not None:
        raise MarketDataError(f"{where} is not written as --time-format {form!r} says")
    iso, other = ("2024-06-03", "%m/%d/%Y") if day else ("2024-06-03 09:35", "%m/%d/%Y %H:%M")
    what = "day" if day else "time"
    raise MarketDataError(
        f"{where} is not a {what} in ISO 8601, such as {iso!r}; "
        f"if it is written in another way, say how with --time-format, such as {other!r}"
    )
