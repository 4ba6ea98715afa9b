"""Alternative features: short interest, options and fund flows, as known at each decision time.

1. Add the sectors' peers at each session's cutoff (:func:`peer_readers`) and reduce all rows to states of knowledge.
2. Lay out each feed's newest periods per state (:func:`history_at`), those of flows by the fund of the stock's sector.
3. Attach daily history (:func:`market_states`) and compute :func:`short_interest_features`, :func:`option_features` and
   :func:`fund_flow_measures`.
4. Measure standings within the sector (:class:`SectorGroups`): flows act through a stock's size, and two products
   follow from theory: news that meets crowded shorts, and skew that meets flows.
5. Spread the states' values over the rows.

A fact older than its expiry, or none at all, is missing: null, with a flag per feed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features import earnings_surprise, filing_ratios, fund_flows, option_summary, short_interest
from aurora_pipeline.features.alternative_specs import ALTERNATIVE_FEATURES
from aurora_pipeline.features.as_of import FactHistory, from_states, history_at, session_ages, unexpired
from aurora_pipeline.features.codes import axis_codes, codes_of
from aurora_pipeline.features.earnings_surprise import earnings_features
from aurora_pipeline.features.feature_spec import require_computed
from aurora_pipeline.features.feed_facts import feed_facts
from aurora_pipeline.features.filing_ratios import shares_outstanding
from aurora_pipeline.features.fund_flows import fund_flow_measures
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.market_state import MarketState, market_states
from aurora_pipeline.features.membership import membership
from aurora_pipeline.features.option_summary import option_features
from aurora_pipeline.features.readers import (
    NEVER,
    KnowledgeStates,
    Readers,
    joined_readers,
    knowledge_states,
    readers_of,
)
from aurora_pipeline.features.rolling import rolling_mean
from aurora_pipeline.features.sector_standing import SectorGroups, peer_readers, sector_groups
from aurora_pipeline.features.short_interest import short_interest_features

__all__ = ["ALTERNATIVE_FEATURES", "compute_alternative_features"]

SIZE_SESSIONS = 60
"""Sessions of dollar volume behind a stock's size."""
_FEEDS = {
    "short_interest": short_interest,
    "options": option_summary,
    "etf_flows": fund_flows,
    "earnings": earnings_surprise,
}
"""Feed to the module that says how many of its facts it looks at."""


