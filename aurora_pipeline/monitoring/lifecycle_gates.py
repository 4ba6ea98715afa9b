"""What gates decide without any test: a model whose scores cannot be used does not trade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from aurora_pipeline.monitoring.standings import SERVING, Model, Standing, Zoo, champion_of, move
from aurora_pipeline.settings import LifecycleSettings


@dataclass(frozen=True)
class Health:
    """Whether a model's scores can be used, from the sessions before an open.

    Attributes
    ----------
    sound, unsound : int
        Length of the unbroken run of sound or unsound sessions that ends with the newest; one of them is 0.
    fault : str or None
        What was wrong with the newest session.
    """

    sound: int
    unsound: int
    fault: str | None


def apply_gates(
    zoo: Zoo,
    present: Sequence[Model],
    session: date,
    health: Mapping[tuple[date, str], Health],
    settings: LifecycleSettings,
) -> None:
    """Move models by how their newest scores looked."""
    for model in present:
        standing, found = zoo.standings[model.name], health.get((session, model.name))
        if found is None:
            continue
        broken = found.unsound >= settings.gate_sessions
        if standing.state in SERVING and broken:
            reason = f"{found.unsound} unsound sessions in a row: {found.fault}"
            move(zoo, model, "retired", session, reason, "gate", by_gate=True)
        elif standing.state == "champion" and found.unsound:
            move(zoo, model, "probation", session, f"unsound session: {found.fault}", "gate", by_gate=True)
        elif standing.state == "probation" and standing.by_gate and found.sound:
            move(zoo, model, "champion", session, "sound again", "gate")
        elif standing.state == "shadow" and broken:
            move(zoo, model, "candidate", session, f"{found.unsound} unsound sessions in a row: {found.fault}", "gate")
        elif standing.state == "candidate" and found.sound >= settings.gate_sessions:
            move(zoo, model, "shadow", session, f"{found.sound} sound sessions in a row", "gate")
        elif standing.state == "retired" and standing.by_gate and found.sound >= settings.recovery_sessions:
            _enter_again(zoo, model, present, session, found.sound)


def _enter_again(zoo: Zoo, model: Model, present: Sequence[Model], session: date, sound: int) -> None:
    """Readmit a model that a gate retired: nothing was shown against its scores, so it takes up a place still vacant."""
    reason = f"{sound} sound sessions in a row after a gate"
    if champion_of(zoo, present, model.family) is None:
        move(zoo, model, "champion", session, reason, "gate")
        return
    zoo.trials += 1
    zoo.standings[model.name] = Standing("candidate", session, reason, "gate", zoo.trials)
