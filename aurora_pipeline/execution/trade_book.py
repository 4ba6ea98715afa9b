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

from datetime import date

from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.execution.kill_switch import AlwaysOn, KillSwitch
from aurora_pipeline.execution.running_session import MarketBroker, RunningSession, with_held_names
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.execution.session_result import SessionResult
from aurora_pipeline.settings import Settings


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
