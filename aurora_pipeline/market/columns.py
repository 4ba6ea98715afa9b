"""Columns of a market folder's files, and the safe cast from what a file holds to what Aurora computes with.

The declaration follows the market-folder contract, version 1. Columns not declared are ignored; declared columns a file
lacks are null unless the contract requires them. Numbers become Float64; NaN in an optional number is the same as null
(it is how pandas writes a missing value), NaN in a required one stays for the validation to refuse. Days and moments beyond the
years 1 to 9999, as a wrong unit makes them, are moved to the edge, which no calendar reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.errors import MarketDataError

_DAYS = date(1, 1, 2), date(9999, 12, 30)
_MOMENTS = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_TEXT, _DAY, _NUMBER = pl.String(), pl.Date(), pl.Float64()


@dataclass(frozen=True)
class RawFile:
    """Form of one kind of file.

    Attributes
    ----------
    columns : dict of str to polars.DataType
        Every column of the contract.
    required : frozenset of str
        Columns the file must have.
    key : tuple of str
        Natural key; a further row with the same key and a later `known_at` is a correction or restatement.
    event : str or None
        Date or time before whose start a row cannot have been known.
    """

    columns: dict[str, pl.DataType]
    required: frozenset[str]
    key: tuple[str, ...]
    event: str | None


def _file(text: str, days: str, numbers: str, required: str, key: str, event: str | None) -> RawFile:
    columns: dict[str, pl.DataType] = dict.fromkeys(text.split(), _TEXT)
    columns |= dict.fromkeys(days.split(), _DAY) | {"known_at": TIMESTAMP} | dict.fromkeys(numbers.split(), _NUMBER)
    return RawFile(columns, frozenset(required.split()), tuple(key.split()), event)


_PRICES = "open high low close volume"
_STATEMENT = (
    "revenue gross_profit operating_income net_income total_assets total_debt stockholders_equity operating_cash_flow "
    "capital_expenditure shares_outstanding"
)
_OPTIONS = "iv_30d hv_30d iv_call_25d iv_put_25d put_volume call_volume put_open_interest call_open_interest"

UNIVERSE = RawFile(
    {"symbol": _TEXT, "kind": _TEXT, "sector": _TEXT, "valid_from": _DAY, "valid_to": _DAY},
    frozenset({"symbol", "kind"}),
    ("symbol", "valid_from"),
    None,
)
BARS = RawFile(
    {"symbol": _TEXT, "bar_start": TIMESTAMP}
    | dict.fromkeys([*_PRICES.split(), "vwap", "trade_count"], _NUMBER)
    | {"known_at": TIMESTAMP},
    frozenset(["symbol", "bar_start", *_PRICES.split()]),
    ("symbol", "bar_start"),
    None,
)
TRUTH = RawFile(
    {"symbol": _TEXT, "decision_time": TIMESTAMP}
    | dict.fromkeys(["expected_residual_return", "attainable_residual_return", "horizon_bars"], _NUMBER),
    frozenset(["symbol", "decision_time", "expected_residual_return", "attainable_residual_return", "horizon_bars"]),
    ("symbol", "decision_time"),
    None,
)
FEEDS: dict[str, RawFile] = {
    "daily_bars": _file("symbol", "session", _PRICES, f"symbol session {_PRICES}", "symbol session", "session"),
    "corporate_actions": _file(
        "symbol kind new_symbol", "ex_date", "ratio amount", "symbol ex_date kind known_at", "symbol ex_date kind", None
    ),
    "earnings": _file(
        "symbol",
        "fiscal_period_end",
        "eps_estimate eps_actual",
        "symbol known_at",
        "symbol fiscal_period_end",
        "fiscal_period_end",
    ),
    "fundamentals": _file(
        "symbol", "fiscal_period_end", _STATEMENT, "symbol known_at", "symbol fiscal_period_end", "fiscal_period_end"
    ),
    "short_interest": _file(
        "symbol",
        "settlement_date",
        "shares_short avg_daily_volume",
        "symbol settlement_date known_at shares_short",
        "symbol settlement_date",
        "settlement_date",
    ),
    "etf_flows": _file(
        "symbol",
        "date",
        "net_flow_usd shares_outstanding nav",
        "symbol date known_at net_flow_usd",
        "symbol date",
        "date",
    ),
    "options": _file("symbol", "date", _OPTIONS, "symbol date known_at", "symbol date", "date"),
    # Ours, beyond version 1 of the contract: lending rates, without which a short costs what the settings say.
    "borrow": _file("symbol", "", "rate", "symbol known_at rate", "symbol", None),
}


def require_columns(schema: pl.Schema, form: RawFile, file: str) -> None:
    """Raise a MarketDataError unless the file has every required column, each of a usable type."""
    missing = sorted(form.required - set(schema))
    if missing:
        raise MarketDataError(
            f"{file}: column(s) {', '.join(missing)} missing; it has {', '.join(schema)}. "
            "See the market-folder contract, or make the file with `aurora import`"
        )
    for column, wanted in form.columns.items():
        if column in schema:
            _require_type(schema[column], wanted, file, column)


def _require_type(found: pl.DataType, wanted: pl.DataType, file: str, column: str) -> None:
    if found == pl.Null:
        return
    if isinstance(wanted, pl.Datetime):
        if isinstance(found, pl.Datetime) and found.time_zone is None:
            raise MarketDataError(
                f"{file}: column {column} has timestamps without a time zone; expected timestamp[us, UTC]. "
                "Write it as UTC, or import the file with its time zone"
            )
        fits = isinstance(found, pl.Datetime)
    elif isinstance(wanted, pl.Date):
        fits = found == pl.Date
    elif isinstance(wanted, pl.String):
        fits = found in (pl.String, pl.Categorical) or isinstance(found, pl.Enum)
    else:
        fits = found.is_numeric()
    if not fits:
        raise MarketDataError(f"{file}: column {column} is of type {found}; expected {wanted}")


def contract_columns(schema: pl.Schema, form: RawFile) -> list[pl.Expr]:
    """Return the expressions that select and cast a file's columns to the contract's, absent ones as null."""
    chosen: list[pl.Expr] = []
    for column, wanted in form.columns.items():
        if column not in schema:
            chosen.append(pl.lit(None, wanted).alias(column))
            continue
        value = pl.col(column)
        if isinstance(wanted, pl.Datetime):
            value = value.dt.convert_time_zone("UTC") if schema[column] != pl.Null else value
        value = value.cast(wanted)
        if isinstance(wanted, pl.Datetime | pl.Date):
            value = within_years(value, wanted)
        if isinstance(wanted, pl.Float64) and column not in form.required:
            value = value.fill_nan(None)
        chosen.append(value)
    return chosen


def within_years(value: pl.Expr, wanted: pl.DataType) -> pl.Expr:
    """Return days or moments with those that Python has no value for moved to the edge."""
    first, last = _MOMENTS if isinstance(wanted, pl.Datetime) else _DAYS
    return value.clip(first, last)
