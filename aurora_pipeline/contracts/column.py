"""Kinds of columns with their units, and the descriptions that tables share."""

import dataframely as dy


def key(text: str) -> dy.String:
    """Text that is part of a row's key."""
    return dy.String(primary_key=True, description=text)


def text(text: str, *, nullable: bool = False) -> dy.String:
    """Text."""
    return dy.String(nullable=nullable, description=text)


def day(text: str, *, key: bool = False, nullable: bool = False) -> dy.Date:
    """Calendar day."""
    return dy.Date(primary_key=key, nullable=nullable, description=text)


def time(text: str, *, key: bool = False, nullable: bool = False) -> dy.Datetime:
    """Moment in UTC, microseconds."""
    return dy.Datetime(primary_key=key, nullable=nullable, time_zone="UTC", time_unit="us", description=text)


def number(text: str, unit: str, *, nullable: bool = False, **bounds: float) -> dy.Float64:
    """Number with its unit and bounds."""
    return dy.Float64(nullable=nullable, description=text, metadata={"unit": unit}, **bounds)  # type: ignore[arg-type]


def maybe(text: str, unit: str, **bounds: float) -> dy.Float64:
    """Number that may be null."""
    return number(text, unit, nullable=True, **bounds)


def count(text: str, *, nullable: bool = False) -> dy.Int64:
    """Whole number of things."""
    return dy.Int64(nullable=nullable, description=text, metadata={"unit": "count"})


def flag(text: str) -> dy.Bool:
    """True or false."""
    return dy.Bool(description=text)


SESSION = "exchange trading day the row belongs to"
SYMBOL = "symbol of the day"
INSTRUMENT = "permanent name of the instrument: the first symbol it had"
KNOWN = "first moment the row could be used"
VERDICT = "moment it became known that the row is unusable; null while sound"
DECISION = "bar end at which the row was decided"
BOOK = "`live` or `backtest-<settings hash>`"
