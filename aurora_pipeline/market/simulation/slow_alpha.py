"""The slow part of the alpha: expected component signals of the sessions ahead, from latent state or from publications.

Everything is demeaned within sector over the stocks that still trade. Component order is that of `components.SLOW`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.market.simulation.components import SLOW, SLOW_HALF_LIVES, decay
from aurora_pipeline.market.simulation.population import Population
from aurora_pipeline.market.simulation.signals import (
    Quarters,
    Signals,
    expected_saturation,
    flow_sum_correlations,
    flow_sum_scale,
    threshold_signal,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
REACH = 10  # sessions ahead that any label can touch
# Mean square of 0.5 ** (age / 21) over the 63 sessions between two announcements.
_SURPRISE_SCALE = float(np.sqrt(np.mean(0.25 ** (np.arange(63) / SLOW_HALF_LIVES["earnings_surprise"]))))
# Products of demeaned signals, clipped and demeaned again, have a little less than unit variance.
PRODUCT_SCALE = 1.12
_FLOW_CORRELATIONS = flow_sum_correlations(REACH)
_RHO = {name: decay(life) for name, life in SLOW_HALF_LIVES.items()}


def sector_demeaner(sector: Ints, active: NDArray[np.bool_]) -> Floats:
    """Matrix that maps a row of stock values to deviations from the sector mean; inactive stocks get 0."""
    same = (sector[:, None] == sector[None, :]) & active[:, None] & active[None, :]
    counts = np.maximum(same.sum(axis=1), 1)
    return np.asarray(np.diag(active.astype(float)) - same / counts[:, None])


def session_decays(lag: int) -> Floats:
    """Expected shrinkage of each slow component over `lag` sessions, averaged over its states."""
    skew, flow = _RHO["skew"] ** lag, float(_FLOW_CORRELATIONS[min(lag, REACH - 1)])
    short, surprise = _RHO["short_interest"] ** lag, _RHO["earnings_surprise"] ** lag
    table = {
        "earnings_surprise": surprise,
        "short_interest": short,
        "skew": skew,
        "sector_flow": flow,
        "surprise_x_short": surprise * short,
        "skew_x_flow": skew * flow,
        "gross_profitability": 1.0,
        "call_put_volume": _RHO["call_put_volume"] ** lag,
    }
    return np.array([table[item.name] for item in SLOW])


@dataclass
class SlowAlpha:
    """Slow components of every session.

    `size`, set by the price path before each session, holds the standardised log dollar volume (shape (n_stocks,)).
    """

    population: Population
    signals: Signals
    quarters: Quarters
    size: Floats = field(init=False)
    active: NDArray[np.bool_] = field(init=False)
    _demean: Floats = field(init=False)
    _keep: Floats = field(init=False)

    def __post_init__(self) -> None:
        n = self.population.n_stocks
        self.size = np.zeros(n)
        self.set_active(np.ones(n, dtype=np.bool_))

    def set_active(self, active: NDArray[np.bool_]) -> None:
        """Say which stocks still trade."""
        self.active = active
        self._demean = sector_demeaner(self.population.sector[: self.population.n_stocks], active)
        own_weight = np.diag(self._demean)
        self._keep = np.where(own_weight > 0, 1.0 / np.sqrt(np.maximum(own_weight, 0.25)), 0.0)

    def demean(self, values: Floats) -> Floats:
        """Deviation from the sector mean, scaled back to unit variance."""
        return np.asarray(values @ self._demean * self._keep)

    def center(self, values: Floats) -> Floats:
        """Deviation from the sector mean; stocks that no longer trade get 0."""
        return np.asarray(values @ self._demean)

    def expected(self, session: int, steps: int, *, published: bool) -> Floats:
        """Expected slow components in force in `session` .. `session + steps - 1`, as known during `session`.

        Parameters
        ----------
        published : bool
            Use what the feeds have published instead of the latent state.

        Returns
        -------
        ndarray of shape (steps, n_components, n_stocks)
        """
        signals = self.signals
        surprise, profitability = self._reports(session)
        in_force = int(signals.settled[session])
        known = int(signals.published[session]) if published else in_force
        short = self.demean(-signals.short_interest[known])
        skew = self.demean(-signals.skew[session])
        ratio = self.demean(signals.call_put[session])
        flow = self._flow(session)
        steady = threshold_signal(profitability)
        out = np.empty((steps, len(SLOW), self.population.n_stocks))
        for lag in range(steps):
            later = int(signals.settled[session + lag])
            age = int(signals.settlements.session[later] - signals.settlements.session[known])
            surprise_left = _RHO["earnings_surprise"] ** lag * surprise
            short_left = _RHO["short_interest"] ** age * short
            skew_left = _RHO["skew"] ** lag * skew
            flow_left = float(_FLOW_CORRELATIONS[lag]) * flow
            rows = [
                surprise_left,
                short_left,
                skew_left,
                flow_left,
                PRODUCT_SCALE * surprise_left * short_left,
                PRODUCT_SCALE * skew_left * flow_left,
                steady,
                expected_saturation(ratio, _RHO["call_put_volume"] ** lag),
            ]
            out[lag] = np.array(rows)
        return np.asarray(out @ self._demean)

    def _reports(self, session: int) -> tuple[Floats, Floats]:
        """Decayed earnings surprise and gross profitability in force, demeaned."""
        quarters = self.quarters
        columns = np.arange(self.population.n_stocks)
        last = (quarters.in_force <= session).sum(axis=0) - 1
        age = session - quarters.in_force[last, columns]
        surprise = quarters.surprise[last, columns] * _RHO["earnings_surprise"] ** age / _SURPRISE_SCALE
        filed = (quarters.filed_in_force <= session).sum(axis=0) - 1
        return self.demean(surprise), self.demean(quarters.profitability[filed, columns])

    def _flow(self, session: int) -> Floats:
        """Five-session sector flow times the stock's exposure (its dollar volume relative to the sector)."""
        total = self.signals.flow[session + 1 : session + 6].sum(axis=0)[1:] / flow_sum_scale()
        own = np.clip(total, -3.0, 3.0)[self.population.sector[: self.population.n_stocks]]
        return np.asarray(own * self.size)
