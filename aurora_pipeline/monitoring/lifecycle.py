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
from datetime import date, datetime

import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision, carry_out
from aurora_pipeline.monitoring.lifecycle_gates import Health, apply_gates
from aurora_pipeline.monitoring.lifecycle_tests import (
    Evidence,
    gains_over_champions,
    promote_best,
    promotion_threshold,
    review_champions,
)
from aurora_pipeline.monitoring.standings import SERVING, Model, Zoo, admit
from aurora_pipeline.settings import LifecycleSettings


def model_states(
    sessions: Sequence[date],
    opens: Mapping[date, datetime],
    models: Sequence[Model],
    evidence: Evidence,
    health: Mapping[tuple[date, str], Health],
    decisions: Sequence[LifecycleDecision],
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
    decisions : sequence of LifecycleDecision
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
    zoo, rows, ignored = Zoo(), [], []
    known = {model.name: model for model in sorted(models, key=lambda model: (model.first_session, model.name))}
    for session in sessions:
        moment = opens[session]
        present = [model for model in known.values() if model.first_session <= session]
        admit(zoo, present, session)
        measured = {model.name: evidence.measured(model.name, moment) for model in present}
        apply_gates(zoo, present, session, health, settings)
        review_champions(zoo, present, session, measured, settings)
        gains = gains_over_champions(zoo, present, moment, evidence)
        promote_best(zoo, present, session, measured, gains, settings)
        for decision in [decision for decision in decisions if decision.session == session]:
            refused = carry_out(zoo, known, present, session, decision)
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
