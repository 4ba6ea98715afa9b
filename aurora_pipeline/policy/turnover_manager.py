"""Turnover budgets per session, 5 sessions and 21 sessions; the tightest remaining one binds.

Turnover is the sum of absolute trades / 2 / NAV. The month is spent at a pace of month / 21 per session, evenly over
the session's bars; what is not spent carries over within the 21 sessions. Forced risk reductions neither need nor use
budget. An order counts where it fills: the order of a session's last bar belongs to the next session.

The state is the budgeted turnover of the newest 21 sessions, which the stored `portfolio` table gives back exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

from aurora_pipeline.settings import BookSettings

WEEK_SESSIONS = 5
MONTH_SESSIONS = 21


@dataclass(frozen=True)
class TurnoverHistory:
    """Budgeted turnover of the newest sessions.

    Attributes
    ----------
    spent : tuple of float
        Per session in time order, the running one last; at most 21. Fractions of NAV.
    """

    spent: tuple[float, ...] = ()

    def next_session(self) -> TurnoverHistory:
        """Open a session."""
        return TurnoverHistory((*self.spent, 0.0)[-MONTH_SESSIONS:])

    def add(self, turnover: float) -> TurnoverHistory:
        """Book budgeted turnover in the running session."""
        return TurnoverHistory((*self.spent[:-1], self.spent[-1] + turnover))

    def scaled(self, share: float) -> TurnoverHistory:
        """Count what was spent as that share of itself: the same share of budgets that are scaled alike."""
        return TurnoverHistory(tuple(share * spent for spent in self.spent))


@dataclass(frozen=True)
class TurnoverAllowance:
    """What may still be traded.

    Attributes
    ----------
    remaining : float
        Fraction of NAV, not negative.
    binding : str
        The budget it comes from: ``day``, ``week``, ``month`` or ``pace``.
    """

    remaining: float
    binding: str


def allowance(history: TurnoverHistory, progress: float, settings: BookSettings) -> TurnoverAllowance:
    """Remaining turnover for fills in the running session.

    Parameters
    ----------
    history : TurnoverHistory
        With the session the fill falls in as its last entry.
    progress : float
        Share of that session's bars up to and including the fill's, in (0, 1].
    settings : BookSettings
        Budgets.
    """
    month = sum(history.spent[-MONTH_SESSIONS:])
    earlier = len(history.spent[-MONTH_SESSIONS:]) - 1
    pace = settings.turnover_month / MONTH_SESSIONS
    candidates = {
        "day": settings.turnover_day - history.spent[-1],
        "week": settings.turnover_week - sum(history.spent[-WEEK_SESSIONS:]),
        "month": settings.turnover_month - month,
        "pace": pace * (earlier + progress) - month,
    }
    binding = min(candidates, key=lambda name: candidates[name])
    return TurnoverAllowance(remaining=max(0.0, candidates[binding]), binding=binding)
