"""One session of a book while it runs: bar by bar, from the state it opened with to the state it closes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Protocol

import numpy as np

from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import BookState, PendingOrder
from aurora_pipeline.execution.broker import Broker, ExecutedOrder, known_executions, require_paper, send_orders
from aurora_pipeline.execution.carried_orders import after_actions, within_limits
from aurora_pipeline.execution.corporate_events import CorporateEvent, RefusedSplit, confirms, contradicts
from aurora_pipeline.execution.cost_forecast import with_fills
from aurora_pipeline.execution.decision import Decision, decide
from aurora_pipeline.execution.decision_terms import BookSituation, session_value
from aurora_pipeline.execution.events import BookEvent
from aurora_pipeline.execution.kill_switch import AlwaysOn, KillSwitch, lifts_halt
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.reconciliation import reconcile
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.execution.session_result import SessionRecord, SessionResult
from aurora_pipeline.execution.simulated_broker import SimulatedBroker, fill_costs
from aurora_pipeline.market.action_versions import REDATED_DAYS
from aurora_pipeline.policy.cost_fit import AS_ASSUMED, cost_scale
from aurora_pipeline.policy.cost_model import TradeCost, borrow_cost, borrow_rates
from aurora_pipeline.policy.risk_budgeting import drawdown_scale, restarted_peak
from aurora_pipeline.policy.risk_model import RiskModel
from aurora_pipeline.policy.turnover_manager import MONTH_SESSIONS
from aurora_pipeline.policy.turnover_price import updated_price
from aurora_pipeline.settings import BookSettings, Settings

UNKNOWN_VOLATILITY = 0.03
"""Volatility per session that impact is charged with where nothing is known: high, so that ignorance is not cheap."""
LATCHING = frozenset({"breaker_daily_loss", "breaker_reject_rate"})
NOBODYS_FAULT = frozenset({"kill_switch", "not_sent"})
"""Refusals that say nothing about the orders or the broker, and do not count towards the reject rate."""


class MarketBroker(Broker, Protocol):
    """A paper broker that lives in the market of the lake: bars and corporate actions reach it from the book's loop."""

    def trade_bar(self, column: Mapping[str, int], fill_price: Floats, fill_volume: Floats) -> None:
        """Let a bar pass."""

    def apply(self, event: CorporateEvent) -> None:
        """Book a corporate action."""


