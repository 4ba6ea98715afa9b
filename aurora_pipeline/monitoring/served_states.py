"""Reads table `model_states`: who trades when, and whether that may be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP


def serving(states: pl.DataFrame) -> dict[date, dict[str, str]]:
    """Family to the model that trades it, for each session in a `model_states` frame."""
    champions: dict[date, dict[str, str]] = {day: {} for day in states.get_column("session").unique().sort()}
    for day, family, model in states.filter("serves").select("session", "family", "model").iter_rows():
        champions[day][family] = model
    return champions


def state_changes(states: pl.DataFrame) -> pl.DataFrame:
    """Rows of a `model_states` frame in which a model enters a state, in time order: the history of who trades and why."""
    return states.filter(pl.col("since") == pl.col("session")).sort("session", "model")


def state_violations(states: pl.DataFrame, opens: Mapping[date, datetime]) -> pl.DataFrame:
    """Rows of `model_states` that share a family's place, or rest on evidence their session could not have had.

    Parameters
    ----------
    states : polars.DataFrame
        Table `model_states`.
    opens : mapping of date to datetime
        Opening moment of each session in it.
    """
    moments = pl.DataFrame(
        {"session": list(opens), "_opens": list(opens.values())}, schema_overrides={"_opens": TIMESTAMP}
    )
    together = pl.col("serves").sum().over("session", "family") > 1
    beside = states.join(moments, on="session", how="left", maintain_order="left")
    return beside.filter((pl.col("serves") & together) | (pl.col("evidence_through") >= pl.col("_opens"))).drop(
        "_opens"
    )
