"""Which inputs of a decision were missing or odd, and what sizing could not do: the events of a decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.policy.cost_aware_sizer import SizingResult
from aurora_pipeline.policy.limits_in_force import LIMIT_TOLERANCE, measures
from aurora_pipeline.policy.sizing_request import SizingRequest

Flags = NDArray[np.bool_]


def input_events(
    inputs: SessionInputs, bar: int, held: Floats, tradable: Flags, value: Floats, cash: float
) -> Iterator[BookEvent]:
    """Events of what is known at a decision time.

    Parameters
    ----------
    inputs : SessionInputs
        Of the session.
    bar : int
        Of the decision.
    held : ndarray of shape (n_names,)
        Weights before it.
    tradable : ndarray of bool of shape (n_names,)
        Names with a price now.
    value : ndarray of shape (n_names,)
        Traded value a session is expected to have, USD.
    cash : float
        USD.
    """
    names, signal = inputs.instruments, np.isfinite(inputs.expected_return[bar])
    if not inputs.served:
        yield BookEvent("no_champion", "", "every family is retired, waits, or has no sound files")
    for index in np.flatnonzero((held != 0.0) & ~tradable).tolist():
        yield BookEvent("no_price", names[index], f"held at {held[index]:.4%} of NAV without a bar that ends now")
    for index in np.flatnonzero((held != 0.0) & ~inputs.eligible).tolist():
        yield BookEvent("left_universe", names[index], f"held at {held[index]:.4%} of NAV")
    for index in np.flatnonzero(inputs.eligible & tradable & signal & ~(value > 0.0)).tolist():
        yield BookEvent("no_volume", names[index], "neither the sessions before nor this bar traded anything")
    missing = int((inputs.eligible & ~signal).sum())
    if signal.any() and missing:
        yield BookEvent("no_signal", "", f"{missing} of {int(inputs.eligible.sum())} eligible names")
    if cash < 0.0:
        yield BookEvent("cash_below_zero", "", f"{cash:.2f} USD")


def sizing_events(request: SizingRequest, sizing: SizingResult, instruments: Sequence[str]) -> Iterator[BookEvent]:
    """Events of what the sizer met."""
    blind = np.isfinite(request.alpha) & ~np.isfinite(request.risk.specific_variance)
    for index in np.flatnonzero(blind).tolist()[:1]:
        yield BookEvent("risk_unknown", "", f"{int(blind.sum())} names, the first is {instruments[index]}")
    values, caps = measures(sizing.base, request.sectors, request.limits)
    beyond = int((values > caps + LIMIT_TOLERANCE).sum())
    if beyond:
        yield BookEvent(
            "limits_out_of_reach", "", f"{beyond} measure(s) stay above their cap after what a bar can take"
        )
    if sizing.solution is not None and not sizing.solution.converged:
        improved = bool((sizing.target != sizing.base).any())
        yield BookEvent(
            "solver_standby" if improved else "solver_failed", "", f"{sizing.solution.iterations} iterations"
        )
