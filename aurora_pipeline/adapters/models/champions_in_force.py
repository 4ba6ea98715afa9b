"""Who trades a session: one way to decide it and one way to weigh it, for the graph's assets and for the live opening.

Scores, states and weights of a session follow from what had matured before its open, so it makes no difference whether they
are computed before the session or years later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog
from aurora_pipeline.adapters.models.zoo import (
    LABEL_COLUMNS,
    SCORE_COLUMNS,
    read_evidence,
    read_served,
    read_zoo,
    score_parts,
)
from aurora_pipeline.ensemble.ic_weighted_ensemble import ensemble_weights, session_information_coefficients
from aurora_pipeline.ensemble.score_correlation import ScoreCorrelations
from aurora_pipeline.monitoring.drift import lost_features
from aurora_pipeline.monitoring.lifecycle import model_states
from aurora_pipeline.monitoring.lifecycle_gates import Health
from aurora_pipeline.monitoring.model_monitor import (
    model_health,
    model_scores,
    run_after,
    session_earnings,
    session_looks,
)
from aurora_pipeline.settings import Settings

_KEY = ("session", "symbol", "decision_time")


def scores_of_zoo(home: Home, settings: Settings, axis: Sequence[date], sessions: Sequence[date]) -> pl.DataFrame:
    """Compute table `model_scores`.

    Parameters
    ----------
    home : Home
        Has predictions, labels, features and drift of the sessions before.
    settings : Settings
        Families and gates.
    axis : sequence of date
        All sessions from the first scored one to the last wanted, in time order.
    sessions : sequence of date
        Those wanted.
    """
    first, last, lake = axis[0], axis[-1], home.lake
    zoo = read_zoo(home, settings, first, last)
    labels = lake.read("labels", first, last, LABEL_COLUMNS)
    needed: dict[str, Sequence[str]] = {member.model.name: member.features for member in zoo}
    lost = lost_features(lake.read("drift", first, last), needed, settings.drift.missing)
    rows = lake.read("features", first, last, _KEY)
    looks, earnings = [], []
    for part in score_parts(home, settings, first, last):
        looks.append(session_looks(part, rows, lost))
        earnings.append(session_earnings(part, labels))
    return model_scores(
        sessions,
        axis,
        {day: home.calendar.open(day) for day in sessions},
        zoo,
        read_evidence(home, settings, labels, first, last),
        pl.concat(looks),
        pl.concat(earnings),
        settings.lifecycle,
    )


def health_at_open(home: Home, settings: Settings, axis: Sequence[date]) -> dict[tuple[date, str], Health]:
    """Return the gates' inputs for every session of an axis, the last of which need not have begun.

    What is stored of the sessions before goes one session further; it equals what :func:`scores_of_zoo` gives, without measuring
    the whole history again.
    """
    if len(axis) == 1:
        return {}
    lake, session, before = home.lake, axis[-1], axis[-2]
    stored = lake.read("model_scores", axis[0], before)
    newest = stored.filter(pl.col("session") == before)
    if newest.is_empty():
        return model_health(scores_of_zoo(home, settings, axis, axis))
    zoo = read_zoo(home, settings, axis[0], session)
    needed: dict[str, Sequence[str]] = {member.model.name: member.features for member in zoo}
    lost = lost_features(lake.read("drift", axis[0], before), needed, settings.drift.missing)
    rows = lake.read("features", before, before, _KEY)
    looks = pl.concat(session_looks(part, rows, lost) for part in score_parts(home, settings, before, before))
    seen = {row["model"]: row for row in looks.iter_rows(named=True)}
    counted = newest.select("model", "sound_sessions", "unsound_sessions").iter_rows()
    runs = {model: (sound, unsound) for model, sound, unsound in counted}
    found = model_health(stored)
    for member in zoo:
        model = member.model
        if model.first_session <= before:
            run, fault = run_after(runs.get(model.name, (0, 0)), seen.get(model.name, {}), settings.lifecycle)
            found[session, model.name] = Health(*run, fault)
    return found


def states_of_zoo(
    home: Home, settings: Settings, axis: Sequence[date], health: Mapping[tuple[date, str], Health]
) -> tuple[pl.DataFrame, list[str]]:
    """Compute table `model_states` of every session of the axis.

    Parameters
    ----------
    home : Home
        Has predictions and labels of the sessions before, and the log of what persons decided.
    settings : Settings
        Tests and gates.
    axis : sequence of date
        All sessions from the first scored one to the last wanted, in time order: states follow from the states before.
    health : mapping of (date, str) to Health
        Of those sessions, from table `model_scores` or :func:`health_at_open`.

    Returns
    -------
    states : polars.DataFrame
    ignored : list of str
        Decisions of persons that could not be carried out, each with the reason.
    """
    first, last = axis[0], axis[-1]
    labels = home.lake.read("labels", first, last, LABEL_COLUMNS)
    return model_states(
        axis,
        {day: home.calendar.open(day) for day in axis},
        [member.model for member in read_zoo(home, settings, first, last)],
        read_evidence(home, settings, labels, first, last),
        health,
        LifecycleLog(home).decisions(),
        settings.lifecycle,
    )


def weights_of_champions(
    home: Home,
    settings: Settings,
    members: Mapping[str, str],
    opens: Mapping[date, datetime],
    labels: pl.DataFrame,
    span: tuple[date, date],
) -> pl.DataFrame:
    """Compute table `ensemble_weights` for sessions with one and the same champion set.

    Parameters
    ----------
    home : Home
    settings : Settings
    members : mapping of str to str
        Family to the model that serves; not empty.
    opens : mapping of date to datetime
        Opening moment of each session wanted.
    labels : polars.DataFrame
        Labels over the span.
    span : tuple of date
        First scored session, and the last whose scores and labels may be looked at.
    """
    first, last = span
    evidence = pl.concat(
        session_information_coefficients(read_served(home, {family: model}, first, last), labels)
        for family, model in members.items()
    )
    alike = None
    if settings.ensemble.correlation_aware:
        alike = ScoreCorrelations.of(read_served(home, dict(members), first, last, SCORE_COLUMNS))
    return ensemble_weights(list(opens), opens, evidence, sorted(members), settings, alike)
