"""One decision: what is held and known at a decision time becomes targets and the orders that lead there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import PendingOrder
from aurora_pipeline.execution.circuit_breakers import Conditions, tripped
from aurora_pipeline.execution.cost_forecast import ForecastRates, with_forecasts
from aurora_pipeline.execution.decision_events import input_events, sizing_events
from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.execution.kill_switch import SwitchState
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.order_planning import PRICE_TOLERANCE, plan_orders
from aurora_pipeline.execution.pre_trade_gate import GateContext, check_targets, gate_orders
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.policy.cost_aware_sizer import SizingResult, size_positions
from aurora_pipeline.policy.cost_fit import AS_ASSUMED, CostScale
from aurora_pipeline.policy.cost_model import SESSIONS_PER_YEAR, impact_rate, linear_rate
from aurora_pipeline.policy.limits_in_force import ExposureLimits
from aurora_pipeline.policy.risk_budgeting import risk_budget
from aurora_pipeline.policy.risk_model import RiskModel
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


@dataclass(frozen=True)
class BookSituation:
    """What a book brings to a decision besides its holdings.

    Attributes
    ----------
    book : str
        Its name.
    peak_nav : float
        NAV that drawdowns are measured from, USD.
    completed_sessions : int
        Sessions behind it.
    turnover : TurnoverHistory
        Budgeted turnover up to now, the running session last.
    sigma : ndarray of shape (n_names,)
        Volatility per session for impact, known for every name.
    borrow : ndarray of shape (n_names,)
        Yearly rate of a short; NaN where there is none.
    cost_scale : CostScale
        What own fills of earlier sessions showed of the cost model.
    turnover_price : float or None
        Mean price of turnover at the decisions before, per session held.
    session_return : float
        Of NAV since the session's start.
    planned, refused : int
        Orders planned and refused in the session so far.
    latched : bool
        A breaker that holds for the rest of the session was tripped.
    halted : bool
        Trading stopped until `aurora resume`.
    switch : SwitchState
        Position of the kill switch.
    """

    book: str
    peak_nav: float
    completed_sessions: int
    turnover: TurnoverHistory
    sigma: Floats
    borrow: Floats
    cost_scale: CostScale = AS_ASSUMED
    turnover_price: float | None = None
    session_return: float = 0.0
    planned: int = 0
    refused: int = 0
    latched: bool = False
    halted: bool = False
    switch: SwitchState = field(default_factory=SwitchState)


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


def expected_horizons(inputs: SessionInputs, rules: BookSettings) -> float:
    """Horizons an edge is valued over: as set, else as the signal's decay says; one for the one-horizon baseline."""
    if rules.sizing == "one_horizon":
        return 1.0
    return rules.holding_horizons or inputs.holding_horizons


