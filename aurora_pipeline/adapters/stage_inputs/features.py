"""Reads what the feature views of some sessions need from the lake, look-back included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.contracts import FEATURE_FEEDS, empty
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.lookback import BAR_LOOKBACK, SESSION_LOOKBACK
from aurora_pipeline.settings import Settings

ReadBack = Callable[[str, Sequence[date], int, Sequence[str] | None], pl.DataFrame]
"""Reads a table over some sessions and as many sessions before them: some of its columns, or all."""
_VERSION = ("instrument_id", "known_at", "quarantined_at")
_PRICES = ("open", "high", "low", "close", "volume")
_VIEW_COLUMNS = {
    "bars": (*_VERSION, "bar_end", *_PRICES, "vwap"),
    "session_bars": (*_VERSION, "session", *_PRICES),
    "daily_bars": (*_VERSION, "session", *_PRICES),
    "residual_returns": (*_VERSION, "bar_end", "bar_return", "residual_return"),
    "universe": ("session", "symbol", "instrument_id", "kind", "sector", "eligible"),
}
"""Columns the views look at; of the other feeds they look at most."""
_DAILY_COLUMNS = _VIEW_COLUMNS | {"bars": (*_VERSION, "bar_end", "close"), "residual_returns": ()}
"""The same at frequency `session`, where daily bars are the bars: others only say who traded."""


def read_feature_inputs(
    home: Home,
    settings: Settings,
    sessions: Sequence[date],
    read_back: ReadBack,
    until: datetime | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> FeatureInputs:
    """Read the inputs of all views.

    Parameters
    ----------
    home : Home
        The installation.
    settings : Settings
        Handed on to the views.
    sessions : sequence of date
        Sessions to compute.
    read_back : callable
        How session tables are read; an asset's refuses gaps in the look-back.
    until : datetime, optional
        Newest decision time, for a session that is still going on.
    columns : mapping of str to sequence of str, optional
        Columns wanted of some tables; all of those not named, and no rows at all where none is wanted.
    """
    wanted = columns or {}

    def back(name: str, count: int) -> pl.DataFrame:
        return empty(name) if wanted.get(name) == () else read_back(name, sessions, count, wanted.get(name))

    return FeatureInputs(
        sessions=list(sessions),
        until=until,
        calendar=home.calendar,
        frequency=home.frequency,
        manifest=home.manifest(),
        settings=settings,
        bars=back("bars", BAR_LOOKBACK),
        session_bars=back("session_bars", SESSION_LOOKBACK),
        residual_returns=back("residual_returns", BAR_LOOKBACK),
        universe=back("universe", BAR_LOOKBACK),
        **{name: home.lake.read(name, columns=wanted.get(name)) for name in FEATURE_FEEDS},
    )


def read_view_inputs(
    home: Home, settings: Settings, sessions: Sequence[date], read_back: ReadBack, until: datetime | None = None
) -> FeatureInputs:
    """Read what the views look at and no more: enough to compute them, not to check them for leaks.

    Parameters as in :func:`read_feature_inputs`.
    """
    columns = _VIEW_COLUMNS if home.frequency == "5min" else _DAILY_COLUMNS
    return read_feature_inputs(home, settings, sessions, read_back, until, columns)
