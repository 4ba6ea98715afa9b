"""Declarations of the alternative features."""

from __future__ import annotations

from aurora_pipeline.features.feature_spec import FeatureSpec, Transform


def _spec(
    name: str, formula: str, unit: str, lookback: str, columns: str, transform: Transform = "sector_rank"
) -> FeatureSpec:
    return FeatureSpec(
        name, "alternative", formula, unit, lookback, "known_at of the publication", transform, tuple(columns.split())
    )


_SHORT = "short_interest.shares_short"
_SKEW = "options.iv_30d options.iv_call_25d options.iv_put_25d"
_VOLUMES = "options.put_volume options.call_volume"
_FLOW = "etf_flows.net_flow_usd"
_ASSETS = f"{_FLOW} etf_flows.shares_outstanding etf_flows.nav"
_SIZE = "standing of log dollar volume (60 sessions) in the sector"

ALTERNATIVE_FEATURES: tuple[FeatureSpec, ...] = (
    _spec(
        "short_interest_ratio",
        "shares short / shares outstanding",
        "fraction",
        "1 publication",
        f"{_SHORT} fundamentals.shares_outstanding",
    ),
    _spec(
        "days_to_cover",
        "shares short / mean volume of 20 sessions (the published volume where bars are adjusted for later splits)",
        "days",
        "1 publication, 20 sessions",
        _SHORT,
    ),
    _spec(
        "short_interest_change",
        "log shares short / those of the publication before, splits taken out",
        "fraction",
        "2 publications",
        _SHORT,
    ),
    _spec(
        "short_interest_missing",
        "1 where no publication is younger than its expiry",
        "flag",
        "1 publication",
        "",
        "none",
    ),
    _spec(
        "option_skew",
        "(25-delta put - call implied volatility) / implied volatility",
        "fraction",
        "1 session",
        _SKEW,
    ),
    _spec("option_skew_change", "option_skew - option_skew 5 sessions before", "fraction", "6 sessions", _SKEW),
    _spec("put_call_volume", "log (1 + put volume) / (1 + call volume)", "log ratio", "1 session", _VOLUMES),
    _spec(
        "put_call_volume_change",
        "put_call_volume - put_call_volume 5 sessions before",
        "log ratio",
        "6 sessions",
        _VOLUMES,
    ),
    _spec("implied_volatility", "30-day implied volatility", "fraction, annualised", "1 session", "options.iv_30d"),
    _spec(
        "implied_volatility_change",
        "log implied volatility / that of 5 sessions before",
        "log ratio",
        "6 sessions",
        "options.iv_30d",
    ),
    _spec(
        "volatility_spread",
        "implied volatility - standard deviation of 20 daily returns * sqrt(252)",
        "fraction, annualised",
        "20 sessions",
        "options.iv_30d",
    ),
    _spec("options_missing", "1 where no summary is younger than its expiry", "flag", "1 session", "", "none"),
    _spec(
        "sector_flow",
        "flow of 5 sessions into the sector's fund / its assets",
        "fraction",
        "5 sessions",
        _ASSETS,
        "rank",
    ),
    _spec("flow_pressure", f"sector_flow * {_SIZE}", "fraction", "60 sessions", _ASSETS, "z"),
    _spec(
        "flow_to_volume_pressure",
        f"flow of 5 sessions / mean dollar volume of the fund over 20 sessions * {_SIZE}",
        "days of trading",
        "60 sessions",
        _FLOW,
        "z",
    ),
    _spec(
        "flow_acceleration_pressure",
        f"(mean flow of 5 sessions - of 20 sessions) / assets * {_SIZE}",
        "fraction a session",
        "60 sessions",
        _ASSETS,
        "z",
    ),
    _spec(
        "flow_price_divergence_pressure",
        f"(flow of 5 sessions - the fund's return of 5 sessions, each in standard deviations) * {_SIZE}",
        "standard deviations",
        "60 sessions",
        _FLOW,
        "z",
    ),
    _spec("etf_flows_missing", "1 where no flow is younger than its expiry", "flag", "1 session", "", "none"),
    _spec(
        "surprise_times_short_interest",
        "standardised_surprise_decayed * standing of log short_interest_ratio in the sector",
        "standard deviations squared",
        "9 reports, 1 publication",
        f"earnings.eps_actual earnings.eps_estimate {_SHORT} fundamentals.shares_outstanding",
        "z",
    ),
    _spec(
        "skew_times_flow_pressure",
        "standing of option_skew in the sector * flow_pressure",
        "fraction",
        "60 sessions",
        f"{_SKEW} {_ASSETS}",
        "z",
    ),
)
