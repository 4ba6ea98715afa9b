"""What each model is worth, session by session: matured IC, calibration, turnover, coverage, place among its peers.

1. :func:`session_looks`: how the scores of a session look, known at its close;
2. :func:`session_earnings`: what they earned, known once the labels have matured;
3. :func:`model_scores`: both brought together as of each session's open, with the evidence on the IC;
4. :func:`model_health`: whether the scores could be used, for the gates of the lifecycle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, mean_with_interval
from aurora_pipeline.monitoring.lifecycle_gates import Health
from aurora_pipeline.monitoring.model_evidence import Evidence, complete_sessions
from aurora_pipeline.monitoring.standings import Model
from aurora_pipeline.settings import LifecycleSettings

RECENT = 21
"""Sessions of `recent_ic`."""
_LOOK = ("model_version", "coverage", "constant_share", "turnover", "features_lost")


@dataclass(frozen=True)
class MonitoredModel:
    """A model of the zoo with what its manifest says.

    Attributes
    ----------
    model : Model
        Name, family, first session.
    configuration : str
        Hash of settings and feature list.
    features : tuple of str
        Columns it was trained on.
    """

    model: Model
    configuration: str
    features: tuple[str, ...]


def session_looks(predictions: pl.DataFrame, features: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """How each model's scores of each session look.

    Parameters
    ----------
    predictions : polars.DataFrame
        Table `predictions`, any number of models.
    features : polars.DataFrame
        `session`, `symbol`, `decision_time` of table `features`: the rows that could be scored.
    lost : polars.DataFrame
        `session`, `model`, `features_lost`; a pair without a row lost nothing.

    Returns
    -------
    polars.DataFrame
        `session`, `model`, `model_version` (of the last decision time), `coverage`, `constant_share`, `turnover`,
        `features_lost`.
    """
    expected = features.group_by("session", maintain_order=True).agg(pl.len().alias("_rows"))
    keys = ["session", "model"]
    finite = predictions.filter(pl.col("score").is_finite())
    times = finite.group_by(*keys, "decision_time", maintain_order=True).agg(
        (pl.col("score").max() == pl.col("score").min()).alias("_flat")
    )
    constant = times.group_by(keys, maintain_order=True).agg(pl.col("_flat").mean().alias("constant_share"))
    sorted_rows = finite.sort("decision_time")
    looks = sorted_rows.group_by(keys, maintain_order=True).agg(
        pl.len().alias("_scored"), pl.col("model_version").last()
    )
    return (
        looks.join(expected, on="session", how="left")
        .with_columns((pl.col("_scored") / pl.col("_rows")).fill_null(0.0).clip(0.0, 1.0).alias("coverage"))
        .join(constant, on=keys, how="left")
        .join(_turnover(sorted_rows), on=keys, how="left")
        .join(lost.select(*keys, "features_lost"), on=keys, how="left")
        .with_columns(pl.col("features_lost").fill_null(0.0))
        .select(*keys, *_LOOK)
        .sort(keys)
    )


def _turnover(sorted_rows: pl.DataFrame) -> pl.DataFrame:
    """1 - rank correlation of a session's last scores with those of the session before."""
    last = sorted_rows.filter(pl.col("decision_time") == pl.col("decision_time").max().over("session"))
    order = last.select("session").unique().sort("session").with_row_index("_place")
    placed = last.join(order, on="session").select("session", "model", "symbol", "score", "_place", "decision_time")
    before = placed.select("model", "symbol", pl.col("score").alias("label"), (pl.col("_place") + 1).alias("_place"))
    pairs = placed.join(before, on=["model", "symbol", "_place"], how="inner")
    outcome = pairs.select("symbol", pl.concat_str("model", "_place", separator=":").alias("_key"), "label")
    scores = pairs.with_columns(pl.concat_str("model", "_place", separator=":").alias("_key"))
    # Each (model, session) is a decision time of its own for the correlation kernel.
    correlated = decision_time_correlations(
        scores.select("session", "model", "symbol", pl.col("_key").alias("decision_time"), "score"),
        outcome.rename({"_key": "decision_time"}),
        by=["model"],
    )
    return correlated.select("session", "model", (1.0 - pl.col("ic")).alias("turnover"))


