"""How long an edge lasts: the measured persistence of the signal, and what that makes an edge worth.

A position is held for as long as its signal lasts, so an edge may pay for a trade over that life, not over one horizon.
If the score of a name now and the score it will have k sessions later correlate with ``rho(k) = c * phi**k``, its
expected return over the j-th horizon from now is ``rho(j H)`` times that over the first. Summed over the N horizons a position is
kept an edge is worth ``K = 1 + c phi**H (1 - phi**(H (N - 1))) / (1 - phi**H)`` horizons. `c` below 1 is the part of the score
that is gone by the next session (Gârleanu and Pedersen, *Dynamic trading with predictable returns and transaction costs*, 2013,
value signals the same way by their decay).

A signal may outlive the position: what a book earns ends when the position gives way to a better one, and the turnover budget
says how often that may happen (:func:`replacement_sessions`). An edge valued beyond that lets costs weigh too little.

Only scores are compared with scores: nothing has to mature, and the measurement is known before the session opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from aurora_pipeline.policy.turnover_manager import MONTH_SESSIONS
from aurora_pipeline.settings import BookSettings

Floats = NDArray[np.float64]
LAGS = (1, 2, 3, 5, 8)
"""Sessions between two scores that are compared."""
WINDOW_SESSIONS = 40
MINIMUM_PAIRS = 3
MINIMUM_NAMES = 5
SMALLEST_CORRELATION = 0.02
"""Mean correlation that is told from none: its standard error over 40 sessions of 130 names is about 0.014."""
SLOWEST_DECAY = 1e-6


def replacement_sessions(settings: BookSettings) -> float:
    """Sessions in which the month's turnover budget replaces a full book once; a month at most."""
    if settings.turnover_month <= 0.0:
        return float(MONTH_SESSIONS)
    return min(float(MONTH_SESSIONS), settings.utilisation_cap * MONTH_SESSIONS / settings.turnover_month)


@dataclass(frozen=True)
class Persistence:
    """Decay of a signal.

    Attributes
    ----------
    half_life : float or None
        Sessions after which the correlation has halved; None while there is too little history.
    lasting : float
        c, the share of the score that lasts beyond its session.
    """

    half_life: float | None
    lasting: float

    def horizons(self, horizon_sessions: float, kept_sessions: float) -> float:
        """Horizons an edge is worth to a position kept so many sessions: 1 where nothing is known or nothing lasts.

        Parameters
        ----------
        horizon_sessions : float
            H, the signal's horizon.
        kept_sessions : float
            How long a position is kept, see :func:`replacement_sessions`; one horizon at least.
        """
        later = max(0.0, kept_sessions / horizon_sessions - 1.0)
        if self.half_life is None or later == 0.0:
            return 1.0
        decay = 2.0 ** (-horizon_sessions / self.half_life)
        return float(1.0 + self.lasting * decay * (1.0 - decay**later) / (1.0 - decay))


UNKNOWN = Persistence(None, 0.0)


def closing_scores(signals: pl.DataFrame) -> pl.DataFrame:
    """Score of every name at the last decision time of each session: `session`, `symbol`, `score`."""
    last = signals.group_by("session", maintain_order=True).agg(pl.col("decision_time").max())
    return signals.join(last, on=["session", "decision_time"]).select("session", "symbol", "score")


def measure_persistence(scores: pl.DataFrame, session: date) -> Persistence:
    """Measure the decay from the sessions before one.

    Parameters
    ----------
    scores : polars.DataFrame
        Result of :func:`closing_scores`; rows of this session and later are not read.
    session : date
        The session it is for.

    Returns
    -------
    Persistence
        From the mean correlations at 1 to 8 sessions over the newest 40 sessions, a line through their logarithms.
        Unknown with fewer than three pairs of sessions at two lags, or where the correlation is hardly positive.
    """
    earlier = scores.filter(pl.col("session") < session)
    days = earlier.get_column("session").unique().sort().tail(WINDOW_SESSIONS)
    if days.len() <= LAGS[0] + 1:
        return UNKNOWN
    panel = _panel(earlier.filter(pl.col("session").is_in(days.implode())), days)
    lags, logs, weights = [], [], []
    for lag in LAGS:
        found = _lag_correlations(panel, lag)
        known = found[np.isfinite(found)]
        mean = float(np.mean(known)) if len(known) >= MINIMUM_PAIRS else 0.0
        if mean <= SMALLEST_CORRELATION:
            break
        lags.append(float(lag))
        logs.append(float(np.log(mean)))
        weights.append(float(np.sqrt(len(known)) * mean))
    if len(lags) < 2:
        return UNKNOWN
    slope, intercept = np.polyfit(lags, logs, 1, w=weights)
    lasting = float(min(1.0, np.exp(intercept)))
    return Persistence(float(np.log(2.0) / max(-slope, SLOWEST_DECAY)), lasting)


def _panel(scores: pl.DataFrame, days: pl.Series) -> Floats:
    symbols = scores.get_column("symbol").unique().sort()
    rows = scores.join(pl.DataFrame({"session": days}).with_row_index("row"), on="session").join(
        pl.DataFrame({"symbol": symbols}).with_row_index("column"), on="symbol"
    )
    panel = np.full((days.len(), symbols.len()), np.nan)
    panel[rows.get_column("row").to_numpy(), rows.get_column("column").to_numpy()] = rows.get_column("score").to_numpy()
    return panel


@njit(cache=True)  # type: ignore[untyped-decorator]
def _lag_correlations(panel: Floats, lag: int) -> Floats:
    """Correlation of each row with the one `lag` below it, NaN where too few names have both or one does not vary."""
    pairs = panel.shape[0] - lag
    found = np.full(max(pairs, 0), np.nan)
    for row in range(pairs):
        first, second = panel[row], panel[row + lag]
        both = np.isfinite(first) & np.isfinite(second)
        x, y = first[both], second[both]
        if x.size < MINIMUM_NAMES or x.min() == x.max() or y.min() == y.max():
            continue
        x, y = x - x.mean(), y - y.mean()
        found[row] = (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())
    return found
