"""What a unit of turnover is worth: the hurdle that keeps today's budget from edges tomorrow's will beat.

A budget that is spent as it comes buys whatever is best at that decision: a lot where little was left to buy, hardly anything
where much was. Its shadow price then jumps from decision to decision. The way to spend a budget over time is at one price, so the
book looks for the price at which what it wants to trade is what it may: an edge must clear that price beside its costs, what is
not spent carries over. Where the budget binds all the same, the price rises towards the shadow price found there; while budget is
left over, it falls (as in pacing a budget over a stream of auctions: Balseiro and Gur, *Learning in repeated auctions with
budgets*, 2019). Only earlier decisions enter.
"""

from __future__ import annotations

LEAST_DECISIONS = 5
"""A price rises to a shadow price that stays within a session, but within no fewer decisions: a single one is mostly noise."""
FALL = 0.1
"""Share of itself the price falls by in a session that leaves budget over."""
MUCH_UNSPENT = 0.5
"""Unspent budget, in sessions of pace, from which on it falls at that speed; with less, slower in proportion."""


def updated_price(price: float | None, found: float | None, unspent: float, bars: int) -> float | None:
    """Price of turnover after a decision.

    Parameters
    ----------
    price : float or None
        Before it, fraction of a trade's value per session held; None before the first, as good as 0: a book is built at no price.
    found : float or None
        What the decision's last unit was worth: the hurdle, and the budget's shadow price on top. None where nothing was
        optimised, which changes nothing.
    unspent : float
        Budget the decision left, beyond its own share, in sessions of the month's pace; negative counts as none.
    bars : int
        Decisions of a session.
    """
    if found is None:
        return price
    before = price or 0.0
    raised = before + max(0.0, found - before) / max(bars, LEAST_DECISIONS)
    return raised * (1.0 - FALL / bars * min(1.0, max(0.0, unspent) / MUCH_UNSPENT))
