"""Whether today's inputs, scores, errors and market are still those the models were trained on.

- *Feature drift*, on raw values at the last decision time of a session: the panel's ranks have the same distribution every time,
  so their population stability index (PSI) is zero by construction. PSI over deciles of the reference (above 0.25 is
  customarily a shift: Siddiqi, "Credit Risk Scorecards", 2006) beyond what sampling alone gives (Yurdakul and Naranjo,
  "Statistical Properties of the Population Stability Index", Journal of Risk Model Validation 14(4), 2020; names are the
  sample, their sessions repeat themselves), Kolmogorov-Smirnov distance, and missingness.
- *Prediction drift*: PSI of a model's scores, standardised within their decision time so that a refit's scale is no drift.
- *Residual drift*: a model's newest matured ICs against those before; z with the variance of overlapping labels.
- *Regime*: volatility of the market and dispersion of residual returns, in logarithms, against the reference sessions.

Drift asks for a challenger (:func:`challengers_wanted`). It never trades: only evidence on ICs changes who does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.distribution_shift import distribution_shift
from aurora_pipeline.monitoring.sequential_tests import Float64
from aurora_pipeline.settings import DriftSettings

_KEY = ("session", "symbol", "decision_time")
_CHI_SQUARE = 27.88
"""0.999 quantile of chi-square with 9 degrees of freedom: without a shift the index of ten bins is (1/n + 1/N) times that."""


@dataclass(frozen=True)
class ChallengerWanted:
    """A challenger that drift asks for.

    Attributes
    ----------
    session : date
        Session after whose close it was asked for.
    family : str
        Family to train.
    reason : str
        What drifted.
    """

    session: date
    family: str
    reason: str


def feature_drift(features: pl.DataFrame, sessions: Sequence[date], settings: DriftSettings) -> pl.DataFrame:
    """Drift of raw feature values; rows of table `drift` of kind `feature`.

    Parameters
    ----------
    features : polars.DataFrame
        `session`, `symbol`, `decision_time` and raw features, of `sessions` and those before them; one decision time a
        session is enough.
    sessions : sequence of date
        Sessions wanted.
    settings : DriftSettings
        Windows and limits.
    """
    names = [name for name in features.columns if name not in _KEY]
    values = features.sort("session")
    days = values.get_column("session").to_numpy()
    axis = np.unique(days)
    table = np.stack([values.get_column(name).to_numpy() for name in names]) if names else np.empty((0, values.height))
    frames = []
    for session in sessions:
        now = np.searchsorted(axis, np.datetime64(session))
        if now == len(axis) or axis[now] != np.datetime64(session):
            continue
        today, recent, before = _windows(days, axis, int(now), settings)
        past = table[:, before]
        missing, gone = _missing(table[:, today]), _missing(past)
        psi = ks = np.full(len(names), np.nan)
        if len(np.unique(days[before])) >= settings.window_sessions:
            psi, ks = distribution_shift(table[:, recent], past)
        names_today = np.maximum(1, (~np.isnan(table[:, today])).sum(axis=1))
        shifted = psi > settings.psi + _CHI_SQUARE / names_today
        lost = (past.shape[1] > 0) & (missing - gone > settings.missing)
        numbers = {
            "value": _means(table[:, recent]),
            "reference": _means(past),
            "psi": psi,
            "ks": ks,
            "missing": missing,
            "reference_missing": gone,
            "drifted": shifted | lost,
        }
        frames.append(pl.DataFrame({"subject": names, **numbers}).with_columns(pl.lit(session).alias("session")))
    hollow = _frame([])
    rows = [frame.with_columns(kind=pl.lit("feature"), z=pl.lit(None, pl.Float64)) for frame in frames]
    return pl.concat([hollow, *(_nulled(frame).select(hollow.columns) for frame in rows)])


def prediction_drift(predictions: pl.DataFrame, sessions: Sequence[date], settings: DriftSettings) -> pl.DataFrame:
    """Drift of each model's standardised scores; rows of table `drift` of kind `prediction`."""
    score = pl.col("score").cast(pl.Float64)
    over = ["model", "decision_time"]
    z = (score - score.mean().over(over)) / score.std(ddof=0).over(over)
    rows = predictions.with_columns(z.alias("z")).select(*_KEY, "model", pl.col("z").fill_nan(None))
    frames = []
    for (model,), own in rows.partition_by("model", as_dict=True, include_key=False).items():
        frames.append(
            feature_drift(own.rename({"z": str(model)}), sessions, settings).with_columns(
                pl.lit("prediction").alias("kind")
            )
        )
    return pl.concat([_frame([]), *frames])


