"""What a claim is: a promise, a measurement held against it, and the verdict that follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from aurora_pipeline.contracts import empty

Verdict = Literal["met", "not met", "not testable"]
Direction = Literal["at least", "at most", "between"]
SESSION_ICS = {"series": pl.String(), "session": pl.Date(), "ic": pl.Float64()}
NO_RUN = "nothing of it is stored; it takes a finished run on a market"


@dataclass(frozen=True)
class ClaimInputs:
    """What a home has stored; every part may be missing.

    Attributes
    ----------
    market : str
        Name of the market.
    market_kind : {"synthetic", "real"}
        Whether its alpha is planted.
    card : mapping
        The scorecard, its part `book` of the same book as `portfolio`.
    feature_audit, predictions, ensemble, signal_quality, portfolio, model_states : polars.DataFrame
        Tables of the same name; the audit of the newest fold; `portfolio` of the backtest book.
    session_ics : polars.DataFrame
        Result of :func:`~aurora_pipeline.monitoring.session_ics.session_ics`.
    calibration_interval : tuple of float or None
        95 % interval of the calibration error.
    proof_pipeline, proof_scorer : mapping or None
        Reports kept by `aurora prove`.
    ablation : mapping or None
        Progression kept by `aurora ablate`.
    utilisation_cap : float
        Limit of gross exposure, fraction of NAV.
    build_sessions : int
        Sessions in which the first positions are built, outside the turnover budgets.
    """

    market: str
    market_kind: str
    card: Mapping[str, Any] = field(default_factory=dict)
    feature_audit: pl.DataFrame = field(default_factory=lambda: empty("feature_audit"))
    predictions: pl.DataFrame = field(default_factory=lambda: empty("predictions"))
    ensemble: pl.DataFrame = field(default_factory=lambda: empty("ensemble"))
    session_ics: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SESSION_ICS))
    signal_quality: pl.DataFrame = field(default_factory=lambda: empty("signal_quality"))
    portfolio: pl.DataFrame = field(default_factory=lambda: empty("portfolio"))
    model_states: pl.DataFrame = field(default_factory=lambda: empty("model_states"))
    calibration_interval: tuple[float, float] | None = None
    proof_pipeline: Mapping[str, Any] | None = None
    proof_scorer: Mapping[str, Any] | None = None
    ablation: Mapping[str, Any] | None = None
    utilisation_cap: float = 0.22
    build_sessions: int = 10


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval, or the reason there is none.

    Attributes
    ----------
    value, lower, upper : float or None
        None where there is none.
    missing : str
        Why, and the sample it would take; empty where there is a value.
    beside : str
        What to read beside the number.
    """

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    missing: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Promise:
    """One claim of the plan.

    Attributes
    ----------
    claim_id, claim, definition : str
        Name, wording, and how it is measured here.
    direction : {"at least", "at most", "between"}
        Which side of the target is good.
    target : float or tuple of float
        Promised value; both ends of a range.
    unit : {"number", "percent", "ic"}
        How it is printed.
    command : str
        What reproduces it.
    market_kind : str
        `synthetic` where only a market with planted alpha can decide it, `any` where none is needed, else empty: the home's.
    """

    claim_id: str
    claim: str
    definition: str
    direction: Direction
    target: float | tuple[float, float]
    unit: Literal["number", "percent", "ic"] = "number"
    command: str = "aurora run && aurora claims"
    market_kind: str = ""

    @property
    def plan(self) -> str:
        """Promised value as text."""
        if isinstance(self.target, tuple):
            return f"{shown(self.target[0], self.unit)} to {shown(self.target[1], self.unit)}"
        return f"{self.direction} {shown(self.target, self.unit)}"


def shown(value: float | None, unit: str) -> str:
    """Print a value in its unit."""
    if value is None:
        return "-"
    if unit == "percent":
        return f"{100 * value:.4g} %"
    return f"{value:.3f}" if unit == "ic" else f"{value:.4g}"


def verdict_of(promise: Promise, measured: Measured) -> tuple[Verdict, str]:
    """Hold a measurement against a promise: verdict and what it rests on."""
    if measured.value is None or not math.isfinite(measured.value):
        return "not testable", measured.missing or NO_RUN
    interval = measured.lower is not None and measured.upper is not None
    worst = [measured.lower, measured.upper] if interval else [measured.value, measured.value]
    reached = {"estimate": _reaches(promise, measured.value, measured.value), "interval": _reaches(promise, *worst)}
    if not interval:
        return ("met" if reached["estimate"] else "not met"), _joined(
            "a count or a level, no interval", measured.beside
        )
    if reached["interval"]:
        return "met", _joined("the whole 95 % interval reaches it", measured.beside)
    near = (
        "the estimate reaches it, its 95 % interval does not"
        if reached["estimate"]
        else "the estimate does not reach it"
    )
    return "not met", _joined(near, measured.beside)


def _reaches(promise: Promise, lower: float | None, upper: float | None) -> bool:
    if lower is None or upper is None:
        return False
    if isinstance(promise.target, tuple):
        return promise.target[0] <= lower and upper <= promise.target[1]
    return lower >= promise.target if promise.direction == "at least" else upper <= promise.target


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
