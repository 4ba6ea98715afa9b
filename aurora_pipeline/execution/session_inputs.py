"""Everything a book may know in one session, as arrays over names and decision times.

Quantities of a session (risk, volatility, traded value, half-spread, who may be traded) use rows known at its open;
quantities of a decision time use rows known then. Fills use each bar as it was first known at its end: a bar that
arrives late was no bar to a trader, and later corrections do not change what was executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import BARS_PER_SESSION, Frequency, SessionCalendar
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.bar_arrays import Floats, bar_arrays
from aurora_pipeline.execution.corporate_events import CorporateEvent, events_at_open
from aurora_pipeline.lookback import RISK_LOOKBACK, VALUE_LOOKBACK
from aurora_pipeline.market.point_in_time import as_known_at
from aurora_pipeline.policy.cost_model import bounded_half_spread, estimate_half_spread, quoted_borrow
from aurora_pipeline.policy.holding_period import UNKNOWN, measure_persistence, replacement_sessions
from aurora_pipeline.policy.regulatory_fees import NO_SALE_FEES, SaleFees, sale_fees
from aurora_pipeline.policy.risk_model import RiskModel, estimate_risk_model
from aurora_pipeline.settings import Settings

NO_MODEL = "no model trades"
"""Reason in `universe` of a session in which no model serves: nothing is eligible, the book goes flat."""


class Manifest(Protocol):
    """What the book needs to know about a market: how its prices are adjusted."""

    @property
    def price_adjustment(self) -> str:
        """``none``, ``split`` or ``split_dividend``."""


@dataclass(frozen=True)
class SessionInputs:
    """One session's view of the market; n names sorted by instrument, T decision times.

    Attributes
    ----------
    session : date
        The session.
    previous_session : date
        The one before it in the calendar.
    decision_times : tuple of datetime
        Bar ends handled, in order; fewer than the session's while it is running.
    bar_count : int
        Bars the whole session has.
    full_session_bars : int
        Bars of a session that is not cut short.
    next_bar_end : tuple of datetime
        End of the bar an order of each decision time may fill in.
    instruments, symbols : tuple of str
        Permanent names and symbols of the day.
    sectors : ndarray of int of shape (n,)
        Index into `sector_names`, -1 where unknown.
    sector_names : tuple of str
        Sectors of the session.
    eligible : ndarray of bool of shape (n,)
        May be held.
    mark : ndarray of shape (T, n)
        Close of the newest bar of this session known at each decision time; NaN before the first.
    fresh : ndarray of bool of shape (T, n)
        Whether the bar that ends at the decision time is known then.
    fill_price, fill_volume : ndarray of shape (T, n)
        VWAP (typical price where there is none), USD/share, and shares traded in each bar; NaN and 0 without a bar.
    expected_return : ndarray of shape (T, n)
        Fraction over the horizon; NaN where there is no signal.
    calibrated : ndarray of bool of shape (T, n)
        Whether the signal is calibrated.
    risk : RiskModel
        Per session, through the session before.
    half_spread, average_value : ndarray of shape (n,)
        Half-spread as fraction of price, and average traded value per session in USD (NaN where unknown).
    events : tuple of CorporateEvent
        What happens to holdings at the open.
    horizon_sessions : float
        Length of the forecast in sessions.
    holding_horizons : float
        Horizons an edge lasts, see :mod:`aurora_pipeline.policy.holding_period`.
    fees : SaleFees
        Regulatory fees in force.
    quoted_borrow : tuple of float or None
        What the feed quotes for a short of each name, see :func:`aurora_pipeline.policy.cost_model.quoted_borrow`; empty without
        a feed.
    unlisted_borrow : mapping of str to float or None
        The same for the names the feed knows beside those of the session.
    served : bool
        Whether any model trades the session; without one the book goes flat.
    """

    session: date
    previous_session: date
    decision_times: tuple[datetime, ...]
    bar_count: int
    full_session_bars: int
    next_bar_end: tuple[datetime, ...]
    instruments: tuple[str, ...]
    symbols: tuple[str, ...]
    sectors: NDArray[np.int64]
    sector_names: tuple[str, ...]
    eligible: NDArray[np.bool_]
    mark: Floats
    fresh: NDArray[np.bool_]
    fill_price: Floats
    fill_volume: Floats
    expected_return: Floats
    calibrated: NDArray[np.bool_]
    risk: RiskModel
    half_spread: Floats
    average_value: Floats
    events: tuple[CorporateEvent, ...]
    horizon_sessions: float
    holding_horizons: float = 1.0
    fees: SaleFees = NO_SALE_FEES
    quoted_borrow: tuple[float | None, ...] = ()
    unlisted_borrow: Mapping[str, float | None] = field(default_factory=dict)
    served: bool = True


def prepare_session_inputs(
    session: date,
    calendar: SessionCalendar,
    frequency: Frequency,
    manifest: Manifest,
    settings: Settings,
    *,
    bars: pl.DataFrame,
    signals: pl.DataFrame,
    universe: pl.DataFrame,
    returns: pl.DataFrame,
    session_bars: pl.DataFrame,
    daily_bars: pl.DataFrame,
    corporate_actions: pl.DataFrame,
    scores: pl.DataFrame | None = None,
    borrow: pl.DataFrame | None = None,
    through: datetime | None = None,
) -> SessionInputs:
    """Build the inputs of one session from lake frames; rows of other sessions and rows known later are left out here.

    Parameters
    ----------
    session : date
        Session to trade.
    calendar : SessionCalendar
        Bar grid.
    frequency : {"5min", "session"}
        Decision frequency.
    manifest : Manifest
        Of the market; decides which corporate actions touch holdings.
    settings : Settings
        Horizon and cost bounds.
    bars, signals, universe : polars.DataFrame
        Lake tables, at least this session's rows.
    returns : polars.DataFrame
        Output of :func:`aurora_pipeline.policy.session_returns.session_returns` over at least the 60 sessions before.
        It does not depend on the session, so a range computes it once.
    session_bars, daily_bars : polars.DataFrame
        Lake tables, at least the 20 sessions before; the feed's daily bar wins where both have one.
    corporate_actions : polars.DataFrame
        Lake table.
    scores : polars.DataFrame, optional
        Output of :func:`aurora_pipeline.policy.holding_period.closing_scores` over the sessions before; without it an edge
        is valued over one horizon.
    borrow : polars.DataFrame, optional
        Lake table; without it a short costs what the settings say.
    through : datetime, optional
        Newest bar end to handle, for a session that is still running. Default: all of them.
    """
    opening = calendar.open(session)
    all_ends = calendar.bar_ends(session, frequency)
    ends = [end for end in all_ends if through is None or end <= through]
    following = calendar.bar_ends(calendar.shift(session, 1), frequency)[0]
    session_rows = bars.filter(pl.col("session") == session)
    listed = universe.filter(pl.col("session") == session)
    names = _names(listed, session_rows, session)
    instruments = names.get_column("instrument_id").to_list()
    sector_of = names.get_column("sector").to_list()
    sector_names = tuple(sorted({sector for sector in sector_of if sector is not None}))
    prices = bar_arrays(session_rows, instruments, all_ends, len(ends))
    day_signals = signals.filter(pl.col("session") == session)
    if settings.book.assumed_ic is not None:
        day_signals = _uncalibrated(day_signals, settings.book.assumed_ic)
    expected, calibrated = _signal_arrays(day_signals, names, ends)

    def before(frame: pl.DataFrame, sessions: int) -> pl.DataFrame:
        """Rows of the sessions before, as known at the open."""
        first = calendar.shift(session, -sessions)
        rows = frame.filter(pl.col("session").is_between(first, session, closed="left"))
        return as_known_at(rows, opening, ["instrument_id", "session"])

    average_value = _average_value(
        before(daily_bars, VALUE_LOOKBACK), before(session_bars, VALUE_LOOKBACK), instruments
    )
    risk = estimate_risk_model(before(returns, RISK_LOOKBACK), instruments, sector_of, average_value)
    horizon_sessions = settings.horizon_bars(frequency) / BARS_PER_SESSION[frequency]
    persistence = UNKNOWN if scores is None else measure_persistence(scores, session)
    estimate = estimate_half_spread(risk.total_volatility, average_value)
    expired = calendar.open(calendar.shift(session, -settings.costs.borrow_expiry_sessions))
    quoted = set() if borrow is None else set(borrow.get_column("instrument_id").drop_nulls().unique())
    unlisted = sorted(quoted - set(instruments))
    return SessionInputs(
        session=session,
        previous_session=calendar.shift(session, -1),
        decision_times=tuple(ends),
        bar_count=len(all_ends),
        full_session_bars=BARS_PER_SESSION[frequency],
        next_bar_end=tuple([*all_ends[1:], following][: len(ends)]),
        instruments=tuple(instruments),
        symbols=tuple(names.get_column("symbol").to_list()),
        sectors=np.array([-1 if name is None else sector_names.index(name) for name in sector_of], dtype=np.int64),
        sector_names=sector_names,
        eligible=names.get_column("eligible").to_numpy(),
        mark=prices.mark,
        fresh=prices.fresh,
        fill_price=prices.fill_price,
        fill_volume=prices.fill_volume,
        expected_return=expected,
        calibrated=calibrated,
        risk=risk,
        half_spread=bounded_half_spread(estimate, average_value, settings.costs),
        average_value=average_value,
        events=events_at_open(corporate_actions, session, calendar, manifest.price_adjustment),
        horizon_sessions=horizon_sessions,
        holding_horizons=persistence.horizons(horizon_sessions, replacement_sessions(settings.book)),
        fees=sale_fees(session) if settings.costs.regulatory_fees else NO_SALE_FEES,
        quoted_borrow=() if borrow is None else quoted_borrow(borrow, instruments, opening, expired),
        unlisted_borrow={}
        if borrow is None
        else dict(zip(unlisted, quoted_borrow(borrow, unlisted, opening, expired), strict=True)),
        served=not listed.get_column("reason").eq(NO_MODEL).any(),
    )


def _names(universe: pl.DataFrame, session_rows: pl.DataFrame, session: date) -> pl.DataFrame:
    """Stocks of the session's universe and instruments that trade outside it, sorted by instrument."""
    if universe.is_empty():
        raise BookError(f"session {session}: the universe has no row, so no book can trade; compute `universe` first")
    listed = universe.filter(pl.col("kind") == "stock").select("instrument_id", "symbol", "sector", "eligible")
    elsewhere = (
        session_rows.select("instrument_id", "symbol")
        .unique()
        .join(universe.select("instrument_id").unique(), on="instrument_id", how="anti")
        .with_columns(pl.lit(None, pl.String).alias("sector"), pl.lit(False).alias("eligible"))
    )
    names = pl.concat([listed, elsewhere]).sort("instrument_id", "symbol")
    return names.unique(subset=["instrument_id"], keep="first", maintain_order=True)


