"""How much exposure the book may have: initial ramp, drawdown throttle, volatility target.

Each rule gives a scale of the gross exposure; the smallest binds. Drawdowns are measured in multiples of the volatility
target, so the throttle means the same at any target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.settings import BookSettings


@dataclass(frozen=True)
class RiskBudget:
    """Exposure a decision may reach.

    Attributes
    ----------
    gross : float
        Largest gross exposure, fraction of NAV, at most the utilisation cap.
    binding : str
        What it comes from: ``gross_cap``, ``build_ramp`` or ``drawdown``.
    volatility : float
        Volatility target per session, fraction of NAV.
    """

    gross: float
    binding: str
    volatility: float


def drawdown_scale(nav: float, peak_nav: float, settings: BookSettings) -> float:
    """Share of the exposure a drawdown leaves: 1 down to `drawdown_start`, linear to 0 at `drawdown_flat`.

    A flat book no longer moves its NAV, so it cannot recover by itself: :func:`restarted_peak` is the way back.
    """
    drawdown = max(0.0, 1.0 - nav / peak_nav) if peak_nav > 0.0 else 0.0
    if settings.volatility_target == 0.0:
        return 0.0
    depth = drawdown / settings.volatility_target
    span = settings.drawdown_flat - settings.drawdown_start
    if span <= 0.0:
        return 1.0 if depth < settings.drawdown_flat else 0.0
    return float(np.clip((settings.drawdown_flat - depth) / span, 0.0, 1.0))


def restarted_peak(nav: float, peak_nav: float, flat_sessions: int, settings: BookSettings) -> float:
    """Peak to measure drawdowns from, once a drawdown has kept the book flat for its pause.

    After `drawdown_pause_sessions` sessions without exposure the peak is lowered to where the throttle leaves
    `drawdown_restart` of the exposure. From there the same line holds: exposure grows with NAV, and a further loss of
    that share of the line makes the book flat again, for another pause. A book can therefore lose at most
    ``drawdown_restart * (drawdown_flat - drawdown_start)`` volatility targets per pause.

    Parameters
    ----------
    nav, peak_nav : float
        USD.
    flat_sessions : int
        Sessions in a row at whose end the throttle left nothing.
    settings : BookSettings
        Pause and restart.
    """
    if flat_sessions < settings.drawdown_pause_sessions or settings.volatility_target == 0.0:
        return peak_nav
    span = max(settings.drawdown_flat - settings.drawdown_start, 0.0)
    depth = settings.drawdown_flat - settings.drawdown_restart * span
    if span == 0.0:
        depth = 0.0
    return min(peak_nav, nav / (1.0 - min(depth * settings.volatility_target, 0.99)))


def peak_at_smaller_target(nav: float, peak_nav: float, share: float) -> float:
    """Peak that leaves a drawdown as deep in volatility targets as it was, once the target is `share` of what it was."""
    drawdown = max(0.0, 1.0 - nav / peak_nav) if peak_nav > 0.0 else 0.0
    return nav / (1.0 - share * drawdown) if drawdown > 0.0 else peak_nav


def build_scale(completed_sessions: int, settings: BookSettings) -> float:
    """Share of the exposure the initial build has reached in a session, linear over `build_sessions`."""
    return min(1.0, (completed_sessions + 1) / settings.build_sessions)


def risk_budget(nav: float, peak_nav: float, completed_sessions: int, settings: BookSettings) -> RiskBudget:
    """Combine the rules for one decision.

    Parameters
    ----------
    nav, peak_nav : float
        USD.
    completed_sessions : int
        Sessions the book has behind it.
    settings : BookSettings
        Limits.
    """
    drawdown = drawdown_scale(nav, peak_nav, settings)
    ramp = build_scale(completed_sessions, settings)
    scale = min(drawdown, ramp)
    binding = "gross_cap" if scale == 1.0 else ("drawdown" if drawdown <= ramp else "build_ramp")
    return RiskBudget(
        gross=settings.utilisation_cap * scale,
        binding=binding,
        volatility=settings.volatility_target / float(np.sqrt(SESSIONS_PER_YEAR)),
    )