def compute_alternative_features(inputs: FeatureInputs, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute the alternative features of some decision rows.

    Parameters
    ----------
    inputs : FeatureInputs
        Feeds, daily history, universe, settings and manifest; `inputs.sessions` covers the rows.
    rows : polars.DataFrame
        `session`, `symbol`, `instrument_id`, `sector`, `decision_time`.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `decision_time` in the order of the rows, and one Float32 column per feature of
        :data:`ALTERNATIVE_FEATURES`; null where missing or expired.

    Raises
    ------
    ContractError
        A feature is declared and not computed.
    """
    feeds = {name: feed_facts(inputs, name) for name in (*_FEEDS, "fundamentals")}
    states, state_of_row = knowledge_states(_readers(inputs, rows), feeds)
    groups = sector_groups(inputs, states, state_of_row[rows.height :])
    values = _values(inputs, states)
    features = values | _pressures(values, groups)
    if len(states.day):
        require_computed(ALTERNATIVE_FEATURES, features, inputs.frequency)
    out = {spec.name: features[spec.name] for spec in ALTERNATIVE_FEATURES}
    return from_states(rows, state_of_row[: rows.height], out)


def _readers(inputs: FeatureInputs, rows: pl.DataFrame) -> Readers:
    """The rows, and behind them their sectors' peers; flows are looked up by the fund of the sector."""
    members, funds = membership(inputs), inputs.manifest.sector_etfs
    own = rows.get_column("instrument_id").unique().to_list()
    names = sorted({*own, *members.instruments, *funds.values()})
    sectors = sorted(funds)
    fund = axis_codes([funds[sector] for sector in sectors], names)
    asking = readers_of(rows, names)
    peers, sector_of_peer = peer_readers(inputs, names)
    parts = [
        replace(part, others={"etf_flows": np.append(fund, -1)[codes_of(sector, sectors)]})
        for part, sector in ((asking, rows.get_column("sector")), (peers, sector_of_peer))
    ]
    return joined_readers(parts)


def _history(inputs: FeatureInputs, states: KnowledgeStates, name: str) -> tuple[FactHistory, NDArray[np.float64]]:
    """Newest periods of a feed and the sessions since the newest was first published, NaN where it has expired."""
    module = _FEEDS[name]
    history = history_at(
        states,
        name,
        feed_facts(inputs, name),
        columns=module.COLUMNS,
        depth=module.DEPTH,
        reach=module.REACH,
        lags=getattr(module, "LAGS", None),
    )
    ages = session_ages(inputs.calendar, states.day, history.newest_first_known, history.entry)
    expiry = inputs.settings.features.expiry_of(name)
    return history, ages if expiry is None else unexpired(ages, ages, expiry)


def _values(inputs: FeatureInputs, states: KnowledgeStates) -> dict[str, NDArray[np.float64]]:
    """Features of each stock's own feeds, flow measures of its sector's fund, its size and its earnings surprise."""
    manifest = inputs.manifest
    short, short_age = _history(inputs, states, "short_interest")
    options, options_age = _history(inputs, states, "options")
    flows, flows_age = _history(inputs, states, "etf_flows")
    announced, announced_age = _history(inputs, states, "earnings")
    filed = history_at(
        states,
        "fundamentals",
        feed_facts(inputs, "fundamentals"),
        columns=("shares_outstanding",),
        depth=1,
        reach=filing_ratios.REACH,
    )
    filed_age = session_ages(inputs.calendar, states.day, filed.newest_first_known, filed.entry)
    expiry = inputs.settings.features.fundamentals_expiry_sessions
    crush = unexpired(
        _crush(inputs, states, announced), announced_age, inputs.settings.features.earnings_expiry_sessions
    )
    # Where no stock has a state there is nothing to compute, and every feature is missing.
    out = defaultdict[str, NDArray[np.float64]](lambda: np.full(len(states.day), np.nan))
    out["implied_volatility_over_news"] = crush
    for market in market_states(inputs, states.names, states.day, states.instrument):
        own = market.positions
        fund = market.of_instruments(states.reader("etf_flows")[own])
        counted = filed.take(own)
        shares = shares_outstanding(counted.values["shares_outstanding"][:, 0], counted, market, manifest)
        shares = unexpired(shares, filed_age[own], expiry)
        surprises = earnings_features(announced.take(own), announced_age[own], market, manifest)
        values = (
            short_interest_features(short.take(own), ~np.isnan(short_age[own]), shares, market, manifest)
            | option_features(options.take(own), ~np.isnan(options_age[own]), market)
            | fund_flow_measures(flows.take(own), ~np.isnan(flows_age[own]), fund)
            | {"size": _size(market), "surprise": surprises["standardised_surprise_decayed"]}
        )
        for name, value in values.items():
            out[name][own] = value
    return out


def _crush(inputs: FeatureInputs, states: KnowledgeStates, announced: FactHistory) -> NDArray[np.float64]:
    """Change of implied volatility over the newest announcement."""
    news, now = announced.newest_first_known[announced.entry], states.moments["options"]
    later = news + option_summary.AROUND_NEWS // timedelta(microseconds=1)
    sides = []
    for moment in (news, np.where(news == NEVER, NEVER, later)):
        seen = replace(states, moments={"options": np.minimum(now, moment)})
        sides.append(
            history_at(
                seen,
                "options",
                feed_facts(inputs, "options"),
                columns=("iv_30d",),
                depth=1,
                reach=option_summary.NEWS_REACH,
            )
        )
    return option_summary.announcement_crush(*sides)


def _size(market: MarketState) -> NDArray[np.float64]:
    """Log of the mean dollar volume of the last 60 sessions."""
    dollars = market.newest(
        rolling_mean(market.panel.dollar_volume, SIZE_SESSIONS, SIZE_SESSIONS // 3, market.first_row)
    )
    return np.asarray(np.log(np.where(dollars > 0.0, dollars, np.nan)))


def _pressures(values: dict[str, NDArray[np.float64]], groups: SectorGroups) -> dict[str, NDArray[np.float64]]:
    """Flows times size standing, and the two products."""
    size = groups.standing(values["size"])
    pressure = values["flow_to_assets"] * size
    ratio = values["short_interest_ratio"]
    short = groups.standing(np.log(np.where(ratio > 0.0, ratio, np.nan)))
    return {
        "flow_pressure": pressure,
        "flow_to_volume_pressure": values["flow_to_volume"] * size,
        "flow_momentum_pressure": values["flow_momentum"] * size,
        "flow_acceleration_pressure": values["flow_acceleration"] * size,
        "flow_price_divergence_pressure": values["flow_price_divergence"] * size,
        "sector_flow": values["flow_to_assets"],
        "surprise_times_short_interest": groups.standing(values["surprise"]) * short,
        "skew_times_flow_pressure": groups.standing(values["option_skew"]) * pressure,
    }
