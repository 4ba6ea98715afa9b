"""Reads what a walk-forward fold is trained on, once for all families and the feature audit of the fold."""

from __future__ import annotations

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.features.registry import feature_names
from aurora_pipeline.models.train_block import TrainBlock, build_train_block, sampled
from aurora_pipeline.models.walk_forward import Fold, purged_labels
from aurora_pipeline.settings import Settings

Frames = tuple[pl.DataFrame, pl.DataFrame]
_frames: dict[tuple[str, ...], Frames] = {}
_blocks: dict[tuple[str, ...], tuple[TrainBlock, pl.DataFrame]] = {}


def read_fold_inputs(home: Home, settings: Settings, fold: Fold, content: str | None = None) -> Frames:
    """Features of the train block at the decision times training samples, and the labels it may see.

    Of the features only sampled rows are held in memory: every 13th decision time by default.

    Parameters
    ----------
    home : Home
        The installation.
    settings : Settings
        Section `walk_forward`.
    fold : Fold
        Whose train block.
    content : str, optional
        Hash of what is stored, from :meth:`~aurora_pipeline.lineage.Lineage.content`. Where it is given, the frames are kept
        for the next step of the same fold; :func:`forget_fold_inputs` lets go of them.

    Returns
    -------
    features, labels : polars.DataFrame
        Tables `features` and `labels`.
    """
    key = (str(home.path), fold.key, settings.walk_forward.model_dump_json(), content or "")
    if key in _frames:
        return _frames[key]
    first, last = fold.train_sessions[0], fold.train_sessions[-1]
    times = sampled(
        home.lake.read("features", first, last, ["session", "decision_time"]), settings.walk_forward.sample_bars
    ).get_column("decision_time")
    features = home.lake.read_at("features", times, first, last)
    labels = home.lake.read("labels", first, last)
    frames = features, purged_labels(labels, fold, home.calendar, settings)
    if content is not None:
        forget_fold_inputs()
        _frames[key] = frames
    return frames


def read_train_block(home: Home, settings: Settings, fold: Fold, content: str) -> tuple[TrainBlock, pl.DataFrame]:
    """Train block of a fold on the features of `models.views`; parameters as for :func:`read_fold_inputs`.

    Raises
    ------
    TrainingError, LeakageError
        See :func:`~aurora_pipeline.models.train_block.build_train_block`.
    """
    key = (
        str(home.path),
        fold.key,
        settings.walk_forward.model_dump_json(),
        settings.models.model_dump_json(include={"views", "recency_half_life_sessions"}),
        content,
    )
    if key not in _blocks:
        features, labels = read_fold_inputs(home, settings, fold, content)
        names = [name for view in settings.models.views for name in feature_names(view)]
        _blocks[key] = build_train_block(fold, features, labels, settings, names)
    return _blocks[key]


def forget_fold_inputs() -> None:
    """Let go of the fold held in memory."""
    _frames.clear()
    _blocks.clear()
