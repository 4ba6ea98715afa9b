"""Trains challengers, keeps their versions below the home's `models/` and lets them predict in shadow."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.configuration_log import Configured, asked_for, new_configurations
from aurora_pipeline.adapters.models.model_store import FIT_COST, fit_cost
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.stage_inputs.fold import read_fold_inputs
from aurora_pipeline.adapters.worker_processes import worker_pool
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import ModelError
from aurora_pipeline.features.registry import feature_names
from aurora_pipeline.models.configuration import configured
from aurora_pipeline.models.training_pipeline import load_trained, predict, save_trained, train_model
from aurora_pipeline.models.walk_forward import Fold
from aurora_pipeline.monitoring.drift import ChallengerWanted
from aurora_pipeline.settings import DriftSettings, Settings

HALF_LIVES = 8.0
"""Half-lives of its recency weights a challenger looks back: rows before them would weigh less than a 256th of the newest."""


KNOWN_BY = ("model", "family", "first_session", "configuration")
"""What a challenger keeps over its refits, columns of table `challengers`."""
PROGRESS = "challengers"
WORTH_A_PROCESS = 4
"""Versions to train for which starting a process pays."""


def challenger_name(family: str, first_session: date) -> str:
    """Name a challenger's scores are stored under."""
    return f"{family}~{first_session}"


@dataclass(frozen=True)
class DueVersion:
    """A version of a challenger that has to be trained.

    Attributes
    ----------
    name, family : str
        Challenger and its family.
    first_session : date
        First session of the challenger, refits included.
    configuration : str
        Settings of `models` it is trained with, JSON.
    reason : str
        What asked for it.
    """

    name: str
    family: str
    first_session: date
    configuration: str
    reason: str


def known_by(versions: Sequence[DueVersion]) -> pl.DataFrame:
    """Columns :data:`KNOWN_BY` of versions that are yet to be trained."""
    schema = {name: empty("challengers").schema[name] for name in KNOWN_BY}
    rows = [(due.name, due.family, due.first_session, due.configuration) for due in versions]
    return pl.DataFrame(rows, schema=schema, orient="row")


def drift_configuration(values: Mapping[str, Any], settings: DriftSettings) -> dict[str, Any]:
    """Configuration of a challenger that drift asked for: what happened lately counts for more."""
    return {**values, "recency_half_life_sessions": settings.challenger_half_life_sessions}


def versions_due(
    session: date,
    following: date,
    wanted: Sequence[ChallengerWanted],
    configurations: Sequence[Configured],
    alive: pl.DataFrame,
    fold_begins: bool,
    settings: Settings,
) -> list[DueVersion]:
    """Versions to train after a session's close.

    Parameters
    ----------
    session, following : date
        The session, and the one after it.
    wanted : sequence of ChallengerWanted
        Challengers drift asks for, of any session.
    configurations : sequence of Configured
        Recorded configurations; a family whose settings changed for `following` gets that challenger and none for drift.
    alive : polars.DataFrame
        Columns :data:`KNOWN_BY` of table `challengers` of the sessions before: each of them is refitted when a fold begins.
    fold_begins : bool
        Whether `following` is the first session of a test block.
    settings : Settings
        Section `drift`.
    """
    changed = {entry.family: entry.values for entry in new_configurations(configurations) if entry.session == following}
    asked = {
        want.family: drift_configuration(asked_for(configurations, want.family, session, settings), settings.drift)
        for want in wanted
        if want.session == session
    }
    reasons = {want.family: want.reason for want in wanted if want.session == session}
    reasons |= dict.fromkeys(changed, "settings of `models` changed")
    due = [
        DueVersion(
            challenger_name(family, following), family, following, json.dumps(values, sort_keys=True), reasons[family]
        )
        for family, values in sorted((asked | changed).items())
    ]
    if fold_begins:
        known = alive.select(KNOWN_BY).unique(maintain_order=True).sort("model")
        due += [
            DueVersion(name, family, first, values, "refit with the fold")
            for name, family, first, values in known.iter_rows()
        ]
    return due


