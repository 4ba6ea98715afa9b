"""The book: a sequential loop over decision times, from the state of the session before.

At the open: corporate actions, borrow of the shorts held overnight. Then at the end of every bar

1. the orders of the decision before fill in the bar (:mod:`.simulated_broker`),
2. positions are marked, costs paid, the account is written (:mod:`.ledger`),
3. targets and orders for the next bar are decided (:mod:`.decision`).

The orders of a session's last bar are carried in the state and fill in the next session's first bar. At frequency
`session` every bar is a last bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from aurora_pipeline.calendar import Frequency, SessionCalendar
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import BookState, PendingOrder
from aurora_pipeline.execution.corporate_events import CorporateEvent
from aurora_pipeline.execution.decision import decide, session_value
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.session_inputs import Manifest, SessionInputs, prepare_session_inputs
from aurora_pipeline.execution.session_result import SessionRecord, SessionResult
from aurora_pipeline.execution.simulated_broker import execute, fill_costs
from aurora_pipeline.policy.cost_model import borrow_cost
from aurora_pipeline.policy.risk_model import RiskModel
from aurora_pipeline.policy.session_returns import session_returns
from aurora_pipeline.settings import Settings

__all__ = ["BookState", "SessionInputs", "SessionResult", "prepare_session_inputs", "run_book", "run_session"]
UNKNOWN_VOLATILITY = 0.03
"""Volatility per session that impact is charged with where nothing is known: high, so that ignorance is not cheap."""


def run_session(
    state: BookState | None, session: date, inputs: SessionInputs, settings: Settings, book: str = "backtest"
) -> SessionResult:
    """Run a book through one session.

    Parameters
    ----------
    state : BookState or None
        State at the end of the session before; None starts a flat book with `settings.book.nav`.
    session : date
        Session to run.
    inputs : SessionInputs
        Of that session.
    settings : Settings
        Limits and costs.
    book : str
        Name of a book that starts here.

    Raises
    ------
    BookError
        The state is not that of the session before, or the book's NAV is used up.
    LimitBreach
        A target broke a limit.
    """
    opening = state or BookState.flat(book, settings.book.nav)
    _check_sequence(opening, session, inputs)
    inputs = _with_held_names(inputs, opening)
    ledger = Ledger(inputs.instruments, opening.shares, opening.prices, opening.cash)
    pending = opening.pending
    for event in inputs.events:
        ledger.apply(event)
        pending = tuple(_adjusted(order, event) for order in pending)
    short = (ledger.shares < 0.0) & np.isfinite(ledger.price)
    borrow = borrow_cost(float((ledger.shares[short] * ledger.price[short]).sum()), settings.costs)
    known = inputs.risk.total_volatility[np.isfinite(inputs.risk.total_volatility)]
    fallback = float(np.median(known)) if known.size else UNKNOWN_VOLATILITY
    sigma = np.where(np.isfinite(inputs.risk.total_volatility), inputs.risk.total_volatility, fallback)
    record = SessionRecord(opening.book, inputs)
    turnover, nav, peak = opening.turnover.next_session(), opening.nav, opening.peak_nav
    for bar, time in enumerate(inputs.decision_times):
        traded, exempt = _trade_and_account(record, ledger, pending, bar, nav, borrow, sigma, settings)
        turnover = turnover.add(traded - exempt)
        nav, borrow = ledger.nav, 0.0
        if nav <= 0.0:
            raise BookError(f"book {opening.book}, {time}: NAV is {nav:.2f} USD; a book without capital cannot go on")
        peak = max(peak, nav)
        decision = decide(opening.book, ledger, inputs, bar, sigma, peak, opening.sessions, turnover, settings)
        record.add_decision(bar, decision.held, decision.sizing)
        record.add_rejected(decision.rejected)
        pending = decision.orders
    shares, prices = ledger.holdings()
    closing = BookState(
        book=opening.book,
        session=session,
        complete=len(inputs.decision_times) == inputs.bar_count,
        cash=ledger.cash,
        nav=nav,
        peak_nav=peak,
        shares=shares,
        prices=prices,
        sessions=opening.sessions + 1,
        turnover=turnover,
        pending=pending,
    )
    return record.result(closing, opening.nav, opening.turnover)


def run_book(
    state: BookState | None,
    sessions: Sequence[date],
    calendar: SessionCalendar,
    frequency: Frequency,
    manifest: Manifest,
    settings: Settings,
    *,
    bars: pl.DataFrame,
    signals: pl.DataFrame,
    universe: pl.DataFrame,
    residual_returns: pl.DataFrame,
    session_bars: pl.DataFrame,
    daily_bars: pl.DataFrame,
    corporate_actions: pl.DataFrame,
    book: str = "backtest",
) -> Iterator[SessionResult]:
    """Run a book through consecutive sessions, one result at a time.

    Parameters as in :func:`run_session` and :func:`prepare_session_inputs`; `residual_returns` are the lake's rows.
    """
    returns = session_returns(residual_returns)
    bars_of, signals_of, universe_of = (_by_session(frame) for frame in (bars, signals, universe))
    for session in sessions:
        inputs = prepare_session_inputs(
            session,
            calendar,
            frequency,
            manifest,
            settings,
            bars=bars_of.get(session, bars.clear()),
            signals=signals_of.get(session, signals.clear()),
            universe=universe_of.get(session, universe.clear()),
            returns=returns,
            session_bars=session_bars,
            daily_bars=daily_bars,
            corporate_actions=corporate_actions,
        )
        result = run_session(state, session, inputs, settings, book)
        state = result.state
        yield result


def _by_session(frame: pl.DataFrame) -> dict[date, pl.DataFrame]:
    return {key[0]: part for key, part in frame.partition_by("session", as_dict=True).items()}


def _check_sequence(state: BookState, session: date, inputs: SessionInputs) -> None:
    if inputs.session != session:
        raise BookError(f"book {state.book}: inputs are of {inputs.session}, expected {session}")
    if not state.complete:
        raise BookError(
            f"book {state.book}: its state is from within {state.session}; "
            "run that session again from the state before it"
        )
    if state.session is not None and state.session != inputs.previous_session:
        raise BookError(
            f"book {state.book} ends with {state.session}, so it cannot go on with {session}; "
            f"run the sessions from {state.session} to {inputs.previous_session} first"
        )


def _trade_and_account(
    record: SessionRecord,
    ledger: Ledger,
    pending: Sequence[PendingOrder],
    bar: int,
    nav_before: float,
    borrow: float,
    sigma: Floats,
    settings: Settings,
) -> tuple[float, float]:
    """Fill, mark, pay and write the account of one bar; returns turnover and its exempt part."""
    inputs, time = record.inputs, record.inputs.decision_times[bar]
    executed = execute(
        pending, ledger.column, inputs.fill_price[bar], inputs.fill_volume[bar], settings.book.participation
    )
    filled = [item for item in executed if item.shares > 0.0]
    cost = fill_costs(filled, ledger.column, inputs.half_spread, sigma, session_value(inputs, bar), settings)
    ledger.mark(inputs.mark[bar])
    for item in filled:
        ledger.fill(ledger.column[item.order.instrument], item.signed_shares, item.price)
    spread, impact, fee = (float(term.sum()) for term in (cost.spread, cost.impact, cost.fee))
    total = spread + impact + fee + borrow
    ledger.pay(total)
    turnover = sum(item.shares * item.price for item in filled) / 2.0 / nav_before
    exempt = sum(item.exempt_shares * item.price for item in filled) / 2.0 / nav_before
    nav = ledger.nav
    weights = np.where(ledger.shares != 0.0, ledger.shares * ledger.price / nav, 0.0)
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
            "cost": total,
            "spread_cost": spread,
            "impact_cost": impact,
            "fee_cost": fee,
            "borrow_cost": borrow,
        }
    )
    return turnover, exempt


def _adjusted(order: PendingOrder, event: CorporateEvent) -> PendingOrder:
    """An order that waited over a split, in new shares."""
    if event.kind != "split" or order.instrument != event.instrument:
        return order
    return replace(
        order,
        shares=float(np.floor(order.shares * event.value)),
        exempt_shares=float(np.floor(order.exempt_shares * event.value)),
        reference_price=order.reference_price / event.value,
    )


def _with_held_names(inputs: SessionInputs, state: BookState) -> SessionInputs:
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
        symbols=(*inputs.symbols, *extra),
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
        risk=RiskModel(
            factors=risk.factors,
            loadings=np.vstack([risk.loadings, np.zeros((count, len(risk.factors)))]),
            factor_covariance=risk.factor_covariance,
            specific_variance=np.append(risk.specific_variance, fallback),
            total_volatility=np.append(risk.total_volatility, np.sqrt(fallback)),
        ),
    )
