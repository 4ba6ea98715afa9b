"""The book: a sequential loop over decision times, from the state of the session before.

At the open: corporate actions, borrow of the shorts held overnight. Then at the end of every bar
(:mod:`.running_session`)

1. the orders of the decision before fill in the bar (:mod:`.simulated_broker`),
2. positions are marked, costs paid, the account is written (:mod:`.ledger`) and compared with the broker's
   (:mod:`.reconciliation`),
3. targets and orders for the next bar are decided (:mod:`.decision`) and sent (:mod:`.broker`).

The orders of a session's last bar are carried in the state and fill in the next session's first bar. At frequency
`session` every bar is a last bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl

from aurora_pipeline.calendar import Frequency, SessionCalendar
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.execution.kill_switch import AlwaysOn, KillSwitch
from aurora_pipeline.execution.running_session import MarketBroker, RunningSession, with_held_names
from aurora_pipeline.execution.session_inputs import Manifest, SessionInputs, prepare_session_inputs
from aurora_pipeline.execution.session_result import SessionResult
from aurora_pipeline.policy.session_returns import session_returns
from aurora_pipeline.settings import Settings

__all__ = ["BookState", "SessionInputs", "SessionResult", "prepare_session_inputs", "run_book", "run_session"]


def run_session(
    state: BookState | None,
    session: date,
    inputs: SessionInputs,
    settings: Settings,
    book: str = "backtest",
    *,
    broker: MarketBroker | None = None,
    switch: KillSwitch | None = None,
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
    broker : MarketBroker, optional
        Holds what the state holds; a simulated one if left out.
    switch : KillSwitch, optional
        Asked before every order; always on if left out, as for a backtest.

    Raises
    ------
    BookError
        The state is not that of the session before, or the book's NAV is used up.
    LimitBreach
        A target broke a limit.
    """
    opening = state or BookState.flat(book, settings.book.nav)
    _check_sequence(opening, session, inputs)
    inputs = with_held_names(inputs, opening)
    running = RunningSession(opening, inputs, settings, broker, switch or AlwaysOn())
    for bar in range(len(inputs.decision_times)):
        running.step(bar)
    return running.close(session)


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
    scores: pl.DataFrame | None = None,
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
            scores=scores,
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