def train_challengers(
    home: Home, settings: Settings, versions: Sequence[tuple[DueVersion, date]], axis: Sequence[date]
) -> list[dict[str, Any]]:
    """Train versions, many of them side by side in processes of their own that share `threads`.

    Parameters
    ----------
    home : Home
        Where they go.
    settings : Settings
        Sections `training`, `walk_forward` and `models`, and `threads`.
    versions : sequence of (DueVersion, date)
        Each with the session it serves from.
    axis : sequence of date
        The home's sessions.

    Returns
    -------
    list of dict
        Rows of table `challengers`, in the order of `versions`.
    """
    processes = min(settings.training.processes, len(versions) // WORTH_A_PROCESS)
    if processes <= 1 or home.shared is not None:
        found = (train_challenger(home, settings, due, serves_from, axis) for due, serves_from in versions)
        return _told(found, len(versions))
    shared = settings.model_copy(update={"threads": max(1, settings.threads // processes)})
    with worker_pool(processes) as pool:
        train = partial(_train_in_process, home.path, shared, axis)
        return _told(pool.map(train, versions), len(versions))


def _train_in_process(
    home: Path, settings: Settings, axis: Sequence[date], version: tuple[DueVersion, date]
) -> dict[str, Any]:
    return train_challenger(Home(home), settings, *version, axis)


def _told(found: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in found:
        rows.append(row)
        report(PROGRESS, len(rows), count)
    return rows


def train_challenger(
    home: Home, settings: Settings, due: DueVersion, serves_from: date, axis: Sequence[date]
) -> dict[str, Any]:
    """Train one version on what matured before the session it serves from, at the decision times a fold trains on.

    Returns its row of table `challengers`.
    """
    own = configured(settings, json.loads(due.configuration))
    place = axis.index(serves_from) if serves_from in axis else len(axis)
    rolling = settings.walk_forward.scheme == "rolling"
    half_life = own.models.recency_half_life_sessions
    remembered = max(settings.walk_forward.minimum_train_sessions, math.ceil(HALF_LIVES * half_life))
    reach = min(remembered, settings.walk_forward.train_sessions) if rolling else remembered
    train = list(axis[max(0, place - reach) : place])
    fold = Fold(serves_from.isoformat(), (train[0], train[-1]), (serves_from, serves_from), train, [serves_from])
    features, labels = read_fold_inputs(home, own, fold)
    names = [column for view in own.models.views for column in feature_names(view)]
    trained = train_model(due.family, fold, features, labels, own, names)
    directory = f"{due.name}/{fold.key}"
    save_trained(trained, home.models / directory, documents={FIT_COST: fit_cost(trained)})
    home.share_model(directory)
    return {
        "session": axis[place - 1],
        "model": due.name,
        "family": due.family,
        "first_session": due.first_session,
        "serves_from": serves_from,
        "model_version": trained.version,
        "directory": directory,
        "configuration": due.configuration,
        "reason": due.reason,
    }


def shadow_scores(
    home: Home, challengers: pl.DataFrame, features: pl.DataFrame, sessions: Sequence[date]
) -> pl.DataFrame:
    """Scores of every challenger for some sessions, each by the newest version that serves by then.

    Parameters
    ----------
    home : Home
        Where versions lie.
    challengers : polars.DataFrame
        Table `challengers` of the sessions before.
    features : polars.DataFrame
        Table `features` of the sessions.
    sessions : sequence of date
        The sessions, in time order.

    Raises
    ------
    ModelError
        A version's files are not what was trained.
    """
    frames = [empty("predictions")]
    for (model,), versions in challengers.sort("serves_from").partition_by("model", as_dict=True).items():
        starts = versions.get_column("serves_from").to_list()
        for row, until in zip(versions.iter_rows(named=True), [*starts[1:], date.max], strict=True):
            served = [day for day in sessions if row["serves_from"] <= day < until]
            own = features.filter(pl.col("session").is_in(served))
            if own.is_empty():
                continue
            trained = load_trained(home.models / row["directory"])
            if trained.version != row["model_version"]:
                raise ModelError(
                    f"{home.models / row['directory']}: holds {trained.version}, but {row['model_version']} was trained; "
                    f"materialise challengers of {row['session']} again"
                )
            frames.append(predict(trained, own).with_columns(pl.lit(model).alias("model")))
    return pl.concat(frames)


def manifest_hash(directory: Path) -> str | None:
    """Sha256 of a version's manifest, which holds the hashes of its files; None where there is none."""
    manifest = directory / "manifest.json"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None
