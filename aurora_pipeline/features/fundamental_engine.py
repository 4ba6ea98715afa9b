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
from aurora_pipeline.features.as_of import from_states, history_at, knowledge_states, session_ages, unexpired
from aurora_pipeline.features.earnings_surprise import earnings_features
from aurora_pipeline.features.feature_spec import FeatureSpec, Transform
from aurora_pipeline.features.filing_ratios import filing_features
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.market_state import market_states


def _spec(
    name: str, formula: str, unit: str, lookback: str, columns: str, transform: Transform = "sector_rank"
) -> FeatureSpec:
    return FeatureSpec(
        name, "fundamental", formula, unit, lookback, "known_at of the report", transform, tuple(columns.split())
    )


_EPS = "earnings.eps_actual earnings.eps_estimate"
_FILED = "fundamentals."
FUNDAMENTAL_FEATURES: tuple[FeatureSpec, ...] = (
    _spec("surprise_to_price", "(eps - estimate) / last close before the announcement", "fraction", "1 report", _EPS),
    _spec(
        "surprise_to_price_decayed",
        "surprise_to_price * 0.5 ** (sessions since / 20)",
        "fraction",
        "1 report",
        _EPS,
    ),
    _spec(
        "standardised_surprise",
        "(eps - estimate) / standard deviation of the 8 surprises before, at least 4",
        "standard deviations",
        "9 reports",
        _EPS,
    ),
    _spec(
        "standardised_surprise_decayed",
        "standardised_surprise * 0.5 ** (sessions since / 20)",
        "standard deviations",
        "9 reports",
        _EPS,
        "z",
    ),
    _spec(
        "seasonal_surprise_decayed",
        "(change of eps over a year - mean of the 8 before) / their standard deviation * 0.5 ** (sessions since / 20)",
        "standard deviations",
        "13 reports",
        "earnings.eps_actual",
        "z",
    ),
    _spec("trailing_eps_to_price", "eps of 4 quarters / last close", "fraction a year", "4 reports", _EPS),
    _spec(
        "sessions_since_announcement",
        "sessions since the newest quarter was first announced",
        "sessions",
        "1 report",
        "",
        "rank",
    ),
    _spec("announcement_missing", "1 where no announcement is younger than its expiry", "flag", "1 report", "", "none"),
    _spec(
        "earnings_yield",
        "net income of 4 quarters / market value",
        "fraction a year",
        "4 reports",
        f"{_FILED}net_income {_FILED}shares_outstanding",
    ),
    _spec(
        "book_yield",
        "equity / market value",
        "fraction",
        "1 report",
        f"{_FILED}stockholders_equity {_FILED}shares_outstanding",
    ),
    _spec(
        "free_cash_flow_yield",
        "(operating cash flow - capital expenditure) of 4 quarters / market value",
        "fraction a year",
        "4 reports",
        f"{_FILED}operating_cash_flow {_FILED}capital_expenditure {_FILED}shares_outstanding",
    ),
    _spec(
        "gross_profitability",
        "gross profit of 4 quarters / assets",
        "fraction a year",
        "4 reports",
        f"{_FILED}gross_profit {_FILED}total_assets",
    ),
    _spec(
        "gross_profitability_quarter",
        "gross profit of the newest quarter / assets",
        "fraction a quarter",
        "1 report",
        f"{_FILED}gross_profit {_FILED}total_assets",
    ),
    _spec(
        "operating_profitability",
        "operating income of 4 quarters / assets",
        "fraction a year",
        "4 reports",
        f"{_FILED}operating_income {_FILED}total_assets",
    ),
    _spec(
        "return_on_equity",
        "net income of 4 quarters / equity, where positive",
        "fraction a year",
        "4 reports",
        f"{_FILED}net_income {_FILED}stockholders_equity",
    ),
    _spec(
        "return_on_assets",
        "net income of 4 quarters / assets",
        "fraction a year",
        "4 reports",
        f"{_FILED}net_income {_FILED}total_assets",
    ),
    _spec("revenue_growth", "revenue / revenue a year before - 1", "fraction", "5 reports", f"{_FILED}revenue"),
    _spec("asset_growth", "assets / assets a year before - 1", "fraction", "5 reports", f"{_FILED}total_assets"),
    _spec(
        "accruals",
        "(net income - operating cash flow) of 4 quarters / assets",
        "fraction a year",
        "4 reports",
        f"{_FILED}net_income {_FILED}operating_cash_flow {_FILED}total_assets",
    ),
    _spec("leverage", "debt / assets", "fraction", "1 report", f"{_FILED}total_debt {_FILED}total_assets"),
    _spec(
        "share_issuance",
        "log shares / shares a year before, splits taken out",
        "fraction",
        "5 reports",
        f"{_FILED}shares_outstanding",
    ),
    _spec("filing_missing", "1 where no filing is younger than its expiry", "flag", "1 report", "", "none"),
)


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
        :data:`FUNDAMENTAL_FEATURES`; null where missing, expired or not point-in-time in this market.
    """
    feeds = {"earnings": inputs.earnings, "fundamentals": inputs.fundamentals}
    states, state_of_row = knowledge_states(rows, feeds)
    announced = history_at(
        states,
        "earnings",
        inputs.earnings,
        period="fiscal_period_end",
        columns=earnings_surprise.COLUMNS,
        depth=earnings_surprise.DEPTH,
        reach=earnings_surprise.REACH,
    )
    filed = history_at(
        states,
        "fundamentals",
        inputs.fundamentals,
        period="fiscal_period_end",
        columns=filing_ratios.COLUMNS,
        depth=filing_ratios.DEPTH,
        reach=filing_ratios.REACH,
    )
    settings = inputs.settings.features
    announced_age = session_ages(inputs.calendar, states, announced.first_known[:, 0])
    filed_age = session_ages(inputs.calendar, states, filed.first_known[:, 0])
    announced_age = unexpired(announced_age, announced_age, settings.earnings_expiry_sessions)
    filed_age = unexpired(filed_age, filed_age, settings.fundamentals_expiry_sessions)
    out = {spec.name: np.full(states.height, np.nan) for spec in FUNDAMENTAL_FEATURES}
    for market in market_states(inputs, states):
        own = market.positions
        earnings = earnings_features(announced.take(own), announced_age[own], market, inputs.manifest)
        filings = filing_features(filed.take(own), filed_age[own], market, inputs.manifest)
        for name, values in (earnings | filings).items():
            out[name][own] = values
    for spec in FUNDAMENTAL_FEATURES:
        if set(spec.columns) & set(inputs.manifest.not_point_in_time):
            out[spec.name][:] = np.nan
    return from_states(rows, state_of_row, out)
