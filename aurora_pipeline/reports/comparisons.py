"""The comparison of models by hand or by asset: read what is stored, compare, store the table, write it up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.stage_inputs.comparison import read_comparison_inputs
from aurora_pipeline.atomic import atomic_bytes, atomic_text
from aurora_pipeline.fingerprints import code_hash, settings_hash
from aurora_pipeline.monitoring.model_comparison import ComparisonInputs, compare_models
from aurora_pipeline.monitoring.model_comparison_plot import comparison_plot
from aurora_pipeline.monitoring.model_comparison_report import Cost, comparison_markdown

_CODE = ("monitoring", "adapters/stage_inputs/comparison.py", "models/combinatorial_splits.py")


@dataclass(frozen=True)
class ModelComparisonReport:
    """What a comparison found.

    Attributes
    ----------
    table : polars.DataFrame
        Table `model_comparison`, models in the order of the report.
    title : str
        What was compared, and whether the market is synthetic.
    notes : list of str
        What is missing and why.
    page, plot : Path
        Where it is written up.
    picture : bytes
        The plot, a PNG.
    """

    table: pl.DataFrame
    title: str
    notes: list[str]
    page: Path
    plot: Path
    picture: bytes


def run_model_comparison(home: Home, costs: Mapping[str, Cost]) -> ModelComparisonReport:
    """Compare families, ensemble and baselines; table in the lake, page and plot below ``<home>/reports``.

    Parameters
    ----------
    home : Home
        With stored predictions.
    costs : mapping of str to Cost
        What each family was recorded to cost.

    Raises
    ------
    LakeError
        No family has a prediction.
    """
    settings = home.settings()
    stored = read_comparison_inputs(home, settings)
    table = compare_models(stored.inputs)
    fingerprint = _fingerprint(stored.inputs, settings_hash(settings, ("seed", "models", "walk_forward")))
    home.lake.write("model_comparison", table, fingerprint=fingerprint)
    folder = home.folder()
    kind = "synthetic market" if folder.synthetic else "market"
    title = f"Models on {kind} {folder.manifest.name}, {stored.first} to {stored.last}"
    page = home.reports / "model_comparison.md"
    plot = page.with_suffix(".png")
    picture = comparison_plot(table, title)
    atomic_text(page, comparison_markdown(table, title, costs, stored.notes, plot.name))
    atomic_bytes(plot, picture)
    return ModelComparisonReport(table, title, stored.notes, page, plot, picture)


def _fingerprint(inputs: ComparisonInputs, settings: str) -> str:
    """Hash of the scores and labels themselves, the code and the settings: equal inputs, equal table."""
    digest = hashlib.sha256(f"{code_hash(_CODE)}{settings}{sorted(inputs.trials.items())}".encode())
    for frame in (inputs.scores, inputs.labels):
        digest.update(str(frame.hash_rows(seed=17).sort().hash(seed=17).sum()).encode())
    return digest.hexdigest()[:32]