def residual_drift(series: dict[str, dict[date, Float64]], lanes: int, settings: DriftSettings) -> pl.DataFrame:
    """Drift of each model's ICs; rows of table `drift` of kind `residual`.

    Parameters
    ----------
    series : dict of str to dict of date to ndarray
        For each model and session the ICs that had matured at its close, in time order.
    lanes : int
        Sessions after which labels no longer overlap: the mean of n ICs has at most `lanes` times the variance of n
        independent ones.
    settings : DriftSettings
        Windows and limits.
    """
    rows = []
    for model, by_session in series.items():
        for session, ics in by_session.items():
            recent, before = ics[-settings.residual_sessions :], ics[: -settings.residual_sessions]
            if len(before) < settings.residual_sessions:
                continue
            spread = float(before.std(ddof=1)) * math.sqrt(lanes * (1 / len(recent) + 1 / len(before)))
            z = float(recent.mean() - before.mean()) / spread if spread > 0.0 else math.nan
            rows.append(
                _row(
                    session,
                    "residual",
                    model,
                    value=float(recent.mean()),
                    reference=float(before.mean()),
                    z=z,
                    drifted=z < -settings.z,
                )
            )
    return _frame(rows)


def regime_drift(measures: pl.DataFrame, sessions: Sequence[date], settings: DriftSettings) -> pl.DataFrame:
    """Change of the market's state; rows of table `drift` of kind `regime`.

    Parameters
    ----------
    measures : polars.DataFrame
        Result of :func:`regime_measures` of `sessions` and those before them.
    sessions : sequence of date
        Sessions wanted.
    settings : DriftSettings
        Windows and limits.
    """
    ordered = measures.sort("session")
    place = {day: index for index, day in enumerate(ordered.get_column("session"))}
    rows = []
    for name in ("market_volatility", "residual_dispersion"):
        logs = np.log(np.maximum(ordered.get_column(name).to_numpy(), 1e-12))
        for session in sessions:
            now = place.get(session)
            if now is None:
                continue
            recent = logs[max(0, now + 1 - settings.window_sessions) : now + 1]
            before = logs[
                max(0, now + 1 - settings.window_sessions - settings.reference_sessions) : now + 1 - len(recent)
            ]
            if len(before) < 2 * settings.window_sessions:
                continue
            spread = float(before.std(ddof=1))
            z = float(recent.mean() - before.mean()) / spread if spread > 0.0 else math.nan
            value, reference = float(np.exp(recent.mean())), float(np.exp(before.mean()))
            rows.append(
                _row(session, "regime", name, value=value, reference=reference, z=z, drifted=abs(z) > settings.z)
            )
    return _frame(rows)


def regime_measures(residual_returns: pl.DataFrame) -> pl.DataFrame:
    """Market volatility and residual dispersion of each session, per bar, from table `residual_returns`."""
    sound = residual_returns.filter(pl.col("quarantined_at").is_null())
    bars = sound.group_by("session", "bar_end", maintain_order=True).agg(
        pl.col("market_return").mean(), pl.col("residual_return").std().alias("dispersion")
    )
    return (
        bars.group_by("session", maintain_order=True)
        .agg(
            (pl.col("market_return") ** 2).mean().sqrt().alias("market_volatility"),
            pl.col("dispersion").mean().alias("residual_dispersion"),
        )
        .sort("session")
    )


def challengers_wanted(
    drift: pl.DataFrame, axis: Sequence[date], families: Mapping[str, date], settings: DriftSettings
) -> list[ChallengerWanted]:
    """Challengers that drift asks for, in time order.

    A family gets one at most every `drift.wait_sessions`, and `drift.most_challengers` a year. A model's own drift (scores, ICs)
    asks for its family; drift of the market or of many features, which no family escapes, for every one.

    Parameters
    ----------
    drift : polars.DataFrame
        Table `drift`.
    axis : sequence of date
        All sessions in time order.
    families : mapping of str to date
        Families that are trained, in the order of the settings, each with its first session.
    settings : DriftSettings
        Limits.
    """
    place = {day: index for index, day in enumerate(axis)}
    past: dict[str, list[int]] = {family: [] for family in families}
    wanted = []
    parts = {
        key[0]: rows
        for key, rows in drift.sort("session", "kind", "subject").partition_by("session", as_dict=True).items()
    }
    for session in sorted(day for day in parts if day in place):
        there = [family for family, first in families.items() if first <= session]
        now, reasons = place[session], _reasons(parts[session], there, settings)
        for family in there:
            ages = [now - then for then in past[family]]
            rested = not ages or min(ages) >= settings.wait_sessions
            if (
                family in reasons
                and rested
                and sum(age < SESSIONS_PER_YEAR for age in ages) < settings.most_challengers
            ):
                past[family].append(now)
                wanted.append(ChallengerWanted(session, family, reasons[family]))
    return wanted


