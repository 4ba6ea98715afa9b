"""Residual returns of bars: what is left of a return after market and orthogonalised sector.

For each session, with betas known the session before (:mod:`aurora_pipeline.features.betas`)::

    residual = r - beta_market * r_market - beta_sector * (r_sector - beta_sector_to_market * r_market)

all over the same span, which is longer than a bar after an absent one and contains the night in a session's first bar. A bar
that arrives late or is corrected gives a further version of every residual it changes, known from that moment on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.features.adjustment import adjustment_factors
from aurora_pipeline.features.bar_panel import BarPanel, bar_block, build_bar_panel
from aurora_pipeline.features.daily_history import DailyHistory, daily_histories
from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.membership import Membership, membership
from aurora_pipeline.features.residual_kernel import bar_residuals, carried_forward
from aurora_pipeline.features.versioned_arrays import microseconds
from aurora_pipeline.features.windows import Panel
from aurora_pipeline.lookback import BAR_LOOKBACK

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_VALUES = (
    "bar_return",
    "market_return",
    "sector_return",
    "beta_market",
    "beta_sector",
    "residual_return",
    "market_only",
)


@dataclass(frozen=True)
class SessionResiduals:
    """Residuals of one session from bars known at one moment.

    Attributes
    ----------
    session : date
    stocks : ndarray of int of shape (stocks,)
        Columns of the universe's membership.
    ends : polars.Series
        Bar ends of the session.
    values : ndarray of shape (6, bars, stocks)
        From :func:`~aurora_pipeline.features.residual_kernel.bar_residuals`.
    beta_market : ndarray of shape (stocks,)
    known_at : ndarray of shape (bars, stocks)
        Moment each bar became known, microseconds since 1970.
    """

    session: date
    stocks: NDArray[np.int64]
    ends: pl.Series
    values: NDArray[np.float64]
    beta_market: NDArray[np.float64]
    known_at: Panel


def compute_residual_returns(inputs: ResidualInputs) -> pl.DataFrame:
    """Compute residual returns of every stock and bar of the sessions asked for.

    Returns
    -------
    polars.DataFrame
        Contract `residual_returns`. A bar without any earlier close, or during which the market has no price, has no row.
    """
    frames = [empty("residual_returns")]
    plain: list[SessionResiduals] = []
    for daily in daily_histories(inputs):
        for session in daily.sessions:
            epochs = _epochs(inputs, session)
            if not epochs:
                plain.append(_residuals(inputs, session, _END_OF_TIME - _INSTANT, daily))
                continue
            frames += [_as_frame(inputs, plain), _session_versions(inputs, session, epochs, daily)]
            plain = []
    return pl.concat([*frames, _as_frame(inputs, plain)])


def _window(inputs: ResidualInputs, session: date) -> list[date]:
    return inputs.calendar.sessions(inputs.calendar.shift(session, -BAR_LOOKBACK), session)


def _epochs(inputs: ResidualInputs, session: date) -> list[datetime]:
    """Moments after the session's open at which something about a bar in its window became known late."""
    block, window = bar_block(inputs), _window(inputs, session)
    late = block.rows.late_moments(*block.span(window[0], session))
    late = late[late > microseconds(inputs.calendar.open(session))]
    return [_EPOCH + timedelta(microseconds=int(moment)) for moment in late]


def _session_versions(
    inputs: ResidualInputs, session: date, epochs: Sequence[datetime], daily: DailyHistory
) -> pl.DataFrame:
    """Residuals of a session with a further version of each that something known late has changed."""
    opened = inputs.calendar.open(session)
    frame = empty("residual_returns")
    for since, until in zip([opened, *epochs], [*epochs, _END_OF_TIME], strict=True):
        now = _as_frame(inputs, [_residuals(inputs, session, until - _INSTANT, daily)])
        frame = _merge(frame, now, since)
    return frame.select(empty("residual_returns").columns)


def _merge(before: pl.DataFrame, now: pl.DataFrame, since: datetime) -> pl.DataFrame:
    """Add to the versions known so far what became known or changed at `since`."""
    if before.is_empty():
        return now
    key = ["instrument_id", "bar_end"]
    newest = before.sort(*key, "known_at").unique(key, keep="last", maintain_order=True)
    gone = newest.join(now, on=key, how="anti").filter(pl.col("quarantined_at").is_null()).select(key)
    held = newest.select(*key, *(pl.col(name).alias(f"held_{name}") for name in _VALUES))
    compared = now.join(held, on=key, how="left", maintain_order="left")
    new = compared.filter(pl.col("held_residual_return").is_null())
    differs = pl.any_horizontal(pl.col(name) != pl.col(f"held_{name}") for name in _VALUES)
    changed = compared.filter(differs.fill_null(value=False)).with_columns(
        pl.max_horizontal("known_at", pl.lit(since, pl.Datetime("us", "UTC"))).alias("known_at")
    )
    marked = before.join(gone.with_columns(pl.lit(True).alias("gone")), on=key, how="left", maintain_order="left")
    ended = pl.when(pl.col("gone") & pl.col("quarantined_at").is_null()).then(pl.lit(since, pl.Datetime("us", "UTC")))
    marked = marked.with_columns(ended.otherwise(pl.col("quarantined_at")).alias("quarantined_at")).drop("gone")
    return pl.concat([marked, new.select(before.columns), changed.select(before.columns)])


