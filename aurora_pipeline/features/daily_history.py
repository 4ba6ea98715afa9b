"""Daily history of each group of sessions with its betas, residual returns and scales: made once and shared by all views."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.features.betas import Betas, estimate_betas
from aurora_pipeline.features.defined import logarithm
from aurora_pipeline.features.inputs import ResidualInputs
from aurora_pipeline.features.rolling import rolling_mean
from aurora_pipeline.features.rolling_moments import rolling_std
from aurora_pipeline.features.session_panel import SessionPanel, session_panels
from aurora_pipeline.features.windows import Panel


@dataclass(frozen=True)
class DailyHistory:
    """What the decisions of some consecutive sessions know about the sessions before them.

    Attributes
    ----------
    sessions : list of date
        Sessions of the decisions; row `first + k` of the panel is the newest complete session of the k-th.
    panel : SessionPanel
        Daily bars and returns.
    betas : Betas
        Exposures and residual returns; see :func:`~aurora_pipeline.features.betas.estimate_betas` for how far back.
    first : int
        Panel row.
    frequency : str
        Decision frequency.
    """

    sessions: list[date]
    panel: SessionPanel
    betas: Betas
    first: int
    frequency: Frequency

    @cached_property
    def volatility(self) -> Panel:
        """Standard deviation of 20 daily total returns, fraction; shape (sessions, instruments), like all below."""
        values: Panel = rolling_std(self.panel.total_return, 20, 10, self.first)
        return values

    @cached_property
    def residual_volatility(self) -> Panel:
        """Standard deviation of 20 daily residual returns, fraction."""
        values: Panel = rolling_std(self.betas.residual, 20, 10, self.first)
        return values

    @cached_property
    def volume_level(self) -> Panel:
        """Mean log dollar volume that a session's bars are compared with.

        At 5min it is the feed's over 20 sessions plus what the market's bars usually hold of it, since bars may cover only
        some venues. At `session` a bar is the feed's and the level ends a session before it.
        """
        volume = logarithm(self.panel.dollar_volume)
        if self.frequency == "session":
            before: Panel = rolling_mean(volume, 20, 10, max(self.first - 1, 0))
            lead = np.full((len(self.sessions) + 1 - before.shape[0], volume.shape[1]), np.nan)
            return np.concatenate([lead, before])[:-1]
        coverage: Panel = rolling_mean(logarithm(self.panel.bar_dollar_volume) - volume, 20, 1, self.first)
        level: Panel = rolling_mean(volume, 20, 10, self.first)
        return np.where(np.isnan(coverage), level, level + coverage)


def daily_histories(inputs: ResidualInputs) -> list[DailyHistory]:
    """Attach betas to the groups of :func:`~aurora_pipeline.features.session_panel.session_panels`, once."""
    return inputs.once("daily_histories", lambda: [_history(inputs, *group) for group in session_panels(inputs)])


def _history(inputs: ResidualInputs, sessions: list[date], panel: SessionPanel) -> DailyHistory:
    first = panel.row(inputs.newest_session(sessions[0]))
    return DailyHistory(sessions, panel, estimate_betas(panel, inputs, first), first, inputs.frequency)
