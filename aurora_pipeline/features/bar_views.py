"""The views computed from bars, in one pass over the sessions: what they look at is laid out once for all of them.

1. Daily histories with betas, one per group of sessions (:mod:`~aurora_pipeline.features.daily_history`).
2. Each view's session-level features of the whole group.
3. Bars of the decision frequency (:mod:`~aurora_pipeline.features.bar_history`): of the group at `session`; at 5min session by
   session, in a few threads, since the kernels let go of the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from aurora_pipeline.features.bar_history import BarHistory, bar_histories, daily_bar_history
from aurora_pipeline.features.daily_history import DailyHistory, daily_histories
from aurora_pipeline.features.feature_columns import FeatureColumns, row_places
from aurora_pipeline.features.feature_spec import FeatureSpec, require_computed
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.microstructure import (
    MICROSTRUCTURE_FEATURES,
    bar_microstructure_features,
    daily_microstructure_features,
)
from aurora_pipeline.features.price import PRICE_FEATURES, daily_price_features, session_price_features
from aurora_pipeline.features.sector_features import SECTOR_FEATURES, bar_sector_features, daily_sector_features
from aurora_pipeline.features.windows import Panel


@dataclass(frozen=True)
class BarView:
    """A view computed from bars.

    Attributes
    ----------
    specs : tuple of FeatureSpec
        Its features.
    daily : callable
        Session-level features of a group; arrays of shape (sessions, instruments).
    bars : callable
        Features of the bars; arrays of shape (decision times, instruments).
    """

    specs: tuple[FeatureSpec, ...]
    daily: Callable[[DailyHistory], dict[str, Panel]]
    bars: Callable[[BarHistory], dict[str, Panel]]


BAR_VIEWS: Mapping[str, BarView] = {
    "price": BarView(PRICE_FEATURES, daily_price_features, session_price_features),
    "sector": BarView(SECTOR_FEATURES, daily_sector_features, bar_sector_features),
    "microstructure": BarView(MICROSTRUCTURE_FEATURES, daily_microstructure_features, bar_microstructure_features),
}


def compute_bar_views(inputs: FeatureInputs, rows: pl.DataFrame, views: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Compute some of :data:`BAR_VIEWS`.

    Parameters
    ----------
    inputs : FeatureInputs
        Sessions and the frames that cover them.
    rows : polars.DataFrame
        From :func:`~aurora_pipeline.features.decision_rows.decision_rows`.
    views : sequence of str
        Which.

    Returns
    -------
    dict of str to polars.DataFrame
        `session`, `symbol`, `decision_time` in the order of `rows`, and a Float32 column per feature, null where missing.

    Raises
    ------
    ContractError
        A view declares a feature that neither of its functions computes.
    """
    places = row_places(inputs, rows)
    tables = {view: FeatureColumns(places, [spec.name for spec in BAR_VIEWS[view].specs]) for view in views}
    with ThreadPoolExecutor(inputs.settings.threads) as threads:
        for daily in daily_histories(inputs):
            names = daily.panel.instruments
            for view, values in zip(views, threads.map(partial(_group_values, daily), views), strict=True):
                tables[view].put_sessions(daily.sessions, names, values)
            if inputs.frequency == "5min":
                list(threads.map(partial(_put_session, inputs, tables, daily), daily.sessions))
    if rows.height:
        for view, table in tables.items():
            require_computed(BAR_VIEWS[view].specs, table.given, inputs.frequency)
    return {view: table.frame() for view, table in tables.items()}


def _group_values(daily: DailyHistory, view: str) -> dict[str, Panel]:
    """Session-level features of a group and, where a bar is a session, those of its bars."""
    values = BAR_VIEWS[view].daily(daily)
    return values | BAR_VIEWS[view].bars(daily_bar_history(daily)) if daily.frequency == "session" else values


def _put_session(
    inputs: FeatureInputs, tables: Mapping[str, FeatureColumns], daily: DailyHistory, session: date
) -> None:
    for history in bar_histories(inputs, daily, session):
        for view, table in tables.items():
            table.put_bars(session, history.first, history.instruments, BAR_VIEWS[view].bars(history))