def _residuals(inputs: ResidualInputs, session: date, moment: datetime, daily: DailyHistory) -> SessionResiduals:
    panel, betas, members = daily.panel, daily.betas, membership(inputs)
    bars = build_bar_panel(inputs, moment, _window(inputs, session), panel.instruments)
    close = _with_earlier_close(inputs, session, bars, daily)
    latest, filled = carried_forward(close)
    found = [(column, panel.column(members.instruments[column])) for column in members.stocks(session)]
    stocks = np.array([column for column, own in found if own is not None], dtype=np.int64)
    columns = np.array([own for _, own in found if own is not None], dtype=np.int64)
    sector = members.sector[members.sessions[session], stocks] if stocks.size else stocks
    funds = [panel.column(inputs.manifest.sector_etfs.get(name)) for name in members.sectors]
    benchmark = panel.column(inputs.manifest.benchmark)
    row = _row(daily, session)
    values = bar_residuals(
        close,
        filled,
        latest,
        int(bars.starts[-3]) if len(bars.starts) > 2 else 0,
        bars.first_row + 1,
        columns,
        sector,
        np.array([-1 if fund is None else fund for fund in funds], dtype=np.int64),
        -1 if benchmark is None else benchmark,
        betas.market[row],
        betas.sector[row],
        betas.sector_to_market[row],
        inputs.settings.features.minimum_peers,
    )
    block = bar_block(inputs)
    first, stop = block.span(session, session)
    known = bars.known_at[bars.first_row :][:, columns]
    return SessionResiduals(session, stocks, block.ends[first:stop], values, betas.market[row][columns], known)


def _row(daily: DailyHistory, session: date) -> int:
    """Panel row before which the session lies: its betas were estimated through the row before."""
    newest = daily.first + daily.sessions.index(session)
    return newest if daily.panel.sessions[newest] == session else newest + 1


def _with_earlier_close(inputs: ResidualInputs, session: date, bars: BarPanel, daily: DailyHistory) -> Panel:
    """Closes with one row in front of the window's last session holding the daily close of names without earlier bars."""
    panel = daily.panel
    before = bars.close[: bars.first_row]
    seed = np.full(len(panel.instruments), np.nan)
    unpriced = np.isnan(before).all(axis=0)
    stop = _row(daily, session)
    rows = range(max(stop - BAR_LOOKBACK, 0), stop)
    if rows and unpriced.any():
        days = [panel.sessions[index] for index in rows]
        cutoff = inputs.session_cutoff(session)
        factor = adjustment_factors(
            inputs, [*days, session], panel.instruments, panel.close[rows.start : stop + 1], cutoff
        )
        for position, index in enumerate(rows):
            seed = seed * factor[position]
            seed = np.where(np.isnan(panel.close[index]), seed, panel.close[index])
        seed = np.where(unpriced, seed * factor[-1], np.nan)
    return np.concatenate([before, seed[None, :], bars.close[bars.first_row :]])


def _as_frame(inputs: ResidualInputs, parts: Sequence[SessionResiduals]) -> pl.DataFrame:
    """Rows of some sessions, each the only version of its bar."""
    parts = [part for part in parts if part.stocks.size]
    if not parts:
        return empty("residual_returns")
    members: Membership = membership(inputs)
    kept = [np.nonzero(~np.isnan(part.values[4])) for part in parts]
    lengths = [bar.size for bar, _ in kept]
    day = np.repeat([members.sessions[part.session] for part in parts], lengths)
    stock = np.concatenate([part.stocks[column] for part, (_, column) in zip(parts, kept, strict=True)])
    values = np.concatenate(
        [part.values[:, bar, column] for part, (bar, column) in zip(parts, kept, strict=True)], axis=1
    )
    known = np.concatenate([part.known_at[bar, column] for part, (bar, column) in zip(parts, kept, strict=True)])
    frame = pl.DataFrame(
        {
            "session": pl.Series(list(members.sessions), dtype=pl.Date).gather(day),
            "symbol": members.symbols.gather(members.symbol[day, stock]),
            "instrument_id": pl.Series(members.instruments, dtype=pl.String).gather(stock),
            "bar_end": pl.concat([part.ends.gather(bar) for part, (bar, _) in zip(parts, kept, strict=True)]),
            "bar_return": values[0],
            "market_return": values[1],
            "sector_return": values[2],
            "beta_market": np.concatenate(
                [part.beta_market[column] for part, (_, column) in zip(parts, kept, strict=True)]
            ),
            "beta_sector": values[3],
            "residual_return": values[4],
            "market_only": values[5] == 1.0,
            "known_at": pl.Series(known.astype(np.int64)).cast(TIMESTAMP),
            "quarantined_at": pl.Series([None] * int(day.size), dtype=TIMESTAMP),
        }
    )
    return frame.select(empty("residual_returns").columns)
