"""Run the plan's phases one after another in one home: what the lineage says is unchanged is made once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.stage_inputs.claims import ABLATION
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.monitoring.ablation import PHASES, PhaseResult, phase_settings, progression
from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, session_means
from aurora_pipeline.settings import known_keys, value_of
from aurora_pipeline.stages import book_name
from aurora_pipeline.workflows.main_job import prepare_home


@dataclass(frozen=True)
class Ablation:
    """The progression, and where it is written.

    Attributes
    ----------
    table : polars.DataFrame
        See :data:`aurora_pipeline.monitoring.ablation.TABLE`.
    page, data : Path
        Markdown page, and the table as JSON for the claim ledger.
    """

    table: pl.DataFrame
    page: Path
    data: Path


def run_ablation(home: Home, market: Path | None, overrides: Sequence[str]) -> Ablation:
    """Run every phase and compare each with the one before it.

    Parameters
    ----------
    home : Home
        Best one of its own: it ends with the models and signals of the last phase, which are the settings in force.
    market : Path or None
        Market folder; None keeps the home's or makes the reference market.
    overrides : sequence of str
        `key=value` settings of every phase.
    """
    from aurora_pipeline.defs.up_to_date import bring_up_to_date

    home, folder, settings = prepare_home(home, market, overrides)
    final = {key: value_of(settings, key) for key in known_keys()}
    results = []
    try:
        for number, (phase, keys) in enumerate(zip(PHASES, phase_settings(final), strict=True), start=1):
            chosen = [f"{key}={_text(value)}" for key, value in keys.items()]
            home, _, now = prepare_home(home, market, [*overrides, *chosen])
            bring_up_to_date(home, now, replace_models=True, report=False)
            results.append(PhaseResult(phase, home.lake.read("portfolio", book=book_name(now)), _session_ic(home)))
            report("phases", number, len(PHASES))
    finally:
        home.save_settings(settings)
    table = progression(results, settings.seed)
    kind = " (SYNTHETIC)" if folder.synthetic else ""
    title = f"{folder.manifest.name}{kind}, {settings.market.start or folder.span[0]} to {settings.market.end or folder.span[1]}"
    page, data = home.reports / "ablation.md", home.reports / ABLATION
    atomic_text(page, _markdown(table, title))
    content = {
        "market": folder.manifest.name,
        "synthetic": bool(kind),
        "seed": settings.seed,
        "phases": table.to_dicts(),
    }
    atomic_text(data, json.dumps(content, indent=1) + "\n")
    bring_up_to_date(home, settings)
    return Ablation(table, page, data)


def _session_ic(home: Home) -> pl.DataFrame:
    lake = home.lake
    correlations = decision_time_correlations(lake.read("ensemble"), lake.read("labels"), "score")
    means = session_means(correlations)
    return means.select("session", "ic")


def _text(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _markdown(table: pl.DataFrame, title: str) -> str:
    from aurora_pipeline.monitoring.text_table import markdown_table

    lines = [
        f"# Phase ablation: {title}",
        "",
        "Each phase takes over the ones before; gains are over the phase above, with the 95 % interval of the paired",
        "stationary bootstrap over sessions. bps are of NAV per session.",
        "",
        *markdown_table((name.replace("_", " ") for name in table.columns), table.iter_rows()),
    ]
    return "\n".join(lines) + "\n"
