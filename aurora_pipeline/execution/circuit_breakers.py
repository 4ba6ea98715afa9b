"""Circuit breakers: while one is tripped the book may shrink and never grow.

Daily loss and reject rate hold for the rest of the session, stale data and wide spreads for as long as they last. The
drawdown breaker is the throttle of :mod:`aurora_pipeline.policy.risk_budgeting` at its end: it leaves no exposure at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.settings import BookSettings

MINIMUM_ORDERS = 10


@dataclass(frozen=True)
class Conditions:
    """What the breakers look at, at one decision time.

    Attributes
    ----------
    session_return : float
        NAV now over NAV at the session's start, less 1.
    orders, refused : int
        Orders planned in the session so far, and how many of them were refused by gate or broker.
    stale_share : float
        Share of eligible names without a bar that ends now.
    half_spread : float
        Median over eligible names, fraction of price.
    exposure : float
        Share of the gross cap that the drawdown leaves.
    """

    session_return: float
    orders: int
    refused: int
    stale_share: float
    half_spread: float
    exposure: float


def tripped(conditions: Conditions, settings: BookSettings) -> list[BookEvent]:
    """Breakers that are tripped, as events."""
    found = []
    daily_volatility = settings.volatility_target / float(np.sqrt(SESSIONS_PER_YEAR))
    limit = settings.breaker_daily_loss * daily_volatility
    if conditions.session_return < -limit:
        found.append(
            BookEvent("breaker_daily_loss", "", f"{conditions.session_return:.4%} of NAV; the limit is {-limit:.4%}")
        )
    if conditions.exposure == 0.0:
        found.append(BookEvent("breaker_drawdown", "", "the drawdown throttle leaves no exposure"))
    share = conditions.refused / conditions.orders if conditions.orders else 0.0
    if conditions.orders >= MINIMUM_ORDERS and share > settings.breaker_reject_share:
        found.append(
            BookEvent("breaker_reject_rate", "", f"{conditions.refused} of {conditions.orders} orders refused")
        )
    if conditions.stale_share > settings.breaker_stale_share:
        found.append(BookEvent("breaker_stale_data", "", f"{conditions.stale_share:.0%} of names without a bar"))
    if conditions.half_spread > settings.breaker_half_spread:
        found.append(BookEvent("breaker_spread", "", f"median half-spread {1e4 * conditions.half_spread:.1f} bps"))
    return found
