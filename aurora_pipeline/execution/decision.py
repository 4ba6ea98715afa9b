"""One decision: what is held and known at a decision time becomes targets and the orders that lead there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.order_planning import PRICE_TOLERANCE, plan_orders
from aurora_pipeline.execution.pre_trade_gate import GateContext, check_targets, gate_orders
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.policy.cost_aware_sizer import SizingResult, size_positions
from aurora_pipeline.policy.cost_model import SESSIONS_PER_YEAR, impact_rate, linear_rate
from aurora_pipeline.policy.limits_in_force import ExposureLimits
from aurora_pipeline.policy.risk_budgeting import risk_budget
from aurora_pipeline.policy.sizing_request import SizingRequest
from aurora_pipeline.policy.turnover_manager import TurnoverHistory, allowance
from aurora_pipeline.settings import BookSettings, Settings


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
        Sent, for the next bar.
    rejected : tuple of (PendingOrder, str)
        Refused by the gate, with the code.
    """

    held: Floats
    sizing: SizingResult
    orders: tuple[PendingOrder, ...]
    rejected: tuple[tuple[PendingOrder, str], ...]


def exposure_limits(settings: BookSettings, gross: float | None = None) -> ExposureLimits:
    """Caps of the book; `gross` is what ramp and drawdown leave of the utilisation cap.

    A long-only book has no net cap of its own: its net is its gross.
    """
    return ExposureLimits(
        name=settings.name_cap,
        sector=settings.sector_cap,
        net=np.inf if settings.long_only else settings.net_cap * settings.utilisation_cap,
        gross=settings.utilisation_cap if gross is None else gross,
        long_only=settings.long_only,
    )


def session_value(inputs: SessionInputs, bar: int) -> Floats:
    """Traded value a session is expected to have, USD, shape (n_names,).

    The average of the sessions before; for a name without one, what the running bar traded, times the bars of a
    session.
    """
    running = np.nan_to_num(inputs.fill_price[bar]) * inputs.fill_volume[bar] * inputs.full_session_bars
    return np.where(inputs.average_value > 0.0, inputs.average_value, running)


def decide(
    book: str,
    ledger: Ledger,
    inputs: SessionInputs,
    bar: int,
    sigma: Floats,
    peak_nav: float,
    completed_sessions: int,
    turnover: TurnoverHistory,
    settings: Settings,
) -> Decision:
    """Decide at the end of a bar.

    Parameters
    ----------
    book : str
        Name of the book.
    ledger : Ledger
        Holdings, marked at the bar's end.
    inputs : SessionInputs
        Names as in the ledger.
    bar : int
        Bar of the session whose end is the decision time.
    sigma : ndarray of shape (n_names,)
        Volatility per session for impact, known for every name.
    peak_nav : float
        Highest NAV so far, USD.
    completed_sessions : int
        Sessions the book has behind it.
    turnover : TurnoverHistory
        Budgeted turnover up to now, the running session last.
    settings : Settings
        Limits and costs.

    Raises
    ------
    LimitBreach
        A target breaks a limit: nothing is sent.
    """
    rules, costs, nav = settings.book, settings.costs, ledger.nav
    weights = np.where(ledger.shares != 0.0, ledger.shares * ledger.price / nav, 0.0)
    tradable = inputs.fresh[bar] & np.isfinite(ledger.price)
    value = session_value(inputs, bar)
    max_trade = np.where(tradable, rules.participation * value / inputs.full_session_bars / nav, 0.0)
    alpha = np.where(inputs.eligible, inputs.expected_return[bar] * rules.holding_horizons, np.nan)
    holding_sessions = rules.holding_horizons * inputs.horizon_sessions
    budget = risk_budget(nav, peak_nav, completed_sessions, rules)
    last_bar = bar == inputs.bar_count - 1
    remaining = allowance(
        turnover.next_session() if last_bar else turnover,
        (1 if last_bar else bar + 2) / inputs.bar_count,
        rules,
    ).remaining
    limits = exposure_limits(rules, budget.gross)
    sizing = size_positions(
        SizingRequest(
            held=weights,
            alpha=alpha,
            frozen=np.isfinite(alpha) & ~inputs.calibrated[bar] & (not rules.trade_uncalibrated),
            must_close=~inputs.eligible,
            max_trade=max_trade,
            linear=linear_rate(inputs.half_spread, costs),
            impact=impact_rate(sigma, value, nav, costs),
            borrow=costs.borrow_rate / SESSIONS_PER_YEAR * holding_sessions,
            sectors=inputs.sectors,
            risk=inputs.risk,
            holding_sessions=holding_sessions,
            risk_aversion=rules.risk_aversion,
            limits=limits,
            gross_reason=budget.binding,
            volatility=budget.volatility,
            turnover=remaining / (1.0 + PRICE_TOLERANCE),
        )
    )
    time = inputs.decision_times[bar]
    check_targets(sizing.target, weights, inputs.sectors, limits, f"book {book}, {time}")
    orders = plan_orders(
        book,
        time,
        inputs.next_bar_end[bar],
        inputs.instruments,
        inputs.symbols,
        ledger.shares,
        np.where(tradable, ledger.price, np.nan),
        nav,
        sizing.base,
        sizing.target,
        sizing.reasons.tolist(),
    )
    accepted, rejected = gate_orders(
        orders,
        GateContext(
            column=ledger.column,
            shares=ledger.shares,
            price=np.where(tradable, ledger.price, np.nan),
            eligible=inputs.eligible,
            max_trade=max_trade,
            nav=nav,
            limits=limits,
            turnover=remaining,
        ),
    )
    return Decision(weights, sizing, accepted, rejected)
