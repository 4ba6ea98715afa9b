"""Trains challengers, keeps their versions below the home's `models/` and lets them predict in shadow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import ModelError
from aurora_pipeline.features.registry import feature_names
from aurora_pipeline.models.training_pipeline import load_trained, predict, save_trained, train_model
from aurora_pipeline.models.walk_forward import Fold, purged_labels
from aurora_pipeline.monitoring.drift import ChallengerWanted
from aurora_pipeline.settings import Settings


def challenger_name(family: str, first_session: date) -> str:
    """Name a challenger's scores are stored under."""
    return f"{family}~{first_session}"


def challenger_settings(settings: Settings) -> Settings:
    """Settings a challenger is trained with: what happened lately counts for more."""
    half_life = settings.drift.challenger_half_life_sessions
    models = settings.models.model_copy(update={"recency_half_life_sessions": half_life})
    return settings.model_copy(update={"models": models})


def versions_due(
    session: date, following: date, wanted: Sequence[ChallengerWanted], alive: pl.DataFrame, fold_begins: bool
) -> list[tuple[str, str, date, str]]:
    """Versions to train after a session's close.

    Parameters
    ----------
    session, following : date
        The session, and the one after it.
    wanted : sequence of ChallengerWanted
        New challengers of any session.
    alive : polars.DataFrame
        Table `challengers` of the sessions before: each of them is refitted when a fold begins.
    fold_begins : bool
        Whether `following` is the first session of a test block.

    Returns
    -------
    list of tuple
        Name, family, first session, reason.
    """
    due = [
        (challenger_name(want.family, following), want.family, following, want.reason)
        for want in wanted
        if want.session == session
    ]
    if fold_begins:
        known = alive.select("model", "family", "first_session").unique(maintain_order=True).sort("model")
        due += [(name, family, first, "refit with the fold") for name, family, first in known.iter_rows()]
    return due


def train_challenger(
    home: Home, settings: Settings, name: str, family: str, serves_from: date, axis: Sequence[date]
) -> tuple[str, str]:
    """Train one version on everything matured before the session it serves from.

    Returns
    -------
    version : str
        Model version.
    directory : str
        Below the home's `models/`.
    """
    own = challenger_settings(settings)
    place = axis.index(serves_from) if serves_from in axis else len(axis)
    rolling = settings.walk_forward.scheme == "rolling"
    train = list(axis[max(0, place - settings.walk_forward.train_sessions) if rolling else 0 : place])
    fold = Fold(serves_from.isoformat(), (train[0], train[-1]), (serves_from, serves_from), train, [serves_from])
    labels = purged_labels(home.lake.read("labels", train[0], train[-1]), fold, home.calendar, own)
    features = home.lake.read("features", train[0], train[-1])
    names = [column for view in settings.models.views for column in feature_names(view)]
    trained = train_model(family, fold, features, labels, own, names)
    directory = f"{name}/{fold.key}"
    save_trained(trained, home.models / directory)
    return trained.version, directory


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
