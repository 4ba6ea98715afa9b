"""A portfolio that needs nothing but scores: weights in proportion to centred ranks, held for one label, gross of costs.

It turns a model's scores into returns whose Sharpe ratio can be deflated and compared; it is no proposal to trade. It is set at
the last decision time of a session and held until its label has matured. The next one is set at the first later session whose
entry does not come before that, so that returns never overlap: booking overlapping labels as if they were earned one after the
other turns a Sharpe ratio of 0.6 into 1.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.monitoring.score_panel import ClosingPanel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class NaiveReturns:
    """Returns of the portfolios of several models.

    Attributes
    ----------
    places : ndarray of int of shape (periods,)
        Sessions at whose end the portfolios are set, as places among the panel's sessions.
    returns : ndarray of shape (periods, models)
        Residual return per unit of gross exposure; NaN where a model scored nobody, 0 where all its scores are equal.
    """

    places: Ints
    returns: Floats

    @property
    def yearly(self) -> float | None:
        """Factor from a Sharpe ratio per period to a yearly one; None for fewer than 2 periods."""
        if self.places.size < 2:
            return None
        sessions = float(self.places[-1] - self.places[0]) / (self.places.size - 1)
        return math.sqrt(SESSIONS_PER_YEAR / sessions)


def holding_periods(decision_time: Ints, matured_at: Ints, bar_ends: Ints) -> Ints:
    """Choose sessions whose labels do not overlap.

    Parameters
    ----------
    decision_time, matured_at : ndarray of int of shape (sessions,)
        Last decision of each session and the latest maturity of its labels, microseconds; the largest integer where
        nothing has matured, and such sessions are left out.
    bar_ends : ndarray of int of shape (bars,)
        Every bar end of the calendar, ascending: the entry is the first one after the decision.

    Returns
    -------
    ndarray of int of shape (periods,)
        Places of the sessions, ascending.
    """
    after = np.searchsorted(bar_ends, decision_time, side="right")
    entry = np.append(bar_ends, _NEVER)[after]
    chosen: list[int] = []
    free_from = np.iinfo(np.int64).min
    for place in np.flatnonzero(matured_at < _NEVER):
        if entry[place] >= free_from:
            chosen.append(int(place))
            free_from = matured_at[place]
    return np.array(chosen, dtype=np.int64)


def naive_returns(closing: ClosingPanel, bar_ends: Ints) -> NaiveReturns:
    """Returns of every model's portfolio.

    Parameters
    ----------
    closing : ClosingPanel
        Scores and labels at the last decision time of each session.
    bar_ends : ndarray of int of shape (bars,)
        As for :func:`holding_periods`.
    """
    places = holding_periods(closing.decision_time, closing.matured_at, bar_ends)
    ranks = closing.ranks[places]
    held = np.nan_to_num(ranks, nan=0.0)
    gross = np.abs(held).sum(axis=1, keepdims=True)
    weights = held / np.where(gross > 0.0, gross, 1.0)
    # A name without a label, such as one that was withdrawn, earns nothing; a model that scored nobody has no return.
    earned = (weights * np.nan_to_num(closing.label[places], nan=0.0)[:, :, None]).sum(axis=1)
    scored = (~np.isnan(ranks)).any(axis=1)
    return NaiveReturns(places, np.where(scored, earned, np.nan))
