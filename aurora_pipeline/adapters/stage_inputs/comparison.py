"""Reads what a comparison of models is made from: stored scores, matured labels, and what the baselines look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import LakeError
from aurora_pipeline.models.walk_forward import Fold, make_folds
from aurora_pipeline.monitoring.baseline_scores import BASELINES, SIGNED, baseline_scores, needed_features, signed_by
from aurora_pipeline.monitoring.model_comparison import (
    BASELINE,
    ENSEMBLE,
    FAMILY,
    MEAN_SCORE,
    ComparisonInputs,
    market_volatility,
)
from aurora_pipeline.monitoring.score_panel import KEYS
from aurora_pipeline.settings import Settings

VOLATILITY_SESSIONS = 21
"""Sessions before a session whose market returns say what regime it opens in."""


@dataclass(frozen=True)
class StoredComparison:
    """What was found in the lake.

    Attributes
    ----------
    inputs : ComparisonInputs
        For :func:`~aurora_pipeline.monitoring.model_comparison.compare_models`.
    notes : list of str
        What is missing and why, for the report.
    first, last : date
        Span of the scores.
    """

    inputs: ComparisonInputs
    notes: list[str]
    first: date
    last: date


def read_comparison_inputs(home: Home, settings: Settings) -> StoredComparison:
    """Read everything scored within the settings' span.

    Parameters
    ----------
    home : Home
        With predictions of at least one family.
    settings : Settings
        Decide span, families, folds and the seed of the intervals.

    Raises
    ------
    LakeError
        No family has a prediction.
    """
    lake, sessions = home.lake, home.sessions(settings)
    first, last = sessions[0], sessions[-1]
    parts: dict[str, pl.DataFrame] = {}
    notes = []
    for family in settings.models.families:
        stored = lake.read("predictions", first, last, [*KEYS, "score"], model=family)
        if stored.is_empty():
            notes.append(f"{family} has no stored predictions and is left out")
            continue
        parts[family] = stored.rename({"score": family})
    if not parts:
        raise LakeError(f"home {home.path} has no predictions from {first} to {last}; start with `aurora run`")
    kinds = dict.fromkeys(parts, FAMILY)
    ensemble = lake.read("ensemble", first, last, [*KEYS, "score", "equal_weight_score"])
    if ensemble.is_empty():
        notes.append("no ensemble is stored: neither it nor the mean score is compared")
    else:
        parts["ensemble"] = ensemble.rename({"score": "ensemble", "equal_weight_score": MEAN_SCORE})
        kinds |= {"ensemble": ENSEMBLE, MEAN_SCORE: ENSEMBLE}
    scores = _joined(list(parts.values()))
    served = scores.get_column("session").unique().sort().to_list()
    folds = [fold for fold in make_folds(sessions, home.frequency, settings) if _tests(fold, served)]
    baselines = _stored_baselines(home, settings, folds, served, notes)
    for name in BASELINES:
        if baselines.get_column(name).null_count() == baselines.height:
            notes.append(_absence(name))
        elif (missing := baselines.get_column(name).null_count()) > 0:
            notes.append(f"{name} has no score in {missing / baselines.height:.0%} of the rows")
    # By time and name as the scores are: what nobody predicted is not compared.
    scores = scores.join(baselines, on=["symbol", "decision_time"], how="left").drop("session_right")
    labels = lake.read("labels", first, last)
    if labels.is_empty():
        notes.append("no label has matured yet: every measure that needs one is empty")
    inputs = ComparisonInputs(
        scores=scores,
        kinds=kinds | dict.fromkeys(BASELINES, BASELINE),
        labels=labels,
        sectors=lake.read("universe", first, last, ["session", "symbol", "sector"]),
        volatility=market_volatility(
            lake.read("residual_returns", first, last, ["session", "bar_end", "market_return"]), VOLATILITY_SESSIONS
        ),
        bar_ends=home.calendar.grid(sessions, home.frequency).get_column("bar_end").to_physical().to_numpy(),
        trials=recorded_trials(home, settings.models.families),
        seed=settings.seed,
    )
    return StoredComparison(inputs, notes, served[0], served[-1])


def recorded_trials(home: Home, families: Sequence[str]) -> dict[str, int]:
    """Count the configurations each family tried, over all its stored folds; a family without a stored model is left out.

    A configuration that was tried in several folds is one trial: what is chosen is the way of choosing.
    """
    counted = {}
    for family in families:
        manifests = sorted((home.models / family).glob("*/manifest.json"))
        tried = {json.dumps(trial, sort_keys=True) for file in manifests for trial in _trials(file.read_text("utf-8"))}
        if manifests:
            counted[family] = max(1, len(tried))
    return counted


def _trials(manifest: str) -> Sequence[object]:
    """Every candidate the fold's inner choice looked at: of a search each setting with its candidates, else those of the tail."""
    model = json.loads(manifest)["model"]
    searched = [[one["settings"], place] for one in model.get("searched") or [] for place in range(one["candidates"])]
    return searched or list(model.get("tail_ic") or {})


def _joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Scores side by side; a row is there if any of them has it."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.join(part, on=list(KEYS), how="full", coalesce=True)
    return whole


def _tests(fold: Fold, served: Sequence[date]) -> bool:
    return bool(served) and fold.test[0] <= served[-1] and fold.test[1] >= served[0]


def _stored_baselines(
    home: Home, settings: Settings, folds: Sequence[Fold], served: Sequence[date], notes: list[str]
) -> pl.DataFrame:
    """Baselines of every fold's test block, signed by the audit of the train block before it."""
    pieces = []
    unaudited = []
    for fold in folds:
        first, last = max(fold.test[0], served[0]), min(fold.test[1], served[-1])
        audited = home.lake.fingerprint("feature_audit", fold=fold.key) is not None
        signs = signed_by(home.lake.read("feature_audit", fold=fold.key)) if audited else {}
        if not signs:
            unaudited.append(fold.key)
        stored = home.lake.read("features", first, last)
        wanted = [name for name in needed_features(list(signs)) if name in stored.columns]
        pieces.append(baseline_scores(stored.select(*KEYS, *wanted), signs, settings.threads))
    if unaudited:
        notes.append(f"{SIGNED}: fold(s) {', '.join(unaudited)} were not audited; materialise feature_audit of those")
    return pl.concat(pieces)


def _absence(name: str) -> str:
    if name == SIGNED:
        return f"{name} is empty: no feature has a sign from a feature audit"
    return f"{name} is empty: its feature has no value in this span (12-1 momentum needs a year of history)"