class RunningSession:
    """A book within a session.

    Parameters
    ----------
    opening : BookState
        State at the end of the session before.
    inputs : SessionInputs
        Of the session, with every name the state holds.
    settings : Settings
        Limits and costs.
    broker : MarketBroker or None
        Holds what the state holds; None makes a simulated one.
    switch : KillSwitch
        Asked before every order.
    """

    def __init__(
        self,
        opening: BookState,
        inputs: SessionInputs,
        settings: Settings,
        broker: MarketBroker | None,
        switch: KillSwitch,
    ) -> None:
        self.scale = cost_scale(opening.cost_evidence)
        self.opening, self.inputs, self.settings, self.switch = opening, inputs, settings, switch
        self.borrow = borrow_rates(inputs.symbols, settings.costs, inputs.quoted_borrow)
        unlendable = [name for name, rate in zip(inputs.instruments, self.borrow, strict=True) if np.isnan(rate)]
        self.broker = broker or SimulatedBroker(opening.shares, settings.book.participation, unlendable)
        require_paper(self.broker, settings.book.real_money_account)
        self.ledger = Ledger(inputs.instruments, opening.shares, opening.prices, opening.cash)
        self.record = SessionRecord(opening.book, inputs)
        self.sigma = _impact_volatility(inputs.risk)
        self.turnover, self.nav = opening.turnover.next_session(), opening.nav
        self.halted, self.cost_evidence = opening.halted, opening.cost_evidence
        self.turnover_price = opening.turnover_price
        self.latched, self.planned, self.refused = False, 0, 0
        self.alpha = np.zeros(len(inputs.instruments))
        self.expected = np.array([opening.expected.get(name, 0.0) for name in inputs.instruments])
        self.weights = np.zeros(len(inputs.instruments))
        self.night = self._borrow_of_the_night()
        self.pending: tuple[PendingOrder, ...] = ()
        self.peak = self._opening_peak()
        if self.scale != AS_ASSUMED:
            fitted = f"spread x {self.scale.spread:.2f}, impact x {self.scale.impact:.2f}"
            detail = f"{fitted}, from {self.cost_evidence.fills} fills"
            self.record.events.add(inputs.decision_times[0], BookEvent("costs_fitted", "", detail))
        self._send(self._orders_of_the_evening(), AlwaysOn(), inputs.decision_times[0])

    def _opening_peak(self) -> float:
        """Peak NAV, lowered where a drawdown's pause has passed."""
        opening, rules = self.opening, self.settings.book
        peak = restarted_peak(opening.nav, opening.peak_nav, opening.flat_sessions, rules)
        if peak != opening.peak_nav:
            detail = f"after {opening.flat_sessions} flat sessions; peak {opening.peak_nav:.2f} -> {peak:.2f} USD"
            self.record.events.add(self.inputs.decision_times[0], BookEvent("drawdown_restart", "", detail))
        return peak

    def step(self, bar: int) -> None:
        """Fill, mark, account, reconcile and decide at one bar's end.

        Raises
        ------
        BookError
            The book's NAV is used up.
        """
        time, inputs, ledger = self.inputs.decision_times[bar], self.inputs, self.ledger
        if self.halted and lifts_halt(self.switch.state(time), datetime.fromisoformat(self.halted)):
            self.halted = ""
        held = ledger.shares != 0.0
        self.alpha[held] += np.nan_to_num(ledger.shares[held] * ledger.price[held] * self.expected[held])
        self._account(bar)
        self.nav = ledger.nav
        if self.nav <= 0.0:
            book = self.opening.book
            raise BookError(f"book {book}, {time}: NAV is {self.nav:.2f} USD; a book without capital cannot go on")
        self.peak = max(self.peak, self.nav)
        situation = BookSituation(
            book=self.opening.book,
            peak_nav=self.peak,
            completed_sessions=self.opening.sessions,
            turnover=self.turnover,
            sigma=self.sigma,
            borrow=self.borrow,
            cost_scale=self.scale,
            turnover_price=self.turnover_price,
            session_return=self.nav / self.opening.nav - 1.0,
            planned=self.planned,
            refused=self.refused,
            latched=self.latched,
            halted=bool(self.halted),
            switch=self.switch.state(time),
        )
        decision = decide(ledger, inputs, bar, situation, self.settings)
        found = decision.sizing.turnover_price
        if found is not None:
            found /= decision.request.holding_sessions
        unspent = _unspent(decision, inputs.bar_count, self.settings.book)
        self.turnover_price = updated_price(self.turnover_price, found, unspent, inputs.bar_count)
        self.latched = self.latched or any(event.event in LATCHING for event in decision.events)
        self.record.events.add(time, *decision.events)
        self.record.add_decision(bar, decision.held, decision.sizing)
        self.record.add_rejected(decision.rejected)
        self.planned += len(decision.rejected)
        self.refused += len(decision.rejected)
        self._send(decision.orders, self.switch, time)
        horizon_bars = inputs.horizon_sessions * inputs.full_session_bars
        self.expected = np.nan_to_num(inputs.expected_return[bar]) / horizon_bars
        self.weights = decision.held
        if bar == len(inputs.decision_times) - 1:
            self.record.add_forgone(bar, decision)

    def close(self, session: date) -> SessionResult:
        """Lay out the rows and the state of what was handled."""
        inputs, ledger, opening = self.inputs, self.ledger, self.opening
        self.record.add_close(len(inputs.decision_times) - 1, self.weights, ledger, self.alpha)
        shares, prices = ledger.holdings()
        flat = drawdown_scale(self.nav, self.peak, self.settings.book) == 0.0
        closing = BookState(
            book=opening.book,
            session=session,
            complete=len(inputs.decision_times) == inputs.bar_count,
            cash=ledger.cash,
            nav=self.nav,
            peak_nav=self.peak,
            shares=shares,
            prices=prices,
            sessions=opening.sessions + 1,
            turnover=self.turnover,
            pending=self.pending,
            flat_sessions=opening.flat_sessions + 1 if flat else 0,
            halted=self.halted,
            expected={name: float(self.expected[ledger.column[name]]) for name in shares},
            turnover_price=self.turnover_price,
            cost_evidence=self.cost_evidence,
            refused_splits=self.refused_splits,
        )
        return self.record.result(closing, opening.nav, opening.turnover)

    def _orders_of_the_evening(self) -> tuple[PendingOrder, ...]:
        """Book the night's corporate actions; returns the orders that still go out, the others are taken back and recorded."""
        opening, ledger = self.opening, self.ledger
        events = self._events_of_the_night()
        for event in events:
            if event.kind == "dividend" and event.value >= ledger.last_price(event.instrument):
                detail = f"{event.value:g} USD per share, price {ledger.last_price(event.instrument):g}"
                self.record.events.add(
                    self.inputs.decision_times[0], BookEvent("dividend_refused", event.instrument, detail)
                )
                continue
            ledger.apply(event)
            self.broker.apply(event)
        waiting, gone = after_actions(opening.pending, events)
        allowed, refused = within_limits(waiting, ledger, opening.nav, self.turnover, self.settings.book)
        for order in (*gone, *(order for order, _ in refused)):
            self.broker.cancel(order.order_id)
        self.record.add_executed(
            [ExecutedOrder(order, "cancelled", "corporate_action", 0.0, 0.0, np.nan) for order in gone]
        )
        self.record.add_rejected(refused)
        found = [BookEvent("order_refused", order.instrument, code) for order, code in refused]
        self.record.events.add(self.inputs.decision_times[0], *found)
        return allowed

    def _events_of_the_night(self) -> list[CorporateEvent]:
        """Actions to book: those told, without splits that the first price contradicts, and refused ones it shows by now."""
        inputs, moment = self.inputs, self.inputs.decision_times[0]
        told = {event.instrument for event in inputs.events if event.kind == "split"}
        booked, refused = [], []
        for split in self.opening.refused_splits:
            days = (inputs.session - date.fromisoformat(split.session)).days
            if split.instrument in told or days > REDATED_DAYS:
                continue
            if confirms(split.ratio, *self._around_the_night(split.instrument)):
                booked.append(CorporateEvent(split.instrument, "split", split.ratio))
            else:
                refused.append(split)
        for event in inputs.events:
            before, after = self._around_the_night(event.instrument)
            if event.kind == "split" and event.overnight and contradicts(event.value, before, after):
                refused.append(RefusedSplit(event.instrument, event.value, inputs.session.isoformat()))
                detail = f"{event.value:g} shares for one, price {before:g} before and {after:g} after"
                self.record.events.add(moment, BookEvent("split_refused", event.instrument, detail))
            else:
                booked.append(event)
        self.refused_splits = tuple(refused)
        return booked

    def _around_the_night(self, instrument: str) -> tuple[float, float]:
        """Price the book knew an instrument at in the evening, and its first one of the session, USD/share; NaN where unknown.

        At frequency `session` the first price is the close, a whole day's move away, and says nothing.
        """
        ordered = {order.instrument: order.reference_price for order in self.opening.pending}
        evening = self.opening.prices.get(instrument, ordered.get(instrument, np.nan))
        column = self.ledger.column.get(instrument)
        said = column is not None and self.inputs.full_session_bars > 1
        return evening, float(self.inputs.mark[0, column]) if said else np.nan

    def _send(self, orders: tuple[PendingOrder, ...], switch: KillSwitch, time: datetime) -> None:
        self.pending, refused, events = send_orders(self.broker, orders, switch)
        self.planned += len(orders)
        self.refused += sum(reason not in NOBODYS_FAULT for _, reason in refused)
        self.record.add_rejected(refused)
        self.record.events.add(time, *events)

    def _account(self, bar: int) -> None:
        """Fill, mark, pay and write the account of one bar."""
        inputs, ledger, record, settings = self.inputs, self.ledger, self.record, self.settings
        time, nav_before = inputs.decision_times[bar], self.nav
        self._cancel_if_thrown(time)
        self.broker.trade_bar(ledger.column, inputs.fill_price[bar], inputs.fill_volume[bar])
        executed, odd = known_executions(self.broker.executions(), self.pending)
        filled = [item for item in executed if item.shares > 0.0]
        value = session_value(inputs, bar)
        cost = fill_costs(filled, ledger.column, inputs.half_spread, self.sigma, value, settings, inputs.fees)
        if self.broker.costs_in_price:
            cost = TradeCost(np.zeros(len(filled)), cost.fee, np.zeros(len(filled)))
            self.cost_evidence = with_fills(self.cost_evidence, filled, settings.costs.stress)
        night = self.night if bar == 0 else np.zeros(ledger.shares.size)
        ledger.mark(inputs.mark[bar])
        for item, charge in zip(filled, cost.total, strict=True):
            index = ledger.column[item.order.instrument]
            ledger.fill(index, item.signed_shares, item.price)
            ledger.pay(index, float(charge))
        for index in np.flatnonzero(night).tolist():
            ledger.pay(index, float(night[index]))
        drift = reconcile(ledger, self.broker.positions())
        if drift and not self.halted:
            self.halted = time.isoformat()
        record.events.add(time, *odd, *drift)
        spread, impact, fee = (float(term.sum()) for term in (cost.spread, cost.impact, cost.fee))
        turnover = sum(item.shares * item.price for item in filled) / 2.0 / nav_before
        exempt = sum(item.exempt_shares * item.price for item in filled) / 2.0 / nav_before
        self.turnover = self.turnover.add(turnover - exempt)
        nav = ledger.nav
        weights = np.where(ledger.shares != 0.0, ledger.shares * ledger.price / nav, 0.0)
        volatility = float(np.sqrt(max(inputs.risk.variance(weights), 0.0)))
        record.add_executed(executed)
        record.add_fills(filled, cost, time)
        record.add_positions(bar, ledger.shares, ledger.price, weights)
        record.portfolio.append(
            {
                "decision_time": time,
                "nav": nav,
                "cash": ledger.cash,
                "gross": float(np.abs(weights).sum()),
                "net": float(weights.sum()),
                "turnover": turnover,
                "exempt_turnover": exempt,
                "gross_pnl": ledger.take_pnl(),
                "cost": spread + impact + fee + float(night.sum()),
                "spread_cost": spread,
                "impact_cost": impact,
                "fee_cost": fee,
                "borrow_cost": float(night.sum()),
                "forecast_volatility": volatility if np.isfinite(volatility) else None,
                "market_beta": float(inputs.risk.exposures(weights)[0]),
            }
        )

    def _cancel_if_thrown(self, time: datetime) -> None:
        """Take back what has not filled once the switch is thrown, but not what flattens."""
        mode = self.switch.state(time).mode
        for order in self.broker.open_orders() if mode != "on" else ():
            if mode == "halt" or order.reason != "flatten":
                self.broker.cancel(order.order_id)

    def _borrow_of_the_night(self) -> Floats:
        """Cost of the shorts held overnight by name, USD, at the prices of the evening: before what the night's actions do."""
        ledger = self.ledger
        short = (ledger.shares < 0.0) & np.isfinite(ledger.price)
        return borrow_cost(np.where(short, ledger.shares * ledger.price, 0.0), self.borrow, self.settings.costs)


