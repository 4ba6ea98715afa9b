"""What a person decides: promote, retire, roll back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from aurora_pipeline.monitoring.standings import Model, Zoo, champion_of, crown, move


@dataclass(frozen=True)
class LifecycleDecision:
    """What a person decided.

    Attributes
    ----------
    session : date
        Session from whose open on it holds.
    kind : {"promote", "retire", "rollback"}
        What to do.
    model : str
        Model to promote or retire; for a rollback any model of the family.
    by : str
        Who.
    reason : str
        Why.
    """

    session: date
    kind: Literal["promote", "retire", "rollback"]
    model: str
    by: str
    reason: str


def carry_out(
    zoo: Zoo, known: Mapping[str, Model], present: Sequence[Model], session: date, decision: LifecycleDecision
) -> str | None:
    """Do what a person decided; returns why it could not be done, or None."""
    model = known.get(decision.model)
    if model is None or model.name not in zoo.standings:
        return f"no such model then; there were {', '.join(sorted(zoo.standings))}"
    if decision.kind == "retire":
        if zoo.standings[model.name].state == "retired":
            return "it was retired already"
        move(zoo, model, "retired", session, decision.reason, decision.by)
        return None
    if decision.kind == "promote":
        if zoo.standings[model.name].state == "champion":
            return "it was champion already"
        crown(zoo, model, present, session, decision.reason, decision.by)
        return None
    current = champion_of(zoo, present, model.family)
    earlier = [name for name in zoo.past_champions.get(model.family, []) if name != current]
    if not earlier:
        return f"family {model.family} never had another champion"
    crown(zoo, known[earlier[-1]], present, session, f"rollback: {decision.reason}", decision.by)
    return None
