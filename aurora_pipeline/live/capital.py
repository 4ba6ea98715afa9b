"""How much of its capital the live book uses in a session: one step of `book.capital_steps`, looked at before each open.

The steps a book took are kept in `<home>/live/capital.json`, oldest first. A book starts at the first. Evidence is what its
ledger shows since the step it stands on (:mod:`aurora_pipeline.policy.capital_schedule`); the first session of a step does not
count against it, since a book that has been stepped down is above its new limits until its bars allow. What would take a book
further down than the first step begins that step anew: counted for good, it would keep the book there for ever.

A share of the capital is a share of every limit that is a fraction of NAV, of the volatility target and of the turnover
budgets. Risk aversion grows as the share falls, so that the book holds the same portfolio, smaller. A book that is stepped down
takes with it how much of its budgets it has spent and how deep it is below its peak, both relative to its new limits
(:func:`stepped_down`); otherwise the same loss would throttle it a second time, and its budgets be spent for weeks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.live.last_settings import last_settings, settings_trouble
from aurora_pipeline.monitoring.book_quality import step_evidence
from aurora_pipeline.policy.capital_schedule import Gate, StepEvidence, gates, next_step, set_back
from aurora_pipeline.policy.risk_budgeting import peak_at_smaller_target
from aurora_pipeline.settings import Settings

STEPS = "live/capital.json"
"""Where a home keeps the steps its book took."""
_SHARES = (
    "utilisation_cap", "name_cap", "sector_cap", "volatility_target", "turnover_day", "turnover_week", "turnover_month",
)  # fmt: skip


@dataclass(frozen=True)
class CapitalStep:
    """Where a book stands.

    Attributes
    ----------
    step : int
        Position in `book.capital_steps`.
    steps : int
        How many there are.
    share : float
        Of the capital, fraction.
    since : date
        First session of the step.
    gates : tuple of Gate
        Those of the next step, with what was found.
    before : int or None
        The step the book stood on before; None on its first.
    """

    step: int
    steps: int
    share: float
    since: date
    gates: tuple[Gate, ...]
    before: int | None = None

    @property
    def text(self) -> str:
        """One line."""
        wanting = "; ".join(f"{gate.name}: {gate.found}, asked {gate.asks}" for gate in self.gates if not gate.passed)
        last = self.step == self.steps - 1
        ahead = "the last" if last else f"in the way of the next: {wanting or 'nothing'}"
        return f"step {self.step + 1} of {self.steps}, {100 * self.share:.0f} % of the capital, since {self.since}; {ahead}"


def capital_step(home: Home, settings: Settings, book: str, session: date) -> CapitalStep:
    """Return the step in force for a session, looked at and kept at the first call.

    Parameters
    ----------
    home : Home
    settings : Settings
        As the home has them, unscaled.
    book : str
        Name of the book.
    session : date
        Session that is about to open.
    """
    moves = _moves(home)
    steps, key = settings.book.capital_steps, session.isoformat()
    standing: dict[str, Any] = next(
        (move for move in reversed(moves) if move["since"] < key), {"step": 0, "since": key}
    )
    step, since = min(standing["step"], len(steps) - 1), date.fromisoformat(standing["since"])
    evidence = _evidence(home, settings_at(settings, steps[step]), book, since, session)
    found = tuple(gates(evidence, settings.book))
    if not moves:
        moves = [standing]
    elif moves[-1]["since"] < key:
        moved = next_step(step, evidence, settings.book)
        if moved != step or set_back(evidence, settings.book):
            moves.append({"step": moved, "since": key})
    at = _place(moves, key)
    atomic_text(_path(home), json.dumps(moves, indent=1) + "\n")
    step, before = min(moves[at]["step"], len(steps) - 1), moves[at - 1]["step"] if at else None
    return CapitalStep(step, len(steps), steps[step], date.fromisoformat(moves[at]["since"]), found, before)


def stepped_down(home: Home, settings: Settings, session: date, state: BookState) -> BookState:
    """State a book opens a session with, where that session is the first of a smaller step; any other is left as it is.

    Parameters
    ----------
    home : Home
        Keeps the steps; that of the session must have been looked at (:func:`capital_step`).
    settings : Settings
        With the steps of that time.
    session : date
        Session that opens.
    state : BookState
        At the end of the session before.
    """
    moves, key = _moves(home), session.isoformat()
    at = _place(moves, key)
    if at == 0 or moves[at]["since"] != key:
        return state
    steps = settings.book.capital_steps
    old, new = (steps[min(move["step"], len(steps) - 1)] for move in moves[at - 1 : at + 1])
    if new >= old:
        return state
    peak = peak_at_smaller_target(state.nav, state.peak_nav, new / old)
    return replace(state, peak_nav=peak, turnover=state.turnover.scaled(new / old))


def settings_in_force(home: Home) -> Settings:
    """Settings with the limits of the live book at the newest step it was given; as the home has them before its first.

    Where the home's file cannot be used, those of the newest session's opening, which are at the step it had.
    """
    if settings_trouble(home):
        return last_settings(home)
    settings, moves = home.settings(), _moves(home)
    steps = settings.book.capital_steps
    return settings_at(settings, steps[min(moves[-1]["step"], len(steps) - 1)]) if moves else settings


def step_downs(home: Home) -> list[tuple[date, float]]:
    """First session of each smaller step the live book was given, and its share of the step before."""
    steps, moves = last_settings(home).book.capital_steps, _moves(home)
    shares = [(date.fromisoformat(move["since"]), steps[min(move["step"], len(steps) - 1)]) for move in moves]
    return [(since, new / old) for (_, old), (since, new) in pairwise(shares) if new < old]


def _path(home: Home) -> Path:
    return home.path / STEPS


def _moves(home: Home) -> list[dict[str, Any]]:
    """Steps the book took, oldest first: `step` and `since`."""
    path = _path(home)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _place(moves: Sequence[Mapping[str, Any]], key: str) -> int:
    """Position of the step in force in a session."""
    return max((place for place, move in enumerate(moves) if move["since"] <= key), default=0)


def _evidence(home: Home, settings: Settings, book: str, since: date, session: date) -> StepEvidence:
    """What the ledger shows from the first session of a step to the open of a session."""
    before = pl.col("session") < session
    portfolio = home.lake.read("portfolio", since, None, book=book).filter(before)
    events = home.lake.read("events", since, None, book=book).filter(before, pl.col("session") > since)
    fills = home.lake.read("fills", since, None, book=book).filter(before)
    return step_evidence(portfolio, events, fills, settings.book)


def settings_at(settings: Settings, share: float) -> Settings:
    """Settings of a book that uses a share of its capital."""
    if share == 1.0:
        return settings
    book = settings.book
    scaled: dict[str, float] = {name: share * getattr(book, name) for name in _SHARES}
    scaled["risk_aversion"] = book.risk_aversion / share
    return settings.model_copy(update={"book": book.model_copy(update=scaled)})
