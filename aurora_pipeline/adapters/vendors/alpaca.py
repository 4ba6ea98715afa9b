"""Alpaca: 5-minute bars and corporate actions, through the vendor's own library on our transport.

`alpaca-py` knows the addresses, parameters and pages; its transport waits for ever, ignores `Retry-After` and does not try a
broken connection again, so its session gets our adapter (docs/decisions/0014-feeds.md).

Known at: a bar at its end. The vendor says neither when a bar was corrected nor when an action was announced, so a version that
differs from one seen before counts from when it is seen, and an action from the first moment of its ex-date in New York.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import polars as pl
import requests

from aurora_pipeline.adapters.vendors.alpaca_actions import ACTIONS, contract_row, contract_rows
from aurora_pipeline.adapters.vendors.http import DOWNLOAD, Pace, Patience, PatientAdapter, require_good
from aurora_pipeline.errors import SettingsError, VendorError, VendorFormatError, VendorKeyError
from aurora_pipeline.market.columns import BARS

if TYPE_CHECKING:
    from alpaca.common.rest import RESTClient
    from alpaca.data.historical import StockHistoricalDataClient
    from alpaca.data.historical.corporate_actions import CorporateActionsClient

Tape = Literal["iex", "sip"]
TAPES: tuple[Tape, ...] = get_args(Tape)
KEY_VARIABLES = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
SYMBOLS_PER_REQUEST = 100
REQUESTS_PER_MINUTE = 200
"""Of the free plan; paid plans allow more, which a download does not need."""
PROCESSED_WITHIN = timedelta(days=120)
"""From an action's ex-date to the day the vendor processes it, at most."""
NO_SYMBOL_MAPPING = "-"
"""As `asof`: rows come under the symbol of the day, as the market folder wants them; renames are corporate actions."""
_BAR_FIELDS = {"t": pl.String, "o": pl.Float64, "h": pl.Float64, "l": pl.Float64, "c": pl.Float64}
_BAR_FIELDS |= {"v": pl.Float64, "n": pl.Float64, "vw": pl.Float64}
_BAR_NAMES = ("bar_start", "open", "high", "low", "close", "volume", "trade_count", "vwap")
_Client = TypeVar("_Client", bound="RESTClient")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class AlpacaKeys:
    """Keys of an account; never shown.

    Attributes
    ----------
    key, secret : str
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> AlpacaKeys:
        """Read the keys from the environment.

        Raises
        ------
        VendorKeyError
            One of them is not set.
        """
        absent = [name for name in KEY_VARIABLES if not environment.get(name)]
        if absent:
            raise VendorKeyError(
                f"Alpaca: {' and '.join(absent)} not set; make keys in the vendor's console (paper account) and export "
                f"{' and '.join(KEY_VARIABLES)}"
            )
        return cls(*(environment[name] for name in KEY_VARIABLES))


class AlpacaMarketData:
    """Bars and corporate actions of US stocks.

    Parameters
    ----------
    keys : AlpacaKeys
    tape : {"iex", "sip"}
        One exchange (a few per cent of the volume, free), or the consolidated tape (paid; free when older than 15 minutes).
    patience : Patience
    pace : Pace, optional
        The free plan's if left out.
    url : str, optional
        Another address than the vendor's.
    """

    def __init__(
        self,
        keys: AlpacaKeys,
        tape: Tape,
        patience: Patience = DOWNLOAD,
        pace: Pace | None = None,
        url: str | None = None,
    ) -> None:
        require_library()
        from alpaca.data.historical import StockHistoricalDataClient
        from alpaca.data.historical.corporate_actions import CorporateActionsClient

        self.tape = tape
        pace = pace or Pace(REQUESTS_PER_MINUTE, 60.0)
        self._bars: StockHistoricalDataClient = on_our_transport(
            StockHistoricalDataClient(keys.key, keys.secret, raw_data=True, url_override=url), patience, pace
        )
        self._actions: CorporateActionsClient = on_our_transport(
            CorporateActionsClient(keys.key, keys.secret, raw_data=True, url_override=url), patience, pace
        )

    def bars(self, symbols: Sequence[str], begin: datetime, end: datetime) -> pl.DataFrame:
        """5-minute bars that start at or after `begin` and end at or before `end`.

        Returns
        -------
        polars.DataFrame
            Contract columns of `bars/`, prices as traded; no row for what did not trade or is not known to the vendor.

        Raises
        ------
        VendorError
            Naming what was refused, is down, or has another form.
        """
        from alpaca.data.enums import Adjustment, DataFeed
        from alpaca.data.requests import StockBarsRequest
        from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

        five_minutes = TimeFrame(5, TimeFrameUnit("Min"))
        frames = [pl.DataFrame(schema=BARS.columns)]
        for batch in batches(symbols):
            asked = StockBarsRequest(
                symbol_or_symbols=list(batch),
                timeframe=five_minutes,
                start=begin,
                end=end - timedelta(minutes=5),
                adjustment=Adjustment.RAW,
                feed=DataFeed(self.tape),
                asof=NO_SYMBOL_MAPPING,
            )
            answer = answered(partial(self._bars.get_stock_bars, asked), "bars")
            frames += [_bar_frame(symbol, rows) for symbol, rows in sorted(answer.items())]
        return pl.concat(frames).filter(pl.col("bar_start").is_between(begin, end, closed="left"))

    def corporate_actions(self, symbols: Sequence[str], first: date, last: date) -> tuple[pl.DataFrame, dict[str, int]]:
        """Corporate actions with an ex-date in a range of days.

        The vendor files them by the day it processes them, which for a dividend is the day it is paid.

        Returns
        -------
        tuple of polars.DataFrame and dict of str to int
            Contract columns of `corporate_actions`, and how many actions of which kind the contract has no place for.
        """
        from alpaca.data.requests import CorporateActionsRequest

        rows: list[dict[str, Any]] = []
        left_out: dict[str, int] = {}
        for batch in batches(symbols):
            asked = CorporateActionsRequest(symbols=list(batch), start=first, end=last + PROCESSED_WITHIN)
            answer = answered(partial(self._actions.get_corporate_actions, asked), "corporate actions")
            for kind, entries in answer.items():
                if kind in ACTIONS:
                    rows += [row for entry in entries if (row := contract_row(kind, entry)) is not None]
                elif entries:
                    left_out[kind] = left_out.get(kind, 0) + len(entries)
        return contract_rows(rows).filter(pl.col("ex_date").is_between(first, last)), left_out


def known_tape(text: str) -> Tape:
    """Return a tape by name.

    Raises
    ------
    SettingsError
        There is no such tape.
    """
    for tape in TAPES:
        if tape == text:
            return tape
    raise SettingsError(f"tape {text!r}: expected {' or '.join(TAPES)}")


def require_library() -> None:
    """Raise a VendorError unless the optional extra is installed."""
    try:
        import alpaca  # noqa: F401
    except ImportError as error:
        raise VendorError("Alpaca needs its library: pip install 'aurora-pipeline[alpaca]'") from error


def on_our_transport(client: _Client, patience: Patience, pace: Pace) -> _Client:
    """Give a client of the vendor's library our adapter; the library has no public place for one (pinned for that)."""
    client._session.mount("https://", PatientAdapter(patience, pace, posts_ask=False))
    client._session.mount("http://", PatientAdapter(patience, pace, posts_ask=False))
    return client


