"""The planted alpha: which signals pay, how much, and for how long.

Every component is a standardised, sector-demeaned signal S_j per stock. The drift of a stock's residual return in the
next bar is proportional to volatility * sum_j weight_j * S_j / persistence_j, so that the expected residual
return over one horizon is volatility * sum_j weight_j * S_j with S_j of unit variance: squared weights are
shares of the alpha's variance.

Half-lives are in sessions. Fast components change with every bar, slow ones between sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.calendar import Frequency


@dataclass(frozen=True)
class Component:
    """One term of the alpha.

    Attributes
    ----------
    views : tuple of str
        The view it belongs to; two for an interaction, each credited with half of its share.
    form : {'linear', 'interaction', 'threshold'}
        Kind of dependence on the underlying signals; threshold includes saturating.
    share : float
        Share of the alpha's variance.
    after_break : float
        Factor on its weight from the break session on; see `weights`.
    """

    name: str
    views: tuple[str, ...]
    form: str
    share: float
    after_break: float


COMPONENTS: tuple[Component, ...] = (
    Component("reversal", ("price",), "linear", 0.11, -1.0),
    Component("imbalance", ("microstructure",), "linear", 0.12, 0.5),
    Component("volume_surprise", ("microstructure",), "linear", 0.06, 0.5),
    Component("reversal_x_volume", ("price", "microstructure"), "interaction", 0.05, -1.0),
    Component("earnings_surprise", ("fundamentals",), "linear", 0.14, 1.0),
    Component("short_interest", ("short_interest",), "linear", 0.11, 1.2),
    Component("skew", ("options",), "linear", 0.09, -1.0),
    Component("sector_flow", ("etf_flows",), "linear", 0.12, 1.5),
    Component("surprise_x_short", ("fundamentals", "short_interest"), "interaction", 0.05, 1.0),
    Component("skew_x_flow", ("options", "etf_flows"), "interaction", 0.05, -1.0),
    Component("gross_profitability", ("fundamentals",), "threshold", 0.05, 1.0),
    Component("call_put_volume", ("options",), "threshold", 0.05, -1.0),
)
FAST = COMPONENTS[:4]
SLOW = COMPONENTS[4:]

# Half-lives in sessions of the underlying signals, by decision frequency. At `session` no signal can be faster
# than a bar.
HALF_LIVES: dict[Frequency, dict[str, float]] = {
    "5min": {"reversal": 20 / 78, "imbalance": 39 / 78, "volume_surprise": 60 / 78},
    "session": {"reversal": 3.0, "imbalance": 8.0, "volume_surprise": 8.0},
}
SLOW_HALF_LIVES = {
    "earnings_surprise": 21.0,
    "gross_profitability": 63.0,
    "short_interest": 40.0,
    "skew": 6.0,
    "call_put_volume": 5.0,
    "sector_flow": 5.0,
}


# After the break more of the alpha sits in signals with heavy tails (surprises, flows), which count less in a rank
# correlation; this keeps the rank IC (`calibrate --break-at-start` measured 0.129 without it).
AFTER_BREAK_SCALE = 1.165


def decay(half_life: float) -> float:
    """Return the factor by which a signal with this half-life shrinks per step."""
    return float(0.5 ** (1.0 / half_life))


def fast_decays(frequency: Frequency, bars_per_session: int) -> NDArray[np.float64]:
    """Per-bar decay of each fast component, in the order of `FAST`."""
    lives = HALF_LIVES[frequency]
    base = [decay(lives[name] * bars_per_session) for name in ("reversal", "imbalance", "volume_surprise")]
    return np.array([*base, base[0] * base[2]])


def weights(after_break: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the fast and of the slow components; their squares sum to 1, to AFTER_BREAK_SCALE**2 after the break."""
    loadings = np.sqrt([item.share for item in COMPONENTS])
    if after_break:
        loadings = loadings * [item.after_break for item in COMPONENTS]
        loadings = AFTER_BREAK_SCALE * loadings / np.sqrt(np.sum(loadings**2))
    return loadings[: len(FAST)], loadings[len(FAST) :]
