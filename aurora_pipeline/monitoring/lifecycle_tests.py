"""What the tests decide: evidence retires a champion, and promotes the challenger with most of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from aurora_pipeline.monitoring.model_evidence import Measured
from aurora_pipeline.monitoring.standings import SERVING, Model, Zoo, champion_of, crown, move
from aurora_pipeline.settings import LifecycleSettings


class Evidence(Protocol):
    """What the tests say; see :class:`~aurora_pipeline.monitoring.model_evidence.Evidence`."""

    def measured(self, model: str, moment: datetime) -> Measured:
        """Evidence on one model."""

    def gain(self, challenger: str, champion: str, moment: datetime) -> float | None:
        """Evidence of one model against another."""


def promotion_threshold(trial: int, settings: LifecycleSettings) -> float | None:
    """Evidence the i-th challenger needs; None for a founding model, which is not tested for entry."""
    if trial == 0:
        return None
    return math.log(trial * (trial + 1) / settings.promotion_rate)


def review_champions(
    zoo: Zoo,
    present: Sequence[Model],
    session: date,
    measured: Mapping[str, Measured],
    settings: LifecycleSettings,
) -> None:
    """Retire a champion, or put it on probation and back, by the evidence that its IC is too low."""
    limit, warning = math.log(1.0 / settings.retirement_rate), math.log(1.0 / settings.warning_rate)
    for model in present:
        standing, found = zoo.standings[model.name], measured[model.name]
        if standing.state not in SERVING or found.keep is None or found.sessions < settings.minimum_sessions:
            continue
        says = f"evidence {found.keep:.2f} that the IC is below {settings.worthwhile_ic:g}"
        if found.keep >= limit and not settings.approval:
            move(zoo, model, "retired", session, f"{says} (limit {limit:.2f})", "test")
        elif found.keep >= limit:
            if standing.by != "proposal":
                move(zoo, model, "probation", session, f"retirement awaits approval: {says}", "proposal")
        elif standing.state == "champion" and found.keep >= warning:
            move(zoo, model, "probation", session, f"{says} (warning {warning:.2f})", "test")
        elif standing.state == "probation" and not standing.by_gate and found.keep < warning / 2:
            move(zoo, model, "champion", session, f"{says}: under half the warning", "test")


def gains_over_champions(
    zoo: Zoo, present: Sequence[Model], moment: datetime, evidence: Evidence
) -> dict[str, float | None]:
    """Evidence of each model that does not trade against its family's champion."""
    gains = {}
    for model in present:
        champion = champion_of(zoo, present, model.family)
        if champion is not None and champion != model.name:
            gains[model.name] = evidence.gain(model.name, champion, moment)
    return gains


def promote_best(
    zoo: Zoo,
    present: Sequence[Model],
    session: date,
    measured: Mapping[str, Measured],
    gains: Mapping[str, float | None],
    settings: LifecycleSettings,
) -> None:
    """Promote, in each family, the challenger with the most evidence beyond its threshold; one at a time."""
    passed: dict[str, list[tuple[float, float, str]]] = {}
    by_name = {model.name: model for model in present}
    for model in present:
        standing, found = zoo.standings[model.name], measured[model.name]
        threshold = promotion_threshold(standing.trial, settings)
        if standing.state != "shadow" or threshold is None or found.sessions < settings.minimum_sessions:
            continue
        against_champion = champion_of(zoo, present, model.family) is not None
        shown = gains.get(model.name) if against_champion else found.skill
        if shown is not None and shown >= threshold and (found.ic or 0.0) > 0.0:
            margin = round(shown - threshold, 9)
            passed.setdefault(model.family, []).append((margin, found.ic or 0.0, model.name))
    for family, candidates in passed.items():
        # Ties go to the higher IC, then to the first name.
        best = sorted(candidates, key=lambda entry: (-entry[0], -entry[1], entry[2]))[0][2]
        champion = champion_of(zoo, present, family)
        shown = gains[best] if champion else measured[best].skill
        limit = promotion_threshold(zoo.standings[best].trial, settings)
        says = (
            f"evidence {shown:.2f} of {'a gain over ' + champion if champion else 'an IC above 0'} (limit {limit:.2f})"
        )
        if settings.approval:
            if zoo.standings[best].by != "proposal":
                move(zoo, by_name[best], "shadow", session, f"promotion awaits approval: {says}", "proposal")
        else:
            crown(zoo, by_name[best], present, session, says, "test")