def with_held_names(inputs: SessionInputs, state: BookState) -> SessionInputs:
    """Add names that are held or on order but neither listed nor traded in the session; they cannot trade."""
    wanted = {*state.shares, *(order.instrument for order in state.pending)} - set(inputs.instruments)
    extra = sorted(wanted)
    if not extra:
        return inputs
    count, (moments, _) = len(extra), inputs.mark.shape
    unknown, nothing = np.full((moments, count), np.nan), np.zeros((moments, count))
    risk = inputs.risk
    fallback = np.full(count, np.median(risk.specific_variance))
    return replace(
        inputs,
        instruments=(*inputs.instruments, *extra),
        # Its symbol may be somebody else's by now: the first bearer is told from the second, ``A.2``.
        symbols=(*inputs.symbols, *(f"{name}.1" if name in inputs.symbols else name for name in extra)),
        sectors=np.append(inputs.sectors, np.full(count, -1)),
        eligible=np.append(inputs.eligible, np.zeros(count, dtype=bool)),
        mark=np.hstack([inputs.mark, unknown]),
        fresh=np.hstack([inputs.fresh, nothing.astype(bool)]),
        fill_price=np.hstack([inputs.fill_price, unknown]),
        fill_volume=np.hstack([inputs.fill_volume, nothing]),
        expected_return=np.hstack([inputs.expected_return, unknown]),
        calibrated=np.hstack([inputs.calibrated, nothing.astype(bool)]),
        half_spread=np.append(inputs.half_spread, np.full(count, inputs.half_spread.max(initial=0.0))),
        average_value=np.append(inputs.average_value, np.full(count, np.nan)),
        quoted_borrow=(*inputs.quoted_borrow, *(inputs.unlisted_borrow.get(name) for name in extra))
        if inputs.quoted_borrow
        else (),
        risk=RiskModel(
            factors=risk.factors,
            loadings=np.vstack([risk.loadings, np.zeros((count, len(risk.factors)))]),
            factor_covariance=risk.factor_covariance,
            specific_variance=np.append(risk.specific_variance, fallback),
            total_volatility=np.append(risk.total_volatility, np.sqrt(fallback)),
        ),
    )


def _unspent(decision: Decision, bars: int, rules: BookSettings) -> float:
    """Turnover budget a decision left beyond its own share, in sessions of the month's pace; 0 where there is no budget."""
    if rules.turnover_month == 0.0:
        return 0.0
    sizing = decision.sizing
    left = decision.request.turnover - 0.5 * float(np.abs(sizing.target - sizing.base).sum())
    return left * MONTH_SESSIONS / rules.turnover_month - 1.0 / bars


def _impact_volatility(risk: RiskModel) -> Floats:
    """Volatility per session for impact, known for every name."""
    known = risk.total_volatility[np.isfinite(risk.total_volatility)]
    fallback = float(np.median(known)) if known.size else UNKNOWN_VOLATILITY
    return np.where(np.isfinite(risk.total_volatility), risk.total_volatility, fallback)
