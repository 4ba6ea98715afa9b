"""One decision: what is held and known at a decision time becomes targets and the orders that lead there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.cost_forecast import with_forecasts
from aurora_pipeline.execution.decision_events import input_events, sizing_events
from aurora_pipeline.execution.decision_terms import BookSituation, DecisionTerms, build_sizing_request, decision_terms
from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.order_planning import plan_orders
from aurora_pipeline.execution.pre_trade_gate import GateContext, check_targets, gate_orders
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.policy.cost_aware_sizer import SizingResult, size_positions
from aurora_pipeline.policy.sizing_request import SizingRequest
from aurora_pipeline.settings import Settings


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Attributes
    ----------
    held : ndarray of shape (n_names,)
        Weights before, fractions of NAV.
    sizing : SizingResult
        Targets and reasons.
    orders : tuple of PendingOrder
        Passed by the gate, to be sent for the next bar.
    rejected : tuple of (PendingOrder, str)
        Refused by the gate, with the code.
    events : tuple of BookEvent
        What was wrong or withheld.
    request : SizingRequest
        What the sizer was asked.
    """

    held: Floats
    sizing: SizingResult
    orders: tuple[PendingOrder, ...]
    rejected: tuple[tuple[PendingOrder, str], ...]
    events: tuple[BookEvent, ...]
    request: SizingRequest


def decide(ledger: Ledger, inputs: SessionInputs, bar: int, situation: BookSituation, settings: Settings) -> Decision:
    """Decide at the end of a bar.

    Parameters
    ----------
    ledger : Ledger
        Holdings, marked at the bar's end.
    inputs : SessionInputs
        Names as in the ledger.
    bar : int
        Bar of the session whose end is the decision time.
    situation : BookSituation
        What the book brings.
    settings : Settings
        Limits and costs.

    Raises
    ------
    LimitBreach
        A target breaks a limit: nothing is sent.
    """
    terms = decision_terms(ledger, inputs, bar, situation, settings)
    request = build_sizing_request(terms, inputs, bar, situation, settings.book)
    sizing = size_positions(request)
    where = f"book {situation.book}, {inputs.decision_times[bar]}"
    check_targets(sizing.target, terms.held, inputs.sectors, terms.limits, where)
    accepted, rejected = _orders(ledger, inputs, bar, situation, terms, sizing)
    events = (
        *input_events(inputs, bar, terms.held, terms.tradable, terms.value, ledger.cash),
        *sizing_events(request, sizing, inputs.instruments),
        *_standstill_events(situation, terms),
        *(BookEvent("order_refused", order.instrument, code) for order, code in rejected),
    )
    return Decision(terms.held, sizing, accepted, rejected, events, request)


def _orders(
    ledger: Ledger,
    inputs: SessionInputs,
    bar: int,
    situation: BookSituation,
    terms: DecisionTerms,
    sizing: SizingResult,
) -> tuple[tuple[PendingOrder, ...], tuple[tuple[PendingOrder, str], ...]]:
    """Orders that lead to the targets: those the gate passes, and those it refuses with the code."""
    planned = plan_orders(
        situation.book,
        inputs.decision_times[bar],
        inputs.next_bar_end[bar],
        inputs.instruments,
        inputs.symbols,
        ledger.shares,
        terms.price,
        ledger.nav,
        sizing.base,
        sizing.target,
        sizing.reasons.tolist(),
    )
    return gate_orders(
        with_forecasts(planned, ledger.column, terms.rates),
        GateContext(
            column=ledger.column,
            shares=ledger.shares,
            price=terms.price,
            eligible=inputs.eligible,
            max_trade=terms.max_trade,
            nav=ledger.nav,
            limits=terms.limits,
            turnover=terms.turnover,
            cash=ledger.cash,
            no_short=np.isnan(situation.borrow),
            halted=situation.halted,
        ),
    )


def _standstill_events(situation: BookSituation, terms: DecisionTerms) -> Iterator[BookEvent]:
    """What keeps the book from growing."""
    yield from terms.breakers
    if situation.switch.mode == "flatten":
        yield BookEvent("flatten", "", situation.switch.reason)
    if situation.halted:
        yield BookEvent("halted")
