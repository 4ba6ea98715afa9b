"""What a decision works with: what the book brings, what may trade, what limits and budgets leave, what a trade costs.

:func:`decision_terms` gathers it, :func:`build_sizing_request` puts it to the sizer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.circuit_breakers import Conditions, tripped
from aurora_pipeline.execution.cost_forecast import ForecastRates
from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.execution.kill_switch import SwitchState
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.order_planning import PRICE_TOLERANCE
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.policy.cost_fit import AS_ASSUMED, CostScale
from aurora_pipeline.policy.cost_model import impact_rate, linear_rate
from aurora_pipeline.policy.limits_in_force import ExposureLimits, exposure_limits
from aurora_pipeline.policy.risk_budgeting import RiskBudget, risk_budget
from aurora_pipeline.policy.risk_model import RiskModel
from aurora_pipeline.policy.sizing_request import SizingRequest
from aurora_pipeline.policy.turnover_manager import TurnoverHistory, allowance
from aurora_pipeline.settings import BookSettings, Settings


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


@dataclass(frozen=True)
class DecisionTerms:
    """The terms of one decision; arrays of shape (n_names,).

    Attributes
    ----------
    held : ndarray
        Weights before it, fractions of NAV.
    tradable : ndarray of bool
        Names with a bar that ends now.
    price : ndarray
        USD; NaN where not tradable.
    value : ndarray
        Traded value a session is expected to have, USD.
    max_trade : ndarray
        Largest trade, fraction of NAV.
    budget : RiskBudget
        Exposure and volatility it may reach.
    limits : ExposureLimits
        Caps in force.
    turnover : float
        What the turnover budgets leave, fraction of NAV.
    breakers : tuple of BookEvent
        Circuit breakers that are tripped.
    withheld : bool
        Whether nothing may grow.
    linear : ndarray
        Spread and fees, fractions of traded value.
    rates : ForecastRates
        The cost model as the settings have it.
    """

    held: Floats
    tradable: NDArray[np.bool_]
    price: Floats
    value: Floats
    max_trade: Floats
    budget: RiskBudget
    limits: ExposureLimits
    turnover: float
    breakers: tuple[BookEvent, ...]
    withheld: bool
    linear: Floats
    rates: ForecastRates


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


def decision_terms(
    ledger: Ledger, inputs: SessionInputs, bar: int, situation: BookSituation, settings: Settings
) -> DecisionTerms:
    """Gather what a decision works with; parameters as for :func:`aurora_pipeline.execution.decision.decide`."""
    rules, costs, nav = settings.book, settings.costs, ledger.nav
    tradable = inputs.fresh[bar] & np.isfinite(ledger.price)
    value = session_value(inputs, bar)
    budget = risk_budget(nav, situation.peak_nav, situation.completed_sessions, rules)
    last_bar = bar == inputs.bar_count - 1
    turnover = allowance(
        situation.turnover.next_session() if last_bar else situation.turnover,
        (1 if last_bar else bar + 2) / inputs.bar_count,
        rules,
    ).remaining
    breakers = tuple(tripped(_conditions(inputs, bar, situation, budget.gross), rules))
    spread = costs.stress * inputs.half_spread
    linear = linear_rate(inputs.half_spread, costs, inputs.fees, ledger.price)
    rates = ForecastRates(
        spread=spread,
        fee=linear - spread,
        impact=impact_rate(situation.sigma, value, nav, costs),
        move=np.nan_to_num(inputs.expected_return[bar]) / (inputs.horizon_sessions * inputs.full_session_bars),
        nav=nav,
    )
    return DecisionTerms(
        held=np.where(ledger.shares != 0.0, ledger.shares * ledger.price / nav, 0.0),
        tradable=tradable,
        price=np.where(tradable, ledger.price, np.nan),
        value=value,
        max_trade=np.where(tradable, rules.participation * value / inputs.full_session_bars / nav, 0.0),
        budget=budget,
        limits=exposure_limits(rules, budget.gross),
        turnover=turnover,
        breakers=breakers,
        withheld=bool(breakers) or situation.latched or situation.switch.mode == "flatten" or situation.halted,
        linear=linear,
        rates=rates,
    )


def build_sizing_request(
    terms: DecisionTerms, inputs: SessionInputs, bar: int, situation: BookSituation, rules: BookSettings
) -> SizingRequest:
    """Put the terms of a decision to the sizer, with edge and costs over the time a position is expected to be kept."""
    horizons = expected_horizons(inputs, rules)
    holding_sessions = horizons * inputs.horizon_sessions
    alpha = np.where(inputs.eligible, inputs.expected_return[bar] * horizons, np.nan)
    flatten = situation.switch.mode == "flatten"
    price = situation.turnover_price if rules.sizing == "cost_aware" else None
    rates, scale = terms.rates, situation.cost_scale
    charged = 0.0 if rules.sizing == "cost_blind" else 1.0
    return SizingRequest(
        held=terms.held,
        alpha=alpha,
        frozen=np.isfinite(alpha) & ~inputs.calibrated[bar] & (not rules.trade_uncalibrated),
        must_close=~inputs.eligible | flatten,
        max_trade=terms.max_trade,
        linear=charged * (terms.linear + (scale.spread - 1.0) * rates.spread),
        impact=charged * rates.impact * scale.impact,
        borrow=charged * situation.borrow / SESSIONS_PER_YEAR * holding_sessions,
        sectors=inputs.sectors,
        risk=usable_risk(inputs.risk),
        holding_sessions=holding_sessions,
        risk_aversion=rules.risk_aversion,
        limits=terms.limits,
        gross_reason=terms.budget.binding,
        volatility=terms.budget.volatility,
        turnover=0.0 if terms.withheld else terms.turnover / (1.0 + PRICE_TOLERANCE),
        hurdle=rules.turnover_hurdle * (price or 0.0) * holding_sessions,
        turnover_reason="circuit_breaker" if terms.withheld else "turnover_budget",
        closing_reason="flatten" if flatten else "left_universe",
        proportional=rules.sizing == "proportional",
    )


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
