"""Measure what each model that traded contributed and what its fit cost; kept as a table, as JSON and as a page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.model_store import fit_seconds
from aurora_pipeline.adapters.models.zoo import champion_sets, read_served
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.contracts import empty
from aurora_pipeline.market.point_in_time import as_known_at
from aurora_pipeline.monitoring.model_contribution import contribution_summary, named, session_contributions
from aurora_pipeline.stages import book_name

BLOCK_SESSIONS = 40
DATA = "model_contributions.json"
_BY_NOW = datetime.max.replace(tzinfo=UTC)
_RESIDUALS = ("session", "symbol", "bar_end", "known_at", "quarantined_at", "residual_return")
_SCORED = ("session", "symbol", "decision_time", "model", "model_version", "score")


def store_contributions(home: Home) -> list[dict[str, Any]]:
    """Write table `model_contributions` and `<home>/reports/model_contributions.json`; returns the summary, one entry a model."""
    settings, lake = home.settings(), home.lake
    days = home.sessions(settings)
    states = lake.read("model_states", days[0], days[-1])
    weights = lake.read("ensemble_weights", days[0], days[-1], ["session", "model", "weight"])
    frames = [empty("model_contributions")]
    for sessions, members in champion_sets(states, states.get_column("session").unique().sort().to_list()):
        for begin in range(0, len(sessions) if members else 0, BLOCK_SESSIONS):
            first, last = sessions[begin], sessions[min(begin + BLOCK_SESSIONS, len(sessions)) - 1]
            served = read_served(home, members, first, last, _SCORED)
            own = weights.filter(pl.col("session").is_between(first, last))
            labels = lake.read("labels", first, last)
            held = _held(home, book_name(settings), first, last)
            returns = session_residuals(lake.read("residual_returns", first, last, _RESIDUALS))
            found = session_contributions(served, own, labels, held, returns)
            versions = served.group_by("session", "model", maintain_order=True).agg(pl.col("model_version").last())
            frames.append(named(found, members, versions))
    table = pl.concat(frames)
    lake.write("model_contributions", table, fingerprint="report")
    summary = contribution_summary(table, settings.seed)
    for row in summary:
        row["fit_seconds"] = fit_seconds(home, row["model"])
    atomic_text(home.reports / DATA, json.dumps({"models": summary}, indent=1) + "\n")
    return summary


def _held(home: Home, book: str, first: Any, last: Any) -> pl.DataFrame:
    positions = home.lake.read("positions", first, last, ["session", "symbol", "decision_time", "weight"], book=book)
    times = positions.group_by("session", maintain_order=True).agg(pl.col("decision_time").n_unique().alias("_times"))
    summed = positions.group_by("session", "symbol", maintain_order=True).agg(pl.col("weight").sum())
    return summed.join(times, on="session").select("session", "symbol", pl.col("weight") / pl.col("_times"))


def session_residuals(residual_returns: pl.DataFrame) -> pl.DataFrame:
    """Sum each symbol's residual returns of a session in time order, as they stand by now.

    Parameters
    ----------
    residual_returns : polars.DataFrame
        `session`, `symbol`, `bar_end`, `known_at`, `quarantined_at`, `residual_return` of whole sessions, versions included.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `return` (fraction), sorted.
    """
    standing = as_known_at(residual_returns, _BY_NOW, ["session", "symbol", "bar_end"])
    return standing.group_by("session", "symbol", maintain_order=True).agg(
        pl.col("residual_return").sum().alias("return")
    )
