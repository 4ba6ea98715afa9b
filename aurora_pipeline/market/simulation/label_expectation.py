"""What a signal is expected to add to a stock's residual return over the bars of a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.market.simulation.components import weights
from aurora_pipeline.market.simulation.slow_alpha import session_decays
from aurora_pipeline.market.simulation.timeline import Timeline, horizon_counts

Floats = NDArray[np.float64]


def fast_reach(counts: NDArray[np.int64], decays: Floats) -> Floats:
    """What each fast signal adds over the label bars of each decision time, by session ahead.

    A signal of 1 at the end of bar i is expected to be decay**m at the end of bar i + m.

    Returns
    -------
    ndarray of shape (n_bars, n_sessions_ahead + 1, 4)
    """
    done = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)], axis=1)[:, :, None]
    powers = decays[None, None, :] ** done
    return np.asarray(decays / (1.0 - decays) * (powers[:, :-1] - powers[:, 1:]))


def label_terms(
    counts: NDArray[np.int64], reach: Floats, slow_part: Floats, fast_part: Floats, after: list[bool]
) -> Floats:
    """Contribution of each component to the standardised expected return, shape (n_components, n_bars, n_stocks)."""
    n_fast = fast_part.shape[1]
    out = np.zeros((n_fast + slow_part.shape[1], *fast_part[:, 0].shape))
    for lag in range(counts.shape[1]):
        fast_weights, slow_weights = weights(after[lag])
        out[:n_fast] += (reach[:, lag] * fast_weights).T[:, :, None] * fast_part.transpose(1, 0, 2)
        out[n_fast:] += counts[None, :, lag, None] * (slow_weights[:, None] * slow_part[lag])[:, None, :]
    return out


def slow_persistence(timeline: Timeline) -> Floats:
    """Average over the label bars of what is left of each slow component, taken over the first session with decisions."""
    counts = horizon_counts(timeline, timeline.warmup).sum(axis=0).astype(float)
    shares = counts / counts.sum()
    return np.asarray(sum(share * session_decays(lag) for lag, share in enumerate(shares)))
