"""How much of its capital a live book may use: steps that are earned, one after another, by stated gates.

A book starts at the first step. It moves up when every gate holds over the sessions since it got there, and back down by
one when a limit was broken or the drawdown throttle is at work; on the first step its evidence begins anew. The gates look at
what was planned: that forecast risk and assumed cost came true. They do not ask for a profit a few weeks cannot prove, only that
the loss is not significant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aurora_pipeline.settings import BookSettings

MINIMUM_SESSIONS = 21
BIAS_RANGE = (0.7, 1.4)
LARGEST_COST_RATIO = 1.5
LARGEST_COST_ERROR = 0.25
"""Standard error from which on the cost ratio counts as measured: two of them lie between costs as forecast and the limit."""
LOWEST_T = -1.0


@dataclass(frozen=True)
class StepEvidence:
    """What happened since the book reached its present step.

    Attributes
    ----------
    sessions : int
        Sessions since then.
    bias : float or None
        Realised over forecast volatility.
    cost_ratio : float or None
        Implementation shortfall of the fills over the costs their decisions forecast.
    cost_error : float or None
        Its standard error.
    fills : int
        Fills it is from.
    net_t : float or None
        t-statistic of the mean net return per session.
    breaches : int
        Limits broken.
    drawdown : float
        In volatility targets.
    drift : int
        Differences between broker and book.
    """

    sessions: int
    bias: float | None
    cost_ratio: float | None
    cost_error: float | None
    fills: int
    net_t: float | None
    breaches: int
    drawdown: float
    drift: int


@dataclass(frozen=True)
class Gate:
    """One gate: what it asks for, what was found, and whether it holds."""

    name: str
    asks: str
    found: str
    passed: bool


def gates(evidence: StepEvidence, settings: BookSettings) -> Iterator[Gate]:
    """Every gate of a step; a number that could not be measured does not pass."""
    low, high = BIAS_RANGE
    bias, net_t = evidence.bias, evidence.net_t
    yield Gate(
        "sessions", f"at least {MINIMUM_SESSIONS}", str(evidence.sessions), evidence.sessions >= MINIMUM_SESSIONS
    )
    yield Gate("bias", f"{low} to {high}", _text(bias), bias is not None and low <= bias <= high)
    yield _cost_gate(evidence)
    yield Gate("net result", f"t above {LOWEST_T}", _text(net_t), net_t is not None and net_t > LOWEST_T)
    yield Gate("limits", "none broken", str(evidence.breaches), evidence.breaches == 0)
    yield Gate("positions", "no drift", str(evidence.drift), evidence.drift == 0)
    limit = settings.drawdown_start
    yield Gate("drawdown", f"below {limit}", _text(evidence.drawdown), evidence.drawdown < limit)


def _cost_gate(evidence: StepEvidence) -> Gate:
    """Costs as forecast, once there are fills enough to tell; how many that takes follows from the error so far."""
    asks = f"at most {LARGEST_COST_RATIO}, known to {LARGEST_COST_ERROR}"
    ratio, error, fills = evidence.cost_ratio, evidence.cost_error, evidence.fills
    if ratio is None or error is None:
        return Gate("cost", asks, f"not measured from {fills} fills", False)
    found = f"{ratio:.2f} +- {error:.2f} from {fills} fills"
    if error > LARGEST_COST_ERROR:
        return Gate("cost", asks, f"{found}; takes about {round(fills * (error / LARGEST_COST_ERROR) ** 2)}", False)
    return Gate("cost", asks, found, ratio <= LARGEST_COST_RATIO)


def set_back(evidence: StepEvidence, settings: BookSettings) -> bool:
    """Whether a limit was broken, broker and book differed, or the drawdown throttle is at work: one step down."""
    return bool(evidence.breaches or evidence.drift) or evidence.drawdown >= settings.drawdown_start


def next_step(step: int, evidence: StepEvidence, settings: BookSettings) -> int:
    """Position in `book.capital_steps` after looking at the evidence: one up, one down, or the same."""
    last = len(settings.capital_steps) - 1
    if set_back(evidence, settings):
        return max(0, step - 1)
    return min(last, step + 1) if all(gate.passed for gate in gates(evidence, settings)) else min(step, last)


def _text(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
