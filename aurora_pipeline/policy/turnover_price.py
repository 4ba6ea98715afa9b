"""What a unit of turnover has been worth lately: the hurdle that keeps today's budget from edges tomorrow's will beat.

A budget that is spent as it comes buys whatever is best that day: a lot where little was left to buy, hardly anything where much
was. Its shadow price then jumps from session to session. The way to spend a budget over time is at one price, and the best
guess of it is what it has been: an edge must clear a share of the mean past price beside its costs, what is not spent carries
over, and where the budget binds all the same the price rises (as in pacing a budget over a stream of auctions: Balseiro and Gur,
*Learning in repeated auctions with budgets*, 2019). Only prices of earlier decisions enter.
"""

from __future__ import annotations

AVERAGING_SESSIONS = 63.0
"""Time constant of the mean."""


def updated_price(price: float | None, found: float | None, bars: int) -> float | None:
    """Mean price after a decision.

    Parameters
    ----------
    price : float or None
        Mean before it, per session held; None before the first.
    found : float or None
        Price of the decision; None where nothing was optimised, which changes nothing.
    bars : int
        Decisions of a session.
    """
    if found is None:
        return price
    if price is None:
        return found
    return price + (found - price) / (AVERAGING_SESSIONS * bars)
