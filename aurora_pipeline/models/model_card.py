"""The page that goes with a model version: what it is, what it was trained on, how well, and what it must not be used for.

Headings follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

SHOWN_FEATURES = 15


def model_card(manifest: Mapping[str, Any], importance: pl.DataFrame, facts: Mapping[str, str]) -> str:
    """Return the card of a trained model as markdown.

    Parameters
    ----------
    manifest : mapping
        Manifest of the model version.
    importance : polars.DataFrame
        Result of :func:`~aurora_pipeline.models.importance.feature_importance`.
    facts : mapping of str to str
        What else identifies the training, such as the hash of what was read and the version of the code.
    """
    described, metrics = manifest["model"], manifest["metrics"]
    unusable = described.get("unusable_features", [])
    lines = [
        f"# {manifest['model_version']}",
        "",
        f"Ranks stocks by residual return over the label's horizon. Family `{manifest['family']}`, walk-forward fold "
        f"{manifest['fold']}.",
        "",
        "## Training data",
        "",
        f"- sessions {manifest['train'][0]} to {manifest['train'][1]}; every label matured by {manifest['matured_through']}, "
        f"before the test block opens on {manifest['test_starts']}",
        f"- {metrics['rows']} rows, {metrics['decision_times']} decision times, {metrics['sessions']} sessions",
        f"- {len(manifest['features'])} features, list sha256 `{manifest['features_sha256'][:12]}`",
        f"- without any value in the train block, hence ignored: {', '.join(unusable) or 'none'}",
        *(f"- {name}: `{value}`" for name, value in facts.items()),
        "",
        "## Measured",
        "",
        "| rank IC | value | on what |",
        "|---|---|---|",
        f"| in fold | {metrics['in_fold_ic']:.4f} | the rows it was fitted on: optimistic |",
        f"| validation | {_number(metrics['validation_ic'])} | purged tail, by the fit that had not seen it; choices were made "
        "on it: slightly optimistic |",
        "| out of fold | see the run's metric `out_of_fold_ic` | the test block, once its labels have matured |",
        "",
        "## What it leans on",
        "",
        "IC lost on the tail when the feature changes hands within each decision time; share of gain where the family has it.",
        "",
        "| feature | IC lost | gain |",
        "|---|---|---|",
        *(
            f"| {row['feature']} | {row['permutation']:.4f} | {_number(row['gain'])} |"
            for row in importance.head(SHOWN_FEATURES).iter_rows(named=True)
        ),
        "",
        "## Limits",
        "",
        "- serves the test block of its fold only; an older model is not a fallback for a fold without one",
        "- a score orders the names of one decision time; it is no return until it is calibrated",
        "- a row without any feature gets no score; a symbol never seen in training is scored by its features like any other",
        "",
        "## Settings",
        "",
        *(f"- `{name}`: {value}" for name, value in _settings(manifest).items()),
        "",
    ]
    return "\n".join(lines)


def _settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    described = manifest["model"]
    chosen = {name: value for name, value in described.items() if not isinstance(value, dict | list)}
    return {**described.get("parameters", {}), **chosen, "seed": manifest["settings"]["seed"]}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
