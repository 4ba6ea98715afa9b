"""Which models trade: candidate -> shadow -> champion -> probation -> retired.

::

    candidate --sound for gate_sessions--> shadow --evidence of a gain--> champion <--hysteresis--> probation
         ^                                                                    |                        |
         +---- sound again for recovery_sessions ---- retired <--- evidence, gates, a person ----------+

A champion and a model on probation trade; a family has at most one of them. Every test may be looked at after every session
(:mod:`~aurora_pipeline.monitoring.sequential_tests`). A founding model, the first of its family, is champion from the start,
since somebody has to trade before anything is known. A refit of an unchanged configuration is the same model.

- *Promotion*: the challenger beats its family's champion (without one: zero) at a rate the whole zoo shares. The i-th
  challenger ever admitted gets ``promotion_rate / (i (i + 1))``; these add up to `promotion_rate` however many come.
- *Retirement*: evidence that the IC is below `worthwhile_ic`, at `retirement_rate` per year of service.
- *Gates*: too few scores, constant scores, or features that went missing retire a model without any test.
- *A person* may promote, retire or roll back; that is done last and wins. With `approval` on, tests only propose.

The states of a session follow from the evidence before its open and from nothing else, so a replay gives the same history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.model_evidence import Measured
from aurora_pipeline.settings import LifecycleSettings

State = Literal["candidate", "shadow", "champion", "probation", "retired"]
SERVING: tuple[State, ...] = ("champion", "probation")
NO_TEST = math.inf


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


@dataclass(frozen=True)
class Decision:
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


class Evidence(Protocol):
    """What the tests say; see :class:`~aurora_pipeline.monitoring.model_evidence.Evidence`."""

    def measured(self, model: str, moment: datetime) -> Measured:
        """Evidence on one model."""

    def gain(self, challenger: str, champion: str, moment: datetime) -> float | None:
        """Evidence of one model against another."""


@dataclass
class _Standing:
    state: State
    since: date
    reason: str
    by: str
    trial: int
    by_gate: bool = False


@dataclass
class _Zoo:
    standings: dict[str, _Standing] = field(default_factory=dict)
    trials: int = 0
    past_champions: dict[str, list[str]] = field(default_factory=dict)


def model_states(
    sessions: Sequence[date],
    opens: Mapping[date, datetime],
    models: Sequence[Model],
    evidence: Evidence,
    health: Mapping[tuple[date, str], Health],
    decisions: Sequence[Decision],
    settings: LifecycleSettings,
) -> tuple[pl.DataFrame, list[str]]:
    """States in force during each session, from the first scored session on.

    Parameters
    ----------
    sessions : sequence of date
        All sessions from the first scored one, in time order: states follow from the states before.
    opens : mapping of date to datetime
        Opening moment of each.
    models : sequence of Model
        The zoo.
    evidence : Evidence
        Tests on matured ICs.
    health : mapping of (date, str) to Health
        By session and model, from the sessions before; absent means that nothing is known yet.
    decisions : sequence of Decision
        What persons decided, in the order they did.
    settings : LifecycleSettings
        Rates, gates, approval.

    Returns
    -------
    states : polars.DataFrame
        Table `model_states`.
    ignored : list of str
        Decisions that could not be carried out, each with the reason.
    """
    zoo, rows, ignored = _Zoo(), [], []
    known = {model.name: model for model in sorted(models, key=lambda model: (model.first_session, model.name))}
    for session in sessions:
        moment = opens[session]
        present = [model for model in known.values() if model.first_session <= session]
        _admit(zoo, present, session)
        measured = {model.name: evidence.measured(model.name, moment) for model in present}
        _apply_gates(zoo, present, session, health, settings)
        _review_champions(zoo, present, session, measured, settings)
        gains = _gains(zoo, present, moment, evidence)
        _promote_best(zoo, present, session, measured, gains, settings)
        for decision in [decision for decision in decisions if decision.session == session]:
            refused = _carry_out(zoo, known, present, session, decision)
            ignored += [f"{decision.kind} {decision.model} from {session}: {refused}"] if refused else []
        for model in present:
            standing, found = zoo.standings[model.name], measured[model.name]
            rows.append(
                {
                    "session": session,
                    "model": model.name,
                    "family": model.family,
                    "state": standing.state,
                    "serves": standing.state in SERVING,
                    "since": standing.since,
                    "reason": standing.reason,
                    "decided_by": standing.by,
                    "trial": standing.trial,
                    "matured_sessions": found.sessions,
                    "information_coefficient": found.ic,
                    "skill_evidence": found.skill,
                    "retirement_evidence": found.keep,
                    "retirement_threshold": math.log(1.0 / settings.retirement_rate),
                    "gain_evidence": gains.get(model.name),
                    "promotion_threshold": promotion_threshold(standing.trial, settings),
                    "evidence_through": found.through,
                }
            )
    schema = empty("model_states").schema
    return pl.DataFrame(rows, schema=schema, orient="row"), ignored


def promotion_threshold(trial: int, settings: LifecycleSettings) -> float | None:
    """Evidence the i-th challenger needs; None for a founding model, which is not tested for entry."""
    if trial == 0:
        return None
    return math.log(trial * (trial + 1) / settings.promotion_rate)


def serving(states: pl.DataFrame) -> dict[date, dict[str, str]]:
    """Family to the model that trades it, for each session in a `model_states` frame."""
    champions: dict[date, dict[str, str]] = {day: {} for day in states.get_column("session").unique().sort()}
    for day, family, model in states.filter("serves").select("session", "family", "model").iter_rows():
        champions[day][family] = model
    return champions


def state_violations(states: pl.DataFrame, opens: Mapping[date, datetime]) -> pl.DataFrame:
    """Rows of `model_states` that share a family's place, or rest on evidence their session could not have had.

    Parameters
    ----------
    states : polars.DataFrame
        Table `model_states`.
    opens : mapping of date to datetime
        Opening moment of each session in it.
    """
    moments = pl.DataFrame(
        {"session": list(opens), "_opens": list(opens.values())}, schema_overrides={"_opens": TIMESTAMP}
    )
    together = pl.col("serves").sum().over("session", "family") > 1
    beside = states.join(moments, on="session", how="left", maintain_order="left")
    return beside.filter((pl.col("serves") & together) | (pl.col("evidence_through") >= pl.col("_opens"))).drop(
        "_opens"
    )


def _admit(zoo: _Zoo, present: Sequence[Model], session: date) -> None:
    for model in present:
        if model.name in zoo.standings:
            continue
        if model.founding and not _champion(zoo, present, model.family):
            zoo.standings[model.name] = _Standing("champion", session, "first of its family", "founding", 0)
            zoo.past_champions.setdefault(model.family, []).append(model.name)
        else:
            zoo.trials += 1
            zoo.standings[model.name] = _Standing("candidate", session, "new configuration", "gate", zoo.trials)


def _apply_gates(
    zoo: _Zoo,
    present: Sequence[Model],
    session: date,
    health: Mapping[tuple[date, str], Health],
    settings: LifecycleSettings,
) -> None:
    for model in present:
        standing, found = zoo.standings[model.name], health.get((session, model.name))
        if found is None:
            continue
        broken = found.unsound >= settings.gate_sessions
        if standing.state in SERVING and broken:
            reason = f"{found.unsound} unsound sessions in a row: {found.fault}"
            _move(zoo, model, "retired", session, reason, "gate", by_gate=True)
        elif standing.state == "champion" and found.unsound:
            _move(zoo, model, "probation", session, f"unsound session: {found.fault}", "gate", by_gate=True)
        elif standing.state == "probation" and standing.by_gate and found.sound:
            _move(zoo, model, "champion", session, "sound again", "gate")
        elif standing.state == "shadow" and broken:
            _move(zoo, model, "candidate", session, f"{found.unsound} unsound sessions in a row: {found.fault}", "gate")
        elif standing.state == "candidate" and found.sound >= settings.gate_sessions:
            _move(zoo, model, "shadow", session, f"{found.sound} sound sessions in a row", "gate")
        elif standing.state == "retired" and standing.by_gate and found.sound >= settings.recovery_sessions:
            _enter_again(zoo, model, present, session, found.sound)


def _enter_again(zoo: _Zoo, model: Model, present: Sequence[Model], session: date, sound: int) -> None:
    """Readmit a model that a gate retired: nothing was shown against its scores, so it takes up a place still vacant."""
    reason = f"{sound} sound sessions in a row after a gate"
    if _champion(zoo, present, model.family) is None:
        _move(zoo, model, "champion", session, reason, "gate")
        return
    zoo.trials += 1
    zoo.standings[model.name] = _Standing("candidate", session, reason, "gate", zoo.trials)


def _review_champions(
    zoo: _Zoo,
    present: Sequence[Model],
    session: date,
    measured: Mapping[str, Measured],
    settings: LifecycleSettings,
) -> None:
    limit, warning = math.log(1.0 / settings.retirement_rate), math.log(1.0 / settings.warning_rate)
    for model in present:
        standing, found = zoo.standings[model.name], measured[model.name]
        if standing.state not in SERVING or found.keep is None or found.sessions < settings.minimum_sessions:
            continue
        says = f"evidence {found.keep:.2f} that the IC is below {settings.worthwhile_ic:g}"
        if found.keep >= limit and not settings.approval:
            _move(zoo, model, "retired", session, f"{says} (limit {limit:.2f})", "test")
        elif found.keep >= limit:
            if standing.by != "proposal":
                _move(zoo, model, "probation", session, f"retirement awaits approval: {says}", "proposal")
        elif standing.state == "champion" and found.keep >= warning:
            _move(zoo, model, "probation", session, f"{says} (warning {warning:.2f})", "test")
        elif standing.state == "probation" and not standing.by_gate and found.keep < warning / 2:
            _move(zoo, model, "champion", session, f"{says}: under half the warning", "test")


def _gains(zoo: _Zoo, present: Sequence[Model], moment: datetime, evidence: Evidence) -> dict[str, float | None]:
    """Evidence of each model that does not trade against its family's champion."""
    gains = {}
    for model in present:
        champion = _champion(zoo, present, model.family)
        if champion is not None and champion != model.name:
            gains[model.name] = evidence.gain(model.name, champion, moment)
    return gains