def batches(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split symbols into what one address can carry."""
    for begin in range(0, len(symbols), SYMBOLS_PER_REQUEST):
        yield symbols[begin : begin + SYMBOLS_PER_REQUEST]


def answered(ask: Callable[[], _Answer], what: str) -> Any:
    """Ask through the vendor's library and name what goes wrong.

    Raises
    ------
    VendorError
        Of the kind that fits.
    """
    from alpaca.common.exceptions import APIError

    try:
        return ask()
    except APIError as error:
        require_good(error.status_code or 500, str(error), "Alpaca", what)
        raise VendorFormatError(f"Alpaca: {what}: {error}") from error
    except (requests.RequestException, AttributeError, KeyError, TypeError, ValueError) as error:
        raise VendorFormatError(f"Alpaca: the answer to {what} is not in its documented form: {error}") from error


def _bar_frame(symbol: str, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    try:
        content = [{name: row[name] for name in _BAR_FIELDS} for row in rows]
        frame = pl.DataFrame(content, schema=_BAR_FIELDS, strict=True)
        start = frame.get_column("t").str.to_datetime(time_unit="us", time_zone="UTC", strict=True)
    except (KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise VendorFormatError(
            f"Alpaca: bars of {symbol} are not in their documented form ({', '.join(_BAR_FIELDS)}): {error!r}"
        ) from error
    named = frame.with_columns(start.alias("t")).rename(dict(zip(_BAR_FIELDS, _BAR_NAMES, strict=True)))
    return named.with_columns(
        pl.lit(symbol).alias("symbol"), pl.lit(None, BARS.columns["known_at"]).alias("known_at")
    ).select(list(BARS.columns))
