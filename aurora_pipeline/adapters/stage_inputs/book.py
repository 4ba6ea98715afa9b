"""What a book's sessions are decided from, read from the lake: the next block of sessions while the book works on this one.

Nothing of it depends on what the book decides, so a process of its own prepares it ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.zoo import tradable_universe
from aurora_pipeline.adapters.worker_processes import worker_pool
from aurora_pipeline.execution.session_inputs import SessionInputs, prepare_session_inputs
from aurora_pipeline.lookback import RISK_LOOKBACK, VALUE_LOOKBACK
from aurora_pipeline.policy.holding_period import WINDOW_SESSIONS, closing_scores
from aurora_pipeline.policy.session_returns import session_returns
from aurora_pipeline.settings import Settings

WORTH_A_PROCESS = 3
"""Blocks for which starting a process pays."""
AHEAD = 2
"""Blocks that are prepared or wait."""
_SCORE_COLUMNS = ("session", "symbol", "decision_time", "score")


@dataclass(frozen=True)
class BookReader:
    """Reads the inputs of a book's sessions.

    Attributes
    ----------
    home : pathlib.Path or Home
        Where the tables are; a path, so that another process can open it, or a home that is open already.
    settings : Settings
        Horizon and cost bounds.
    axis : tuple of date
        Every session of the market.
    scored_from : date
        First session with signals.
    """

    home: Path | Home
    settings: Settings
    axis: tuple[date, ...]
    scored_from: date

    def before(self, session: date, count: int) -> date:
        """Return the session `count` sessions before, or the market's first."""
        return self.axis[max(0, self.axis.index(session) - count)]

    def __call__(self, sessions: Sequence[date]) -> list[SessionInputs]:
        """Read and lay out the inputs of a block of sessions, each as known before it."""
        home = self.home if isinstance(self.home, Home) else Home(self.home)
        lake, calendar = home.lake, home.calendar
        first, last = sessions[0], sessions[-1]
        bars, signals, universe, states = (
            lake.read(name, first, last) for name in ("bars", "signals", "universe", "model_states")
        )
        universe = tradable_universe(universe, states)
        returns = session_returns(lake.read("residual_returns", self.before(first, RISK_LOOKBACK), last))
        session_bars = lake.read("session_bars", self.before(first, VALUE_LOOKBACK), last)
        valued = pl.col("session").is_between(calendar.shift(first, -VALUE_LOOKBACK), last)
        daily_bars = lake.read("daily_bars").filter(valued)
        actions, borrow = lake.read("corporate_actions"), lake.read("borrow")
        scores_from = max(self.before(first, WINDOW_SESSIONS), self.scored_from)
        scores = closing_scores(lake.read("signals", scores_from, last, _SCORE_COLUMNS))
        manifest = home.folder().manifest
        return [
            prepare_session_inputs(
                session,
                calendar,
                home.frequency,
                manifest,
                self.settings,
                bars=bars.filter(pl.col("session") == session),
                signals=signals.filter(pl.col("session") == session),
                universe=universe.filter(pl.col("session") == session),
                returns=returns,
                session_bars=session_bars,
                daily_bars=daily_bars,
                corporate_actions=actions,
                scores=scores,
                borrow=borrow,
            )
            for session in sessions
        ]


def read_ahead(
    home: Home, settings: Settings, axis: Sequence[date], scored_from: date, blocks: Sequence[Sequence[date]]
) -> Generator[list[SessionInputs], None, None]:
    """Inputs of each block in turn; of many blocks a process prepares the next ones meanwhile.

    Parameters
    ----------
    home : Home
        Where the tables are, all there; a home on shared stores is read in this process.
    settings : Settings
        Horizon and cost bounds.
    axis : sequence of date
        Every session of the market.
    scored_from : date
        First session with signals.
    blocks : sequence of sequence of date
        Sessions, each block at least one.
    """
    reader = BookReader(home, settings, tuple(axis), scored_from)
    if len(blocks) < WORTH_A_PROCESS or home.shared is not None:
        yield from map(reader, blocks)
        return
    elsewhere = BookReader(home.path, settings, tuple(axis), scored_from)
    with worker_pool(1) as pool:
        waiting = deque(pool.submit(elsewhere, list(block)) for block in blocks[:AHEAD])
        for block in [*blocks[AHEAD:], *[None] * AHEAD]:
            inputs = waiting.popleft().result()
            if block is not None:
                waiting.append(pool.submit(elsewhere, list(block)))
            yield inputs
