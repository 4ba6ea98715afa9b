"""Whether a set of synthetic markets shows what was planted in them and nothing else.

In goes one :class:`ProvenMarket` per market the pipeline was run on; out come the verdicts of :func:`judge`, each with its
numbers. Markets without alpha must be told from luck: each one's t against its own 5 % point, and all of them together by
Stouffer's sum of z-scores ("The American Soldier", 1949), which also sees a small bias that no single market shows. Markets
with planted alpha must give it back, with expected returns of the right size. Intervals must cover what they say everywhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from aurora_pipeline.ensemble.conformal import LEVELS

Alpha = Literal["none", "modest", "full"]

FEWEST_CORRELATION: dict[str, float] = {"modest": 0.10, "full": 0.40}
"""Mean correlation of the ensemble's score with the planted expectation that preset `small` must give back."""
SLOPE_RANGE = (0.8, 1.25)
"""Calibration slope; a market's 95 % interval must reach into it."""
COVERAGE_TOLERANCE = 0.02
POOLED_LEVEL = 0.01
"""Two-sided level of the test of all markets without alpha together."""
MORE_REJECTIONS = 0.015
"""Largest probability of more rejections than are let pass: 10 of 100."""


@dataclass(frozen=True)
class ProvenMarket:
    """What one run of the pipeline on one synthetic market found.

    Attributes
    ----------
    alpha : {"none", "modest", "full"}
        What was planted.
    seed : int
        Seed of the market.
    rank_ic, t, critical, p_value : float or None
        Mean rank IC of the ensemble, its t, the 5 % point of |t|, two-sided p-value.
    correlation_with_truth : float or None
        Mean Spearman correlation of score and planted expectation; None where nothing is planted.
    equal_weight_correlation : float or None
        The same of the equal-weight score.
    slope, slope_lower, slope_upper : float or None
        Calibration slope with its 95 % interval.
    coverage : dict
        Nominal level in per cent to share of labels inside, all volatilities together.
    expected_return_bps : float or None
        Standard deviation of the expected return, basis points over the horizon.
    families : dict
        Family to `rank_ic`, `t` and `critical` of its own scores.
    """

    alpha: Alpha
    seed: int
    rank_ic: float | None
    t: float | None
    critical: float | None
    p_value: float | None
    correlation_with_truth: float | None
    equal_weight_correlation: float | None
    slope: float | None
    slope_lower: float | None
    slope_upper: float | None
    coverage: dict[str, float]
    expected_return_bps: float | None
    families: dict[str, dict[str, float | None]] = field(default_factory=dict)

    @property
    def rejects(self) -> bool:
        """Whether the IC lies beyond its own 5 % point."""
        return _beyond(self.t, self.critical)

    @property
    def rejecting_families(self) -> list[str]:
        """Families whose own IC lies beyond its 5 % point."""
        return [name for name, own in self.families.items() if _beyond(own["t"], own["critical"])]

    def as_dict(self) -> dict[str, Any]:
        """Plain mapping, ready for JSON."""
        return asdict(self) | {"rejects": self.rejects}


def _beyond(t: float | None, critical: float | None) -> bool:
    return t is not None and critical is not None and abs(t) > critical


@dataclass(frozen=True)
class ProofVerdict:
    """One thing a set of markets must show.

    Attributes
    ----------
    what : str
        The statement.
    measured, required : str
        For a reader.
    holds : bool
        Whether it does.
    """

    what: str
    measured: str
    required: str
    holds: bool


def allowed_rejections(markets: int, tests: int = 1) -> int:
    """Most rejections at nominal 5 % that pass: more, in any test, have a probability of at most :data:`MORE_REJECTIONS`."""
    from scipy.stats import binom

    return int(binom.ppf(1.0 - MORE_REJECTIONS / tests, markets, 0.05))


def pooled_z(markets: Sequence[ProvenMarket]) -> float:
    """Stouffer's z of the markets' signed p-values."""
    from scipy.special import ndtri

    p_values = [1.0 if market.p_value is None else market.p_value for market in markets]
    signs = [market.t or 0.0 for market in markets]
    scores = [math.copysign(float(-ndtri(p / 2.0)), sign) for p, sign in zip(p_values, signs, strict=True)]
    return float(sum(scores) / math.sqrt(len(scores)))


