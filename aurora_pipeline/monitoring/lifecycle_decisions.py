"""What a person decides: promote, retire, roll back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from aurora_pipeline.monitoring.standings import Model, Zoo, champion_of, crown, move, withdrawn


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
    """Do what a person decided; returns why it could not be done, or None.

    A rollback brings the newest former champion back that was only replaced: one that was retired by a test, a gate or a person
    comes back by a promotion that names it, never by itself. A model that was replaced may be retired, so that no rollback
    brings it back.
    """
    model = known.get(decision.model)
    if model is None or model.name not in zoo.standings:
        return f"no such model then; there were {', '.join(sorted(zoo.standings))}"
    if decision.kind == "retire":
        standing = zoo.standings[model.name]
        if withdrawn(standing.state, standing.reason):
            return "it was retired already"
        move(zoo, model, "retired", session, decision.reason, decision.by)
        return None
    if decision.kind == "promote":
        if zoo.standings[model.name].state == "champion":
            return "it was champion already"
        crown(zoo, model, present, session, decision.reason, decision.by)
        return None
    current = champion_of(zoo, present, model.family)
    former = [name for name in zoo.past_champions.get(model.family, []) if name != current]
    if not former:
        return f"family {model.family} never had another champion"
    standings = {name: zoo.standings[name] for name in former}
    at_hand = [name for name in former if not withdrawn(standings[name].state, standings[name].reason)]
    if not at_hand:
        return nothing_at_hand(model.family, {name: standing.reason for name, standing in standings.items()})
    crown(zoo, known[at_hand[-1]], present, session, f"rollback: {decision.reason}", decision.by)
    return None


def nothing_at_hand(family: str, retired: Mapping[str, str]) -> str:
    """Say why a rollback finds nobody, from the former champions of a family and why each was retired."""
    why = "; ".join(f"{name}: {reason}" for name, reason in retired.items())
    newest = list(retired)[-1]
    return (
        f"every former champion of family {family} was retired, not just replaced ({why}); to trade one all the same, promote it "
        f"by name: `aurora models promote {newest}`"
    )
