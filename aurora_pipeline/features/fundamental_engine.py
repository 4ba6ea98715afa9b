"""Fundamental features: what companies have announced and filed, as known at each decision time.

1. Reduce the rows to states of knowledge (:func:`knowledge_states`): reports change a stock's features a few times a year.
2. Lay out, per state, the newest quarters with the versions known then (:func:`history_at`).
3. Attach prices and splits through the newest complete session (:func:`market_states`) and compute
   :func:`earnings_features` and :func:`filing_features`.
4. Spread the states' values over the rows (:func:`from_states`).

A report older than its expiry, or none at all, is missing: null, with a flag of its own.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from aurora_pipeline.features import earnings_surprise, filing_ratios
from aurora_pipeline.features.as_of import from_states, history_at, session_ages, unexpired
from aurora_pipeline.features.earnings_surprise import earnings_features
from aurora_pipeline.features.feature_spec import require_computed
from aurora_pipeline.features.feed_facts import feed_facts
from aurora_pipeline.features.filing_ratios import filing_features
from aurora_pipeline.features.fundamental_specs import FUNDAMENTAL_FEATURES
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.market_state import market_states
from aurora_pipeline.features.readers import knowledge_states, readers_of

__all__ = ["FUNDAMENTAL_FEATURES", "compute_fundamental_features"]


def compute_fundamental_features(inputs: FeatureInputs, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute the fundamental features of some decision rows.

    Parameters
    ----------
    inputs : FeatureInputs
        Feeds, daily history, settings and manifest; `inputs.sessions` covers the rows.
    rows : polars.DataFrame
        `session`, `symbol`, `instrument_id`, `sector`, `decision_time`.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `decision_time` in the order of the rows, and one Float32 column per feature of
        :data:`FUNDAMENTAL_FEATURES`; null where missing or expired.

    Raises
    ------
    ContractError
        A feature is declared and not computed.
    """
    feeds = {name: feed_facts(inputs, name) for name in ("earnings", "fundamentals")}
    states, state_of_row = knowledge_states(readers_of(rows), feeds)
    announced = history_at(
        states,
        "earnings",
        feeds["earnings"],
        columns=earnings_surprise.COLUMNS,
        depth=earnings_surprise.DEPTH,
        reach=earnings_surprise.REACH,
    )
    filed = history_at(
        states,
        "fundamentals",
        feeds["fundamentals"],
        columns=filing_ratios.COLUMNS,
        depth=filing_ratios.DEPTH,
        reach=filing_ratios.REACH,
    )
    settings = inputs.settings.features
    announced_age = session_ages(inputs.calendar, states.day, announced.newest_first_known, announced.entry)
    filed_age = session_ages(inputs.calendar, states.day, filed.newest_first_known, filed.entry)
    announced_age = unexpired(announced_age, announced_age, settings.earnings_expiry_sessions)
    filed_age = unexpired(filed_age, filed_age, settings.fundamentals_expiry_sessions)
    computed: set[str] = set()
    out = {spec.name: np.full(len(states.day), np.nan) for spec in FUNDAMENTAL_FEATURES}
    for market in market_states(inputs, states.names, states.day, states.instrument):
        own = market.positions
        earnings = earnings_features(announced.take(own), announced_age[own], market, inputs.manifest)
        filings = filing_features(filed.take(own), filed_age[own], market, inputs.manifest)
        for name, values in (earnings | filings).items():
            out[name][own] = values
            computed.add(name)
    if len(states.day):
        require_computed(FUNDAMENTAL_FEATURES, computed, inputs.frequency)
    return from_states(rows, state_of_row, out)
