"""Settings from raw market to features: which market, what is refused, how features are made."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pydantic import Field

from aurora_pipeline.settings.section import Count, Fraction, Positive, Section


class MarketSettings(Section):
    """Which market, and which part of it."""

    directory: Path | None = Field(default=None, description="market folder; the embedded reference market if unset")
    start: date | None = Field(default=None, description="first session; the market's first if unset")
    end: date | None = Field(default=None, description="last session; the market's last if unset")


class QualitySettings(Section):
    """What is refused before it enters the lake."""

    absent_share: Fraction = Field(
        default=0.05, description="share of a session's bars that may be missing before the session blocks"
    )
    jump_sigmas: Positive = Field(
        default=20.0, description="returns beyond this many of their own standard deviations are looked at"
    )
    split_tolerance: Fraction = Field(
        default=0.05, description="distance to a simple split ratio that makes a jump a missing split"
    )
    daily_tolerance: Fraction = Field(
        default=0.01, description="distance from the daily bar beyond which it contradicts a bar"
    )
    eligibility_sessions: Count = Field(default=20, description="sound sessions before a new listing is eligible")
    stale_bars: Count = Field(
        default=6, description="a name without a bar for this many bars has no features at a decision time"
    )


class FeatureSettings(Section):
    """Look-backs and expiries of the features."""

    beta_span_sessions: Count = Field(default=126, description="exponential span of the betas")
    beta_window_sessions: Count = Field(default=252, description="sessions the betas look back over")
    beta_shrinkage: Fraction = Field(default=0.3, description="pull of the betas towards 1")
    minimum_peers: Count = Field(default=3, description="peers needed for a leave-one-out sector return")
    earnings_expiry_sessions: Count = Field(default=80, description="a surprise older than this is missing")
    fundamentals_expiry_sessions: Count = Field(default=160, description="a filing older than this is missing")
    short_interest_expiry_sessions: Count = Field(default=25, description="short interest older than this is missing")
    etf_flows_expiry_sessions: Count = Field(default=5, description="flows older than this are missing")
    monthly_cost_usd: dict[str, Positive] = Field(
        default_factory=dict, description="what a feed costs a month, feed to USD; the audit prints what a dollar buys"
    )
    options_expiry_sessions: Count = Field(default=5, description="an option summary older than this is missing")

    def expiry_of(self, feed: str) -> int | None:
        """Sessions after which a feed's rows are missing; None for feeds that do not expire."""
        return {
            "earnings": self.earnings_expiry_sessions,
            "fundamentals": self.fundamentals_expiry_sessions,
            "short_interest": self.short_interest_expiry_sessions,
            "etf_flows": self.etf_flows_expiry_sessions,
            "options": self.options_expiry_sessions,
        }.get(feed)