def judge(markets: Sequence[ProvenMarket]) -> list[ProofVerdict]:
    """Hold what was found against what was planted; a market in which nothing matured fails what it is part of."""
    if not markets:
        return []
    unscored = sum(market.t is None for market in markets)
    verdicts = [ProofVerdict("every market gave an IC", f"{unscored} without", "0 without", unscored == 0)]
    null = [market for market in markets if market.alpha == "none"]
    if null:
        verdicts += _null_verdicts(null)
    for alpha in ("modest", "full"):
        planted = [market for market in markets if market.alpha == alpha]
        if planted:
            verdicts += _planted_verdicts(alpha, planted)
    return [*verdicts, *_coverage_verdicts(markets)]


def _null_verdicts(markets: Sequence[ProvenMarket]) -> list[ProofVerdict]:
    from scipy.special import ndtri

    rejected, allowed = sum(market.rejects for market in markets), allowed_rejections(len(markets))
    z, limit = pooled_z(markets), float(-ndtri(POOLED_LEVEL / 2.0))
    return [
        ProofVerdict(
            "no alpha: markets whose IC is beyond its own 5 % point",
            f"{rejected} of {len(markets)}",
            f"at most {allowed}",
            rejected <= allowed,
        ),
        ProofVerdict("no alpha: z of all ICs together", f"{z:.2f}", f"within {limit:.2f}", abs(z) <= limit),
        *_family_verdicts(markets),
    ]


def _family_verdicts(markets: Sequence[ProvenMarket]) -> list[ProofVerdict]:
    """The family whose own IC was most often beyond its 5 % point; where no family was measured, nothing."""
    counts = Counter(name for market in markets for name in market.rejecting_families)
    families = {name for market in markets for name in market.families}
    if not families:
        return []
    allowed = allowed_rejections(len(markets), len(families))
    most = max(sorted(families), key=lambda name: counts[name])
    return [
        ProofVerdict(
            f"no alpha: most rejections of one of {len(families)} families",
            f"{most}, {counts[most]} of {len(markets)}",
            f"at most {allowed}",
            counts[most] <= allowed,
        )
    ]


def _planted_verdicts(alpha: str, markets: Sequence[ProvenMarket]) -> list[ProofVerdict]:
    found = [market.correlation_with_truth for market in markets if market.correlation_with_truth is not None]
    mean = float(np.mean(found)) if found else math.nan
    fewest = FEWEST_CORRELATION[alpha]
    verdicts = [
        ProofVerdict(
            f"{alpha} alpha: mean correlation of score and truth",
            f"{mean:.3f}",
            f"at least {fewest:.2f}",
            len(found) == len(markets) and mean >= fewest,
        )
    ]
    if alpha == "full":
        low, high = SLOPE_RANGE
        reaching = sum(
            market.slope_lower is not None
            and market.slope_upper is not None
            and market.slope_lower <= high
            and market.slope_upper >= low
            for market in markets
        )
        needed = max(1, len(markets) - allowed_rejections(len(markets)))
        verdicts.append(
            ProofVerdict(
                "full alpha: calibration slopes whose 95 % interval reaches 0.8 to 1.25",
                f"{reaching} of {len(markets)}",
                f"at least {needed}",
                reaching >= needed,
            )
        )
    return verdicts


def _coverage_verdicts(markets: Sequence[ProvenMarket]) -> list[ProofVerdict]:
    """Mean coverage over markets, within the tolerance and two standard errors of that mean."""
    verdicts = []
    for level in LEVELS:
        shares = [market.coverage[name] for market in markets if (name := str(round(100 * level))) in market.coverage]
        mean = float(np.mean(shares)) if shares else math.nan
        error = float(np.std(shares, ddof=1) / math.sqrt(len(shares))) if len(shares) > 1 else 0.0
        verdicts.append(
            ProofVerdict(
                f"coverage of the {100 * level:.0f} % interval, mean over markets",
                f"{100 * mean:.1f} %",
                f"within {100 * (COVERAGE_TOLERANCE + 2 * error):.1f} points",
                len(shares) == len(markets) and abs(mean - level) <= COVERAGE_TOLERANCE + 2 * error,
            )
        )
    return verdicts