def _promote_best(
    zoo: _Zoo,
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
        against_champion = _champion(zoo, present, model.family) is not None
        shown = gains.get(model.name) if against_champion else found.skill
        if shown is not None and shown >= threshold and (found.ic or 0.0) > 0.0:
            margin = round(shown - threshold, 9)
            passed.setdefault(model.family, []).append((margin, found.ic or 0.0, model.name))
    for family, candidates in passed.items():
        # Ties go to the higher IC, then to the first name.
        best = sorted(candidates, key=lambda entry: (-entry[0], -entry[1], entry[2]))[0][2]
        champion = _champion(zoo, present, family)
        shown = gains[best] if champion else measured[best].skill
        says = f"evidence {shown:.2f} of {'a gain over ' + champion if champion else 'an IC above 0'}"
        if settings.approval:
            if zoo.standings[best].by != "proposal":
                _move(zoo, by_name[best], "shadow", session, f"promotion awaits approval: {says}", "proposal")
        else:
            _crown(zoo, by_name[best], present, session, says, "test")


def _carry_out(
    zoo: _Zoo, known: Mapping[str, Model], present: Sequence[Model], session: date, decision: Decision
) -> str | None:
    """Do what a person decided; returns why it could not be done, or None."""
    model = known.get(decision.model)
    if model is None or model.name not in zoo.standings:
        return f"no such model then; there were {', '.join(sorted(zoo.standings))}"
    if decision.kind == "retire":
        if zoo.standings[model.name].state == "retired":
            return "it was retired already"
        _move(zoo, model, "retired", session, decision.reason, decision.by)
        return None
    if decision.kind == "promote":
        if zoo.standings[model.name].state == "champion":
            return "it was champion already"
        _crown(zoo, model, present, session, decision.reason, decision.by)
        return None
    current = _champion(zoo, present, model.family)
    earlier = [name for name in zoo.past_champions.get(model.family, []) if name != current]
    if not earlier:
        return f"family {model.family} never had another champion"
    _crown(zoo, known[earlier[-1]], present, session, f"rollback: {decision.reason}", decision.by)
    return None


def _crown(zoo: _Zoo, model: Model, present: Sequence[Model], session: date, reason: str, by: str) -> None:
    champion = _champion(zoo, present, model.family)
    if champion is not None and champion != model.name:
        replaced = next(other for other in present if other.name == champion)
        _move(zoo, replaced, "retired", session, f"replaced by {model.name}: {reason}", by)
    _move(zoo, model, "champion", session, reason, by)
    zoo.past_champions.setdefault(model.family, []).append(model.name)


def _move(zoo: _Zoo, model: Model, state: State, session: date, reason: str, by: str, *, by_gate: bool = False) -> None:
    trial = zoo.standings[model.name].trial
    zoo.standings[model.name] = _Standing(state, session, reason, by, trial, by_gate)


def _champion(zoo: _Zoo, present: Sequence[Model], family: str) -> str | None:
    """Name of the model that trades a family; None while there is none."""
    for model in present:
        standing = zoo.standings.get(model.name)
        if model.family == family and standing is not None and standing.state in SERVING:
            return model.name
    return None
