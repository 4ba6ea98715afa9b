"""A panel of scores and forward returns on which the IC suite is held against alphalens."""

from __future__ import annotations

import numpy as np
import polars as pl

HORIZONS = (1, 5, 10)
OUTCOMES = [f"forward_{horizon}" for horizon in HORIZONS]


def persistent_panel(names: int, days: int, sectors: int, seed: int) -> pl.DataFrame:
    """Random scores that persist, prices that follow them a little, and forward returns of the horizons."""
    generator = np.random.default_rng(seed)
    scores = np.empty((days, names))
    scores[0] = generator.standard_normal(names)
    for k in range(1, days):
        scores[k] = 0.9 * scores[k - 1] + np.sqrt(1 - 0.9**2) * generator.standard_normal(names)
    returns = 0.002 * scores + 0.02 * generator.standard_normal((days, names))
    prices = 100.0 * np.cumprod(1.0 + np.vstack([np.zeros(names), returns[:-1]]), axis=0)
    frame = {
        "decision_time": np.repeat(np.datetime64("2000-01-01") + np.arange(days), names),
        "symbol": [f"N{k:03d}" for k in range(names)] * days,
        "sector": [f"sector {k % sectors:02d}" for k in range(names)] * days,
        "score": scores.ravel(),
        "price": prices.ravel(),
    }
    for horizon in HORIZONS:
        forward = np.full((days, names), np.nan)
        forward[:-horizon] = prices[horizon:] / prices[:-horizon] - 1.0
        frame[f"forward_{horizon}"] = forward.ravel()
    # alphalens drops a date where any horizon is missing; so does the comparison.
    return pl.DataFrame(frame).filter(pl.col(OUTCOMES[-1]).is_not_nan())
