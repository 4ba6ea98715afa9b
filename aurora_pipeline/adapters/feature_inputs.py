"""Reads what the feature views of some sessions need from the lake, look-back included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.contracts import FEATURE_FEEDS
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import BAR_LOOKBACK, SESSION_LOOKBACK

ReadBack = Callable[[str, Sequence[date], int], pl.DataFrame]
"""Reads a table over some sessions and as many sessions before them."""


def read_feature_inputs(
    home: Home, settings: Settings, sessions: Sequence[date], read_back: ReadBack, until: datetime | None = None
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
    """
    return FeatureInputs(
        sessions=list(sessions),
        until=until,
        calendar=home.calendar,
        frequency=home.frequency,
        manifest=home.folder().manifest,
        settings=settings,
        bars=read_back("bars", sessions, BAR_LOOKBACK),
        session_bars=read_back("session_bars", sessions, SESSION_LOOKBACK),
        residual_returns=read_back("residual_returns", sessions, BAR_LOOKBACK),
        universe=read_back("universe", sessions, BAR_LOOKBACK),
        **{name: home.lake.read(name) for name in FEATURE_FEEDS},
    )