def _uncalibrated(signals: pl.DataFrame, assumed_ic: float) -> pl.DataFrame:
    """Signals valued with an IC somebody believes in rather than the measured one: Grinold's formula, nothing shrunk."""
    believed = assumed_ic * pl.col("residual_volatility") * pl.col("score")
    return signals.with_columns(
        believed.alias("expected_return"), believed.is_finite().fill_null(False).alias("calibrated")
    )


def _signal_arrays(
    signals: pl.DataFrame, names: pl.DataFrame, ends: Sequence[datetime]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Expected returns and calibration flags, shape (T, n); signals are keyed by the symbol of the day."""
    expected = np.full((len(ends), names.height), np.nan)
    calibrated = np.zeros((len(ends), names.height), dtype=bool)
    grid = pl.DataFrame({"decision_time": list(ends)}, schema={"decision_time": signals.schema["decision_time"]})
    rows = signals.join(grid.with_row_index("row"), on="decision_time").join(
        names.select("symbol").with_row_index("column"), on="symbol"
    )
    at = rows.get_column("row").to_numpy(), rows.get_column("column").to_numpy()
    values = rows.get_column("expected_return").cast(pl.Float64).fill_null(np.nan).to_numpy()
    expected[at] = np.where(np.isfinite(values), values, np.nan)
    calibrated[at] = rows.get_column("calibrated").to_numpy()
    return expected, calibrated


def _average_value(daily: pl.DataFrame, aggregated: pl.DataFrame, instruments: Sequence[str]) -> Floats:
    """Mean traded value over the look-back, USD; NaN without any bar. Splits leave it unchanged."""
    columns = ["instrument_id", "session", "close", "volume"]
    missing = aggregated.select(columns).join(daily, on=["instrument_id", "session"], how="anti")
    traded = pl.concat([daily.select(columns), missing]).sort("instrument_id", "session")
    mean = traded.group_by("instrument_id", maintain_order=True).agg((pl.col("close") * pl.col("volume")).mean())
    value = dict(mean.iter_rows())
    return np.array([value.get(name, np.nan) for name in instruments], dtype=np.float64)