def session_earnings(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Earnings of scores as weights, and label per unit of score, for each model and session.

    Parameters
    ----------
    predictions, labels : polars.DataFrame
        Tables of the same name.

    Returns
    -------
    polars.DataFrame
        `session`, `model`, `earned` (mean over decision times of sum(z * label) / sum(|z|)), `slope` (sum(z * label) /
        sum(z * z)), `matured_at`. z is the score standardised within its decision time; constant ones are left out.
    """
    complete = complete_sessions(predictions, labels)
    rows = complete.select("session", "model", "symbol", "decision_time", pl.col("score").cast(pl.Float64)).join(
        labels.select("symbol", "decision_time", "label", "matured_at"), on=["symbol", "decision_time"]
    )
    time = ["model", "session", "decision_time"]
    z = (pl.col("score") - pl.col("score").mean().over(time)) / pl.col("score").std(ddof=0).over(time)
    rows = rows.with_columns(z.alias("z")).filter(pl.col("z").is_finite())
    each = rows.group_by(time, maintain_order=True).agg(
        ((pl.col("z") * pl.col("label")).sum() / pl.col("z").abs().sum()).alias("earned"),
        (pl.col("z") * pl.col("label")).sum().alias("_zl"),
        (pl.col("z") ** 2).sum().alias("_zz"),
        pl.col("matured_at").max(),
    )
    return (
        each.sort(time)
        .group_by("session", "model", maintain_order=True)
        .agg(
            pl.col("earned").mean(),
            (pl.col("_zl").sum() / pl.col("_zz").sum()).alias("slope"),
            pl.col("matured_at").max(),
        )
        .sort("model", "session")
    )


def model_scores(
    sessions: Sequence[date],
    axis: Sequence[date],
    opens: Mapping[date, datetime],
    zoo: Sequence[MonitoredModel],
    evidence: Evidence,
    looks: pl.DataFrame,
    earnings: pl.DataFrame,
    settings: LifecycleSettings,
) -> pl.DataFrame:
    """Table `model_scores` as of the open of each session.

    Parameters
    ----------
    sessions : sequence of date
        Sessions wanted.
    axis : sequence of date
        All sessions from the first scored one, in time order: what came before is counted along it.
    opens : mapping of date to datetime
        Opening moment of each of `sessions`.
    zoo : sequence of MonitoredModel
        Models; one has rows from its first session on.
    evidence : Evidence
        Tests on matured ICs.
    looks : polars.DataFrame
        Result of :func:`session_looks` over the whole history.
    earnings : polars.DataFrame
        Result of :func:`session_earnings` over the whole history.
    settings : LifecycleSettings
        What counts as sound.
    """
    seen = {(row["session"], row["model"]): row for row in looks.iter_rows(named=True)}
    earned = {str(key[0]): _Earnings.of(rows) for key, rows in earnings.partition_by("model", as_dict=True).items()}
    wanted, rows = set(sessions), []
    runs = {member.model.name: (0, 0) for member in zoo}
    for place, session in enumerate(axis):
        before = axis[place - 1] if place else None
        for member in zoo:
            name = member.model.name
            if session < member.model.first_session:
                continue
            look, fault = {}, None
            if before is not None and before >= member.model.first_session:
                look = seen.get((before, name), {})
                runs[name], fault = run_after(runs[name], look, settings)
            if session in wanted:
                rows.append(
                    {
                        "session": session,
                        "model": name,
                        "family": member.model.family,
                        "configuration": member.configuration,
                        "model_version": look.get("model_version"),
                        **_measured(evidence, name, opens[session]),
                        **_promised(earned.get(name), opens[session]),
                        "turnover": look.get("turnover"),
                        "coverage": look.get("coverage", 0.0 if fault else 1.0),
                        "constant_share": look.get("constant_share", 0.0),
                        "features_lost": look.get("features_lost", 0.0),
                        "sound_sessions": runs[name][0],
                        "unsound_sessions": runs[name][1],
                        "fault": fault,
                    }
                )
    schema = empty("model_scores").schema
    frame = pl.DataFrame(rows, schema={name: dtype for name, dtype in schema.items() if name != "ic_rank"})
    rank = pl.col("ic").rank("average", descending=True).over("session")
    return frame.with_columns(rank.alias("ic_rank")).select(list(schema))


def model_health(scores: pl.DataFrame) -> dict[tuple[date, str], Health]:
    """Gate inputs from a `model_scores` frame; a model's very first session says nothing yet."""
    columns = ("session", "model", "sound_sessions", "unsound_sessions", "fault")
    return {
        (session, model): Health(sound, unsound, fault)
        for session, model, sound, unsound, fault in scores.select(columns).iter_rows()
        if sound or unsound
    }


def run_after(
    run: tuple[int, int], look: Mapping[str, Any], settings: LifecycleSettings
) -> tuple[tuple[int, int], str | None]:
    """Runs of sound and unsound sessions after one more.

    Parameters
    ----------
    run : tuple of int
        Sound and unsound sessions in a row before it; one of them is 0.
    look : mapping of str to object
        Row of :func:`session_looks`; empty where the model gave no scores.
    settings : LifecycleSettings
        What counts as sound.

    Returns
    -------
    run : tuple of int
    fault : str or None
        What was wrong with the session.
    """
    fault = _fault(look, settings)
    return (0, run[1] + 1) if fault else (run[0] + 1, 0), fault


def _fault(look: Mapping[str, Any], settings: LifecycleSettings) -> str | None:
    if not look:
        return "no scores"
    if look["coverage"] < settings.least_coverage:
        return f"scored {100 * look['coverage']:.0f} % of the rows"
    if look["constant_share"] > settings.most_constant:
        return f"constant scores at {100 * look['constant_share']:.0f} % of the decision times"
    if look["features_lost"] > settings.most_features_lost:
        return f"{100 * look['features_lost']:.0f} % of the features went missing"
    return None


def _measured(evidence: Evidence, model: str, moment: datetime) -> dict[str, Any]:
    series = evidence.ics(model, moment)
    estimate, found = mean_with_interval(series), evidence.measured(model, moment)
    return {
        "matured_sessions": len(series),
        "ic": estimate.mean,
        "ic_t": estimate.t,
        "ic_lower": estimate.lower,
        "ic_upper": estimate.upper,
        "recent_ic": float(series[-RECENT:].mean()) if series.size else None,
        "newest_ic": float(series[-1]) if series.size else None,
        "evidence_through": found.through,
    }


@dataclass(frozen=True)
class _Earnings:
    """Columns of one model's :func:`session_earnings`, shape (sessions,)."""

    matured_at: npt.NDArray[np.datetime64]
    earned: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> _Earnings:
        """Take them from a frame."""
        return cls(*(rows.get_column(name).to_numpy() for name in ("matured_at", "earned", "slope")))


def _promised(model: _Earnings | None, moment: datetime) -> dict[str, float | None]:
    """Mean earnings, and slope of what a unit of score brought on what the sessions before had brought."""
    nothing: dict[str, float | None] = {"score_return": None, "calibration_slope": None}
    if model is None:
        return nothing
    matured = model.matured_at < np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
    if not matured.any():
        return nothing
    slopes = model.slope[matured]
    promised = np.cumsum(slopes)[:-1] / np.arange(1, len(slopes))
    squares = float((promised**2).sum())
    kept = float((promised * slopes[1:]).sum()) / squares if squares > 0.0 else None
    return {"score_return": float(np.mean(model.earned[matured])), "calibration_slope": kept}
