"""Residual returns of bars: what is left of a return after market and orthogonalised sector.

For each session, with betas known the session before (:mod:`aurora_pipeline.features.betas`)::

    residual = r - beta_market * r_market - beta_sector * (r_sector - beta_sector_to_market * r_market)

all over the same span, which is longer than a bar after an absent one and contains the night in a session's first bar. A bar
that arrives late or is corrected gives a further version of every residual it changes, known from that moment on.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.contracts import empty
from aurora_pipeline.features.bar_panel import BarPanel, build_bar_panel
from aurora_pipeline.features.betas import Betas, estimate_betas
from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.residual_kernel import bar_residuals, carried_forward
from aurora_pipeline.features.rolling import Panel
from aurora_pipeline.features.session_panel import SessionPanel, adjustment_factors, session_panels
from aurora_pipeline.market.point_in_time import as_known_at, knowledge_epochs

BAR_LOOKBACK = 6
"""Sessions of bars before a session in which a last close is looked for."""
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
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


def compute_residual_returns(inputs: ResidualInputs) -> pl.DataFrame:
    """Compute residual returns of every stock and bar of the sessions asked for.

    Returns
    -------
    polars.DataFrame
        Contract `residual_returns`. A bar without any earlier close, or during which the market has no price, has no row.
    """
    frames = [empty("residual_returns")]
    for sessions, panel in session_panels(inputs):
        betas = estimate_betas(panel, inputs)
        frames += [_session_residuals(inputs, session, panel, betas) for session in sessions]
    return pl.concat(frames)


def _session_residuals(inputs: ResidualInputs, session: date, panel: SessionPanel, betas: Betas) -> pl.DataFrame:
    calendar = inputs.calendar
    window = list(calendar.sessions(calendar.shift(session, -BAR_LOOKBACK), session))
    rows = inputs.bars.filter(pl.col("session").is_between(window[0], session))
    opened = calendar.open(session)
    epochs = knowledge_epochs(rows, "bar_end", opened, _END_OF_TIME)
    frame = empty("residual_returns")
    for since, until in zip([opened, *epochs], [*epochs, _END_OF_TIME], strict=True):
        frame = _merge(frame, _residuals(inputs, session, window, rows, until - _INSTANT, panel, betas), since)
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


def _residuals(
    inputs: ResidualInputs,
    session: date,
    window: list[date],
    rows: pl.DataFrame,
    moment: datetime,
    panel: SessionPanel,
    betas: Betas,
) -> pl.DataFrame:
    """Residuals of one session from bars known at one moment; one row per bar."""
    bars = build_bar_panel(inputs, rows, moment, window, panel.instruments)
    close = _with_earlier_close(inputs, session, bars, panel)
    latest, filled = carried_forward(close)
    stocks = _stocks(inputs.universe, session)
    positions = {name: index for index, name in enumerate(panel.instruments)}
    stocks = stocks.filter(pl.col("instrument_id").is_in(panel.instruments))
    members = np.array([positions[name] for name in stocks.get_column("instrument_id")], dtype=np.int64)
    names = stocks.get_column("sector").fill_null("").to_list()
    codes = {name: code for code, name in enumerate(sorted(set(names)))}
    sector = np.array([codes[name] if name else -1 for name in names], dtype=np.int64)
    etfs = np.full(len(codes), -1, dtype=np.int64)
    for name, code in codes.items():
        found = panel.column(inputs.manifest.sector_etfs.get(name))
        etfs[code] = -1 if found is None else found
    benchmark = panel.column(inputs.manifest.benchmark)
    row = len([day for day in panel.sessions if day < session])
    returns = bar_residuals(
        close,
        filled,
        latest,
        _recent_from(bars),
        bars.first_row + 1,
        members,
        sector,
        etfs,
        -1 if benchmark is None else benchmark,
        betas.market[row],
        betas.sector[row],
        betas.sector_to_market[row],
        inputs.settings.features.minimum_peers,
    )
    known = as_known_at(rows.filter(pl.col("session") == session), moment, ["instrument_id", "bar_end"])
    return _as_frame(bars, session, known, stocks, returns, betas.market[row][members])


def _with_earlier_close(inputs: ResidualInputs, session: date, bars: BarPanel, panel: SessionPanel) -> Panel:
    """Closes with one row in front of the window's last session holding the daily close of names without earlier bars."""
    before = bars.close[: bars.first_row]
    daily = np.full(len(panel.instruments), np.nan)
    rows = [index for index, day in enumerate(panel.sessions) if day < session][-BAR_LOOKBACK:]
    if rows:
        days = [panel.sessions[index] for index in rows]
        cutoff = inputs.session_cutoff(session)
        factor = adjustment_factors(inputs, [*days, session], panel.instruments, panel.close[rows], cutoff)
        for position, index in enumerate(rows):
            daily = daily * factor[position]
            daily = np.where(np.isnan(panel.close[index]), daily, panel.close[index])
        daily = daily * factor[-1]
    unpriced = np.isnan(before).all(axis=0)
    seed = np.where(unpriced, daily, np.nan)
    return np.concatenate([before, seed[None, :], bars.close[bars.first_row :]])


def _recent_from(bars: BarPanel) -> int:
    """First row from which a fund's price counts as recent: the start of the session before the window's last one."""
    sessions = bars.grid.get_column("session")
    days = sessions.unique(maintain_order=True).to_list()
    return int((sessions < days[-2]).sum()) if len(days) > 1 else 0


def _stocks(universe: pl.DataFrame, session: date) -> pl.DataFrame:
    return (
        universe.filter(pl.col("session") == session, pl.col("kind") == "stock")
        .select("symbol", "instrument_id", "sector")
        .sort("instrument_id")
    )


def _as_frame(
    bars: BarPanel,
    session: date,
    known: pl.DataFrame,
    stocks: pl.DataFrame,
    returns: NDArray[np.float64],
    beta_market: NDArray[np.float64],
) -> pl.DataFrame:
    ends = bars.grid.get_column("bar_end")[bars.first_row :]
    count = stocks.height
    columns = [returns[index].ravel() for index in range(6)]
    frame = pl.DataFrame(
        {
            "symbol": stocks.get_column("symbol").gather(np.tile(np.arange(count), len(ends))),
            "instrument_id": stocks.get_column("instrument_id").gather(np.tile(np.arange(count), len(ends))),
            "bar_end": ends.gather(np.repeat(np.arange(len(ends)), count)),
            "bar_return": columns[0],
            "market_return": columns[1],
            "sector_return": columns[2],
            "beta_market": np.tile(beta_market, len(ends)),
            "beta_sector": columns[3],
            "residual_return": columns[4],
            "market_only": columns[5] == 1.0,
        }
    ).filter(pl.col("residual_return").is_not_nan())
    moments = known.select("instrument_id", "bar_end", "known_at")
    return (
        frame.join(moments, on=["instrument_id", "bar_end"], how="left", maintain_order="left")
        .with_columns(pl.lit(session).alias("session"), pl.lit(None, pl.Datetime("us", "UTC")).alias("quarantined_at"))
        .select(empty("residual_returns").columns)
    )
