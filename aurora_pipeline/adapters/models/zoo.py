"""Reads what the lifecycle decides on: the zoo, its scores, its matured session ICs, and who serves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.configuration_log import own_configurations
from aurora_pipeline.calendar import BARS_PER_SESSION
from aurora_pipeline.execution.session_inputs import NO_MODEL
from aurora_pipeline.monitoring.model_evidence import Evidence, matured_session_ics, stack
from aurora_pipeline.monitoring.model_monitor import MonitoredModel
from aurora_pipeline.monitoring.sequential_tests import lane_count
from aurora_pipeline.monitoring.served_states import serving
from aurora_pipeline.monitoring.standings import Model
from aurora_pipeline.settings import Settings

SCORE_COLUMNS = ("session", "symbol", "decision_time", "model", "model_version", "score")
LABEL_COLUMNS = ("session", "symbol", "decision_time", "label", "matured_at")


def read_zoo(home: Home, settings: Settings, scored_from: date, last: date) -> list[MonitoredModel]:
    """Every model that has scores up to a session: the families of the settings, then the challengers."""
    members = []
    for family, first in first_sessions(home, settings, scored_from).items():
        manifest = _newest_manifest(home.models / family)
        members.append(_monitored(Model(family, family, first, founding=first == scored_from), manifest))
    challengers = home.lake.read("challengers", scored_from, last).filter(pl.col("first_session") <= last)
    known = challengers.select("model", "family", "first_session").unique().sort("first_session", "model")
    for name, family, first in known.iter_rows():
        members.append(_monitored(Model(name, family, first, founding=False), _newest_manifest(home.models / name)))
    return members


def first_sessions(home: Home, settings: Settings, scored_from: date) -> dict[str, date]:
    """First session each family has scores for: the first scored one, or a later one where the family was added later."""
    own = own_configurations(home, settings)
    return {family: max(scored_from, entry.session or scored_from) for family, entry in own.items()}


def score_parts(home: Home, settings: Settings, first: date, last: date) -> Iterator[pl.DataFrame]:
    """Scores of one model after the other, shadows included: all of them at once would not fit a long history."""
    for family in settings.models.families:
        yield home.lake.read("predictions", first, last, SCORE_COLUMNS, model=family)
    yield from home.lake.read("shadow_predictions", first, last, SCORE_COLUMNS).partition_by("model")


def read_evidence(home: Home, settings: Settings, labels: pl.DataFrame, first: date, last: date) -> Evidence:
    """Tests on the matured ICs of every model over a span, against the given labels."""
    ics = stack([matured_session_ics(part, labels) for part in score_parts(home, settings, first, last)])
    return Evidence(ics, overlap_lanes(home, settings), settings.lifecycle)


def overlap_lanes(home: Home, settings: Settings) -> int:
    """Sessions after which labels no longer overlap."""
    return lane_count(BARS_PER_SESSION[home.frequency], settings.horizon_bars(home.frequency))


def champion_sets(states: pl.DataFrame, sessions: Sequence[date]) -> list[tuple[list[date], dict[str, str]]]:
    """Stretches of sessions with one and the same champion set, as family to model; an empty one trades nothing."""
    champions = serving(states)
    stretches = groupby(sessions, key=lambda day: champions.get(day, {}))
    return [(list(days), members) for members, days in stretches]


def read_served(
    home: Home, members: dict[str, str], first: date, last: date, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Scores of the champions over a span, under their family's name."""
    frames = [home.lake.read("predictions", first, first, columns).clear()]
    for family, model in sorted(members.items()):
        if model == family:
            frames.append(home.lake.read("predictions", first, last, columns, model=family))
        else:
            shadow = home.lake.read("shadow_predictions", first, last, columns)
            frames.append(shadow.filter(pl.col("model") == model).with_columns(pl.lit(family).alias("model")))
    return pl.concat(frames)


def tradable_universe(universe: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    """Universe in which nothing is eligible while no model trades: what is held is closed, the book goes flat.

    Parameters
    ----------
    universe, states : polars.DataFrame
        Tables `universe` and `model_states` of the same sessions.
    """
    idle = [day for day, members in serving(states).items() if not members]
    return without_model(universe, pl.col("session").is_in(idle))


def without_model(universe: pl.DataFrame, where: pl.Expr | None = None) -> pl.DataFrame:
    """Universe in which nothing is eligible, everywhere or in the rows chosen: no model trades."""
    idle = pl.lit(value=True) if where is None else where
    return universe.with_columns(
        pl.when(idle & pl.col("eligible")).then(pl.lit(NO_MODEL)).otherwise(pl.col("reason")).alias("reason"),
        (pl.col("eligible") & ~idle).alias("eligible"),
    )


def _newest_manifest(directory: Path) -> dict[str, Any]:
    found = sorted(directory.glob("*/manifest.json"))
    manifest: dict[str, Any] = json.loads(found[-1].read_text(encoding="utf-8")) if found else {}
    return manifest


def _monitored(model: Model, manifest: dict[str, Any]) -> MonitoredModel:
    identity = json.dumps(
        [manifest.get("family"), manifest.get("settings"), manifest.get("features_sha256")], sort_keys=True
    )
    configuration = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return MonitoredModel(model, configuration, tuple(manifest.get("features", ())))
