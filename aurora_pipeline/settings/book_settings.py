"""Settings of the book: costs, limits, budgets, and the live loop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aurora_pipeline.settings.section import Count, Fraction, NotNegative, Positive, Section


class CostSettings(Section):
    """What a trade costs; charged on the trade, not on the position."""

    half_spread_floor: NotNegative = Field(default=0.0001, description="smallest half-spread, fraction of price")
    half_spread_cap: NotNegative = Field(default=0.0050, description="largest half-spread estimate, fraction of price")
    fee_rate: NotNegative = Field(default=0.00002, description="commissions, fraction of traded value")
    regulatory_fees: bool = Field(default=True, description="charge the SEC's and FINRA's dated fees on sales")
    impact_coefficient: NotNegative = Field(default=0.7, description="Y of Y * sigma * sqrt(Q / ADV), sigma daily")
    borrow_rate: NotNegative = Field(default=0.005, description="yearly rate on shorts, fraction")
    borrow_rates: dict[str, NotNegative] = Field(
        default_factory=dict, description="yearly rate on shorts of single symbols, where it is known, fraction"
    )
    unknown_borrow: Literal["default", "no_short"] = Field(
        default="default",
        description="a symbol neither the feed `borrow` nor borrow_rates knows costs borrow_rate, or is not sold short",
    )
    borrow_expiry_sessions: Count = Field(
        default=10, description="a rate of the feed `borrow` older than this is unknown"
    )
    stress: Positive = Field(default=1.0, description="every cost times this: 2 and 3 are the stress cases")


class BookSettings(Section):
    """The book and every limit it obeys. Fractions of NAV unless said otherwise."""

    nav: Positive = Field(default=10_000_000.0, description="starting capital, USD")
    long_only: bool = Field(default=False, description="no short positions")
    trade_uncalibrated: bool = Field(default=False, description="trade before the signal is calibrated")
    utilisation_cap: Fraction = Field(default=0.22, description="gross exposure")
    net_cap: Fraction = Field(default=0.10, description="absolute net exposure, fraction of the utilisation cap")
    name_cap: Fraction = Field(default=0.01, description="absolute weight of one name")
    sector_cap: Fraction = Field(default=0.05, description="absolute net weight of one sector")
    volatility_target: Fraction = Field(default=0.008, description="yearly volatility of NAV")
    risk_aversion: Positive = Field(default=20.0, description="weight of variance against alpha when sizing")
    sizing: Literal["cost_aware", "one_horizon", "cost_blind", "proportional"] = Field(
        default="cost_aware",
        description="an edge is valued over its measured life; baselines: over one horizon, without costs, or proportional to it",
    )
    assumed_ic: Fraction | None = Field(
        default=None,
        description="expected return is this IC * volatility * score instead of the calibrated one: a baseline",
    )
    holding_horizons: Positive | None = Field(
        default=None, description="horizons an edge may pay for; measured from the signal's own decay if unset"
    )
    turnover_day: Fraction = Field(default=0.05, description="budget per session")
    turnover_week: Fraction = Field(default=0.15, description="budget per 5 sessions")
    turnover_month: Fraction = Field(default=0.50, description="budget per 21 sessions, paced with carry")
    turnover_hurdle: Fraction = Field(
        default=1.0,
        description="share of turnover's price an edge must clear: 1 spends the budget at one price over time, 0 as it comes",
    )
    build_sessions: Count = Field(default=10, description="sessions over which the first positions are built")
    participation: Fraction = Field(default=0.02, description="share of a bar's volume an order may take")
    drawdown_start: NotNegative = Field(
        default=2.0, description="drawdown in volatility targets at which exposure starts to shrink"
    )
    drawdown_flat: Positive = Field(default=5.0, description="drawdown in volatility targets at which the book is flat")
    drawdown_pause_sessions: Count = Field(
        default=10, description="sessions a drawdown keeps the book flat before it starts again"
    )
    drawdown_restart: Fraction = Field(default=0.25, description="share of the exposure it starts again with")
    breaker_daily_loss: Positive = Field(
        default=6.0, description="loss of a session in daily volatility targets after which nothing grows"
    )
    breaker_reject_share: Fraction = Field(
        default=0.5, description="share of a session's orders refused, of at least 10, after which nothing grows"
    )
    breaker_stale_share: Fraction = Field(
        default=0.5, description="share of eligible names without a bar above which nothing grows"
    )
    breaker_half_spread: Positive = Field(
        default=0.004, description="median half-spread above which nothing grows, fraction of price"
    )
    real_money_account: str | None = Field(
        default=None, description="account of a broker that reaches real money; none ships, and unset means paper only"
    )
    capital_steps: tuple[Fraction, ...] = Field(
        default=(0.1, 0.25, 0.5, 1.0),
        description="shares of the capital a live book earns one after another",
        min_length=1,
    )


class LiveSettings(Section):
    """The five-minute loop: how long it waits, when it holds, what it keeps."""

    wait_seconds: Positive = Field(default=90.0, description="how long an armed tick waits for its bar")
    settle_seconds: NotNegative = Field(
        default=2.0, description="how long it waits for symbols missing from a bar that nobody has closed"
    )
    coverage: Fraction = Field(
        default=0.8, description="share of the eligible stocks a bar must have; below it the tick holds"
    )
    late_seconds: Positive = Field(default=240.0, description="age beyond which a bar is not decided any more")
    clock_skew_seconds: NotNegative = Field(default=5.0, description="how far ahead of the clock a bar may end")
    minimum_families: Count = Field(default=1, description="families that must give scores; below it the tick holds")
    disk_reserve_mb: Count = Field(default=500, description="free space below which nothing is decided")
    tick_sessions: Count = Field(default=5, description="sessions whose tick runs and decision files are kept")