def _reasons(rows: pl.DataFrame, families: Sequence[str], settings: DriftSettings) -> dict[str, str]:
    """Family to what drifted, for one session."""
    found: dict[str, str] = {}
    own = rows.filter(pl.col("kind").is_in(["residual", "prediction"]) & pl.col("drifted"))
    for row in own.iter_rows(named=True):
        family = row["subject"].partition("~")[0]
        measure = f"z {row['z']:.1f}" if row["kind"] == "residual" else f"PSI {row['psi']:.2f}"
        found.setdefault(family, f"{row['kind']} drift of {row['subject']}: {measure}")
    features = rows.filter(pl.col("kind") == "feature")
    share = float(features.get_column("drifted").mean() or 0.0)  # type: ignore[arg-type]
    general = [f"{100 * share:.0f} % of the features drifted"] if share > settings.feature_share else []
    regime = rows.filter((pl.col("kind") == "regime") & pl.col("drifted"))
    general += [f"regime: {row['subject']} z {row['z']:.1f}" for row in regime.iter_rows(named=True)]
    for family in families if general else ():
        found.setdefault(family, general[0])
    return found


def lost_features(drift: pl.DataFrame, features_of: dict[str, Sequence[str]], limit: float) -> pl.DataFrame:
    """Share of each model's features that went missing: `session`, `model`, `features_lost`.

    Parameters
    ----------
    drift : polars.DataFrame
        Table `drift`.
    features_of : dict of str to sequence of str
        Model to its feature list.
    limit : float
        Rise of the missing share that counts as lost.
    """
    gone = drift.filter(pl.col("kind") == "feature").select(
        "session", "subject", (pl.col("missing") - pl.col("reference_missing") > limit).alias("lost")
    )
    lists = pl.DataFrame(
        [(model, name) for model, names in features_of.items() for name in names],
        schema={"model": pl.String, "subject": pl.String},
        orient="row",
    )
    return (
        gone.join(lists, on="subject")
        .group_by("session", "model", maintain_order=True)
        .agg(pl.col("lost").mean().alias("features_lost"))
    )


def _windows(days: Any, axis: Any, now: int, settings: DriftSettings) -> tuple[slice, slice, slice]:
    """Rows of the session, of the recent sessions and of the reference before them."""
    recent = max(0, now + 1 - settings.window_sessions)
    before = max(0, recent - settings.reference_sessions)
    end = int(np.searchsorted(days, axis[now], side="right"))
    starts = [int(np.searchsorted(days, axis[k], side="left")) for k in (now, recent, before)]
    return slice(starts[0], end), slice(starts[1], end), slice(starts[2], starts[1])


def _missing(values: Float64) -> Float64:
    """Share of each row without a value; 0 where there is nothing at all."""
    return np.asarray(np.isnan(values).mean(axis=1) if values.shape[1] else np.zeros(len(values)))


def _means(values: Float64) -> Float64:
    """Mean of each row's values; NaN where there is none."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.asarray(np.where(known, values, 0.0).sum(axis=1, dtype=np.float64) / np.where(count > 0, count, np.nan))


def _row(session: date, kind: str, subject: str, *, drifted: bool, **numbers: float) -> dict[str, Any]:
    blank: dict[str, Any] = dict.fromkeys(("value", "reference", "psi", "ks", "z"), math.nan)
    blank |= {"missing": 0.0, "reference_missing": 0.0}
    return {"session": session, "kind": kind, "subject": subject, "drifted": bool(drifted), **blank, **numbers}


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = empty("drift").schema
    frame = pl.DataFrame(rows, schema=schema)
    return _nulled(frame)


def _nulled(frame: pl.DataFrame) -> pl.DataFrame:
    """Null where a number could not be measured."""
    return frame.with_columns(pl.col(name).fill_nan(None) for name in ("value", "reference", "psi", "ks", "z"))
