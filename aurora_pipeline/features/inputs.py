"""What the feature stages are handed: sessions to compute, and frames that cover them and their look-back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.calendar import Frequency, SessionCalendar
from aurora_pipeline.market.action_versions import with_superseded
from aurora_pipeline.market.manifest import MarketManifest
from aurora_pipeline.settings import Settings

Derived = TypeVar("Derived")


@dataclass(frozen=True)
class ResidualInputs:
    """Inputs of residual returns.

    Attributes
    ----------
    sessions : sequence of date
        Sessions to compute, in time order.
    calendar : SessionCalendar
        Of the market.
    frequency : {"5min", "session"}
        Decision frequency.
    manifest : MarketManifest
        How prices are adjusted, and what must not be used.
    settings : Settings
        Sections `features` and `quality`, and `threads`.
    bars, session_bars, universe : polars.DataFrame
        Lake tables over the sessions and the look-back before them, versions included.
    daily_bars, corporate_actions : polars.DataFrame
        Feeds, as long as they go back.
    """

    sessions: Sequence[date]
    calendar: SessionCalendar
    frequency: Frequency
    manifest: MarketManifest
    settings: Settings
    bars: pl.DataFrame
    session_bars: pl.DataFrame
    universe: pl.DataFrame
    daily_bars: pl.DataFrame
    corporate_actions: pl.DataFrame
    laid_out: dict[str, Any] = field(init=False, default_factory=dict, repr=False, compare=False)
    """What was already derived from these frames, by name: dense arrays and betas that all views share. Never copied."""
    guards: dict[str, Lock] = field(init=False, default_factory=dict, repr=False, compare=False)
    """Held while something is derived."""

    def once(self, name: str, derive: Callable[[], Derived]) -> Derived:
        """Derive something from these inputs the first time it is asked for, and hand out the same object from then on.

        Views in other threads that ask for it meanwhile wait for it.
        """
        with self.guards.setdefault(name, Lock()):
            if name not in self.laid_out:
                self.laid_out[name] = derive()
        derived: Derived = self.laid_out[name]
        return derived

    def action_versions(self) -> pl.DataFrame:
        """Corporate actions with the moment from which each row no longer counts, found once."""
        return self.once("action_versions", lambda: with_superseded(self.corporate_actions))

    def session_cutoff(self, session: date) -> datetime:
        """Moment up to which session-level facts count for decisions of a session: its open, or its close at `session`."""
        return self.calendar.open(session) if self.frequency == "5min" else self.calendar.close(session)

    def session_cutoffs(self, sessions: Sequence[date]) -> NDArray[np.int64]:
        """Cutoffs of some sessions, microseconds since 1970."""
        calendar = self.calendar
        moments = calendar.open_moments if self.frequency == "5min" else calendar.close_moments
        return moments[calendar.places(sessions)]

    def newest_session(self, session: date) -> date:
        """Newest complete session a decision of `session` can look at."""
        return self.calendar.shift(session, -1) if self.frequency == "5min" else session


@dataclass(frozen=True)
class FeatureInputs(ResidualInputs):
    """Inputs of the feature views.

    Attributes
    ----------
    until : datetime or None
        Newest decision time wanted, for a session that is still going on; None for whole sessions.
    residual_returns : polars.DataFrame
        Lake table over the sessions and the bar look-back.
    earnings, fundamentals, short_interest, etf_flows, options : polars.DataFrame
        Feeds, as long as they go back.
    """

    until: datetime | None
    residual_returns: pl.DataFrame
    earnings: pl.DataFrame
    fundamentals: pl.DataFrame
    short_interest: pl.DataFrame
    etf_flows: pl.DataFrame
    options: pl.DataFrame

    @classmethod
    def following(cls, residual: ResidualInputs, **own: Any) -> FeatureInputs:
        """Inputs of the views of the sessions whose residual returns were just computed.

        Parameters
        ----------
        residual : ResidualInputs
            Theirs: the frames are the same, and what was derived from them is not derived again.
        **own
            The members that only the views have.
        """
        shared = {member.name: getattr(residual, member.name) for member in fields(residual) if member.init}
        inputs = cls(**shared, **own)
        inputs.laid_out.update(residual.laid_out)
        return inputs

    def with_frames(self, **changes: Any) -> FeatureInputs:
        """Return a copy with some members replaced."""
        return replace(self, **changes)