def usable_risk(risk: RiskModel) -> RiskModel:
    """Return the model itself or, where its covariance is not finite, one that knows nothing: then no edge is traded."""
    if np.isfinite(risk.factor_covariance).all() and np.isfinite(risk.loadings).all():
        return risk
    return replace(
        risk,
        loadings=np.zeros_like(risk.loadings),
        factor_covariance=np.zeros_like(risk.factor_covariance),
        specific_variance=np.full_like(risk.specific_variance, np.nan),
    )


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
    rules, costs, nav = settings.book, settings.costs, ledger.nav
    weights = np.where(ledger.shares != 0.0, ledger.shares * ledger.price / nav, 0.0)
    tradable = inputs.fresh[bar] & np.isfinite(ledger.price)
    value = session_value(inputs, bar)
    max_trade = np.where(tradable, rules.participation * value / inputs.full_session_bars / nav, 0.0)
    horizons = expected_horizons(inputs, rules)
    alpha = np.where(inputs.eligible, inputs.expected_return[bar] * horizons, np.nan)
    holding_sessions = horizons * inputs.horizon_sessions
    budget = risk_budget(nav, situation.peak_nav, situation.completed_sessions, rules)
    last_bar = bar == inputs.bar_count - 1
    remaining = allowance(
        situation.turnover.next_session() if last_bar else situation.turnover,
        (1 if last_bar else bar + 2) / inputs.bar_count,
        rules,
    ).remaining
    breakers = tripped(_conditions(inputs, bar, situation, budget.gross), rules)
    flatten = situation.switch.mode == "flatten"
    withheld = bool(breakers) or situation.latched or flatten or situation.halted
    limits = exposure_limits(rules, budget.gross)
    blind, paced = rules.sizing == "cost_blind", rules.sizing == "cost_aware"
    spread = costs.stress * inputs.half_spread
    linear = linear_rate(inputs.half_spread, costs, inputs.fees, ledger.price)
    impact = impact_rate(situation.sigma, value, nav, costs)
    borrow = situation.borrow / SESSIONS_PER_YEAR * holding_sessions
    request = SizingRequest(
        held=weights,
        alpha=alpha,
        frozen=np.isfinite(alpha) & ~inputs.calibrated[bar] & (not rules.trade_uncalibrated),
        must_close=~inputs.eligible | flatten,
        max_trade=max_trade,
        linear=0.0 * linear if blind else linear + (situation.cost_scale.spread - 1.0) * spread,
        impact=0.0 * impact if blind else impact * situation.cost_scale.impact,
        borrow=0.0 * borrow if blind else borrow,
        sectors=inputs.sectors,
        risk=usable_risk(inputs.risk),
        holding_sessions=holding_sessions,
        risk_aversion=rules.risk_aversion,
        limits=limits,
        gross_reason=budget.binding,
        volatility=budget.volatility,
        turnover=0.0 if withheld else remaining / (1.0 + PRICE_TOLERANCE),
        hurdle=rules.turnover_hurdle * (situation.turnover_price or 0.0) * holding_sessions if paced else 0.0,
        turnover_reason="circuit_breaker" if withheld else "turnover_budget",
        closing_reason="flatten" if flatten else "left_universe",
        proportional=rules.sizing == "proportional",
    )
    sizing = size_positions(request)
    time = inputs.decision_times[bar]
    check_targets(sizing.target, weights, inputs.sectors, limits, f"book {situation.book}, {time}")
    orders = plan_orders(
        situation.book,
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
    move = np.nan_to_num(inputs.expected_return[bar]) / (inputs.horizon_sessions * inputs.full_session_bars)
    accepted, rejected = gate_orders(
        with_forecasts(orders, ledger.column, ForecastRates(spread, linear - spread, impact, move, nav)),
        GateContext(
            column=ledger.column,
            shares=ledger.shares,
            price=np.where(tradable, ledger.price, np.nan),
            eligible=inputs.eligible,
            max_trade=max_trade,
            nav=nav,
            limits=limits,
            turnover=remaining,
            cash=ledger.cash,
            no_short=np.isnan(situation.borrow),
            halted=situation.halted,
        ),
    )
    events = (
        *input_events(inputs, bar, weights, tradable, value, ledger.cash),
        *sizing_events(request, sizing, inputs.instruments),
        *breakers,
        *([BookEvent("flatten", "", situation.switch.reason)] if flatten else []),
        *([BookEvent("halted")] if situation.halted else []),
        *(BookEvent("order_refused", order.instrument, code) for order, code in rejected),
    )
    return Decision(weights, sizing, accepted, rejected, events, request)


def _conditions(inputs: SessionInputs, bar: int, situation: BookSituation, gross: float) -> Conditions:
    eligible = inputs.eligible
    count = max(1, int(eligible.sum()))
    return Conditions(
        session_return=situation.session_return,
        orders=situation.planned,
        refused=situation.refused,
        stale_share=float((eligible & ~inputs.fresh[bar]).sum()) / count,
        half_spread=float(np.median(inputs.half_spread[eligible])) if eligible.any() else 0.0,
        exposure=gross,
    )
