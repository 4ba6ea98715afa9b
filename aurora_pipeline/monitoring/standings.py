"""Where every model stands: the states, the zoo, and the moves between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

State = Literal["candidate", "shadow", "champion", "probation", "retired"]
SERVING: tuple[State, ...] = ("champion", "probation")
_REPLACED = "replaced by "


@dataclass(frozen=True)
class Model:
    """One configuration of one family; its refits are the same model.

    Attributes
    ----------
    name : str
        Name its scores are stored under: the family's for the configuration in the settings, `family~label` for a challenger.
    family : str
        Model family.
    first_session : date
        First session it has scores for.
    founding : bool
        Champion from the start.
    """

    name: str
    family: str
    first_session: date
    founding: bool


@dataclass
class Standing:
    """State of one model: since when, why, by whom, and as which challenger."""

    state: State
    since: date
    reason: str
    by: str
    trial: int
    by_gate: bool = False


@dataclass
class Zoo:
    """All models, how many challengers were ever admitted, and the champions each family had."""

    standings: dict[str, Standing] = field(default_factory=dict)
    trials: int = 0
    past_champions: dict[str, list[str]] = field(default_factory=dict)


def admit(zoo: Zoo, present: Sequence[Model], session: date) -> None:
    """Give every new model a place: the first of its family trades, any other is a candidate."""
    for model in present:
        if model.name in zoo.standings:
            continue
        if model.founding and not champion_of(zoo, present, model.family):
            zoo.standings[model.name] = Standing("champion", session, "first of its family", "founding", 0)
            zoo.past_champions.setdefault(model.family, []).append(model.name)
        else:
            zoo.trials += 1
            zoo.standings[model.name] = Standing("candidate", session, "new configuration", "gate", zoo.trials)


def crown(zoo: Zoo, model: Model, present: Sequence[Model], session: date, reason: str, by: str) -> None:
    """Make a model the champion of its family; who was it retires."""
    champion = champion_of(zoo, present, model.family)
    if champion is not None and champion != model.name:
        replaced = next(other for other in present if other.name == champion)
        move(zoo, replaced, "retired", session, f"{_REPLACED}{model.name}: {reason}", by)
    move(zoo, model, "champion", session, reason, by)
    zoo.past_champions.setdefault(model.family, []).append(model.name)


def move(zoo: Zoo, model: Model, state: State, session: date, reason: str, by: str, *, by_gate: bool = False) -> None:
    """Put a model into a state; its trial number stays."""
    trial = zoo.standings[model.name].trial
    zoo.standings[model.name] = Standing(state, session, reason, by, trial, by_gate)


def champion_of(zoo: Zoo, present: Sequence[Model], family: str) -> str | None:
    """Name of the model that trades a family; None while there is none."""
    for model in present:
        standing = zoo.standings.get(model.name)
        if model.family == family and standing is not None and standing.state in SERVING:
            return model.name
    return None


def withdrawn(state: str, reason: str) -> bool:
    """Whether a model in a state, entered for a reason, was retired for its own sake and not because another took its place."""
    return state == "retired" and not reason.startswith(_REPLACED)
