"""Does the IC's own test reject a true null as often as it says? Scores and labels without relation, without the pipeline.

Residual returns are simulated bar by bar with what makes real cross-sections dependent: a common move within each sector,
volatility of names that persists over sessions, and heavy tails. Labels are their sums over the next session's worth of bars,
one bar after the decision, so neighbouring labels overlap as they do in the pipeline. Scores persist over sessions and lean with
their sector, and know nothing of the returns. Each seed goes through
:func:`~aurora_pipeline.monitoring.information_coefficient.information_coefficient`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.monitoring.information_coefficient import MeanEstimate, information_coefficient

BARS = 6
"""Decision times of a session, and bars of a label."""
SECTOR_SHARE = 0.15
"""Part of a residual's variance that a sector shares."""
SCORE_SECTOR_SHARE = 0.3
TAIL_FREEDOM = 5.0
REJECTION_RANGE = (0.025, 0.08)
"""Rejection rate at nominal 5 % within which the test counts as honest."""


@dataclass(frozen=True)
class ScorerDesign:
    """One kind of null.

    Attributes
    ----------
    sessions, names, sectors : int
        Size of the panel.
    score_half_life : float
        Sessions after which half of a score is left.
    """

    sessions: int
    names: int = 40
    sectors: int = 4
    score_half_life: float = 5.0


DESIGNS = (
    ScorerDesign(sessions=40, score_half_life=1.0),
    ScorerDesign(sessions=40, score_half_life=20.0),
    ScorerDesign(sessions=100, score_half_life=5.0),
    ScorerDesign(sessions=100, names=130, sectors=11, score_half_life=20.0),
    ScorerDesign(sessions=250, score_half_life=20.0),
)


def null_panel(design: ScorerDesign, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores and labels of one seed: frames of `session`, `symbol`, `decision_time`, `score`, and `label`."""
    generator = np.random.default_rng([seed, design.sessions, design.names])
    sector = np.arange(design.names) % design.sectors
    bars = (design.sessions + 2) * BARS
    noise = _sector_noise(generator, bars, sector, SECTOR_SHARE, design.sectors)
    volatility = _persistent(generator, design.sessions + 2, design.names, 0.95)
    returns = noise * np.exp(0.4 * np.repeat(volatility, BARS, axis=0))
    cumulative = np.vstack([np.zeros(design.names), np.cumsum(returns, axis=0)])
    decisions = np.arange(design.sessions * BARS)
    labels = cumulative[decisions + 2 + BARS] - cumulative[decisions + 2]
    keep = 0.5 ** (1.0 / (design.score_half_life * BARS))
    innovations = _sector_noise(generator, len(decisions), sector, SCORE_SECTOR_SHARE, design.sectors, heavy=False)
    scores = np.empty_like(innovations)
    scores[0] = innovations[0]
    for k in range(1, len(scores)):
        scores[k] = keep * scores[k - 1] + np.sqrt(1.0 - keep**2) * innovations[k]
    start = datetime(2020, 1, 1, 15, tzinfo=UTC)
    times = [start + timedelta(days=k // BARS, minutes=5 * (k % BARS)) for k in range(len(decisions))]
    row = np.repeat(decisions, design.names)
    keys = pl.DataFrame(
        {
            "symbol": [f"N{k:03d}" for k in range(design.names)] * len(decisions),
            "decision_time": pl.Series(times, dtype=TIMESTAMP).gather(row),
        }
    ).with_columns(pl.col("decision_time").dt.date().alias("session"))
    return keys.with_columns(pl.Series("score", scores.ravel())), keys.with_columns(pl.Series("label", labels.ravel()))


def null_estimate(design: ScorerDesign, seed: int) -> MeanEstimate:
    """IC of one seed, with its t."""
    scores, labels = null_panel(design, seed)
    return information_coefficient(scores, labels)


def rejection_rate(estimates: Sequence[MeanEstimate]) -> float:
    """Share of estimates whose |t| lies beyond its own 5 % point; one without a t counts as rejecting."""
    beyond = [e.t is None or e.critical is None or abs(e.t) > e.critical for e in estimates]
    return float(np.mean(beyond))


def _sector_noise(
    generator: np.random.Generator,
    rows: int,
    sector: npt.NDArray[np.int64],
    share: float,
    sectors: int,
    *,
    heavy: bool = True,
) -> npt.NDArray[np.float64]:
    size = (rows, len(sector))
    scale = np.sqrt((TAIL_FREEDOM - 2.0) / TAIL_FREEDOM)
    own = scale * generator.standard_t(TAIL_FREEDOM, size) if heavy else generator.normal(size=size)
    common = generator.normal(size=(rows, sectors))[:, sector]
    mixed: npt.NDArray[np.float64] = np.sqrt(share) * common + np.sqrt(1.0 - share) * own
    return mixed


def _persistent(generator: np.random.Generator, rows: int, names: int, keep: float) -> npt.NDArray[np.float64]:
    """Autoregressive paths of unit variance, shape (rows, names)."""
    out = np.empty((rows, names))
    out[0] = generator.normal(size=names)
    for k in range(1, rows):
        out[k] = keep * out[k - 1] + np.sqrt(1.0 - keep**2) * generator.normal(size=names)
    return out
