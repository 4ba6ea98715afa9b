"""Audits by hand: of every feature on a fold's train block, and of every session for leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.stage_inputs.audit import absent_features, decoy_columns
from aurora_pipeline.adapters.stage_inputs.features import read_feature_inputs
from aurora_pipeline.adapters.stage_inputs.fold import read_fold_inputs
from aurora_pipeline.adapters.worker_processes import worker_pool
from aurora_pipeline.atomic import atomic_bytes, atomic_text
from aurora_pipeline.errors import LakeError
from aurora_pipeline.features.leakage import FEATURE_CHECKS, feature_leaks, sample_decision_times
from aurora_pipeline.features.registry import REGISTRY
from aurora_pipeline.lineage import Lineage
from aurora_pipeline.models.label_leakage import LABEL_CHECKS, LabelInputs, label_cuts, label_leaks
from aurora_pipeline.monitoring.feature_audit import audit_features
from aurora_pipeline.monitoring.feature_audit_report import audit_markdown, audit_plot, planted_markdown
from aurora_pipeline.monitoring.feed_value import feed_gains
from aurora_pipeline.monitoring.planted_recovery import planted_recovery
from aurora_pipeline.stage import Read
from aurora_pipeline.stages import book_name, plan_stages

LEAK_TABLE = ("session", "check", "cut", "table", "column", "symbol", "decision_time", "stored", "recomputed")


@dataclass(frozen=True)
class FeatureAuditReport:
    """What an audit of features found.

    Attributes
    ----------
    audit : polars.DataFrame
        Table `feature_audit` of the fold.
    gains : polars.DataFrame
        What each feed adds, see :func:`~aurora_pipeline.monitoring.feed_value.feed_gains`.
    planted : polars.DataFrame or None
        Planted against measured IC; None on a real market.
    decoys : polars.DataFrame or None
        Audit of the columns and features that carry nothing; None on a real market.
    page, plot : Path
        Where it is written up.
    """

    audit: pl.DataFrame
    gains: pl.DataFrame
    planted: pl.DataFrame | None
    decoys: pl.DataFrame | None
    page: Path
    plot: Path

    @property
    def faults(self) -> pl.DataFrame:
        """Features that are broken, decoys that pass, and decoys that were never put to the test: `feature`, `fault`."""
        found = [self.audit.drop_nulls("fault").select("feature", "fault")]
        if self.decoys is not None:
            passing = self.decoys.filter(pl.col("verdict") != "unproven")
            found.append(passing.select("feature", pl.lit("a decoy that passes for alpha").alias("fault")))
            untested = self.decoys.filter(pl.col("ic").is_null(), pl.col("unavailable").is_null())
            found.append(untested.select("feature", pl.lit("a decoy without a value").alias("fault")))
        return pl.concat(found)


def run_feature_audit(home: Home, fold_key: str | None = None) -> FeatureAuditReport:
    """Audit every feature on a fold's train block and write it up below ``<home>/reports``.

    Parameters
    ----------
    home : Home
        With features and labels of the fold's train block.
    fold_key : str, optional
        Fold; the newest if left out.
    """
    settings = home.settings()
    folds = Lineage(home, settings, plan_stages(home, settings), book_name(settings)).folds
    chosen = [fold for fold in folds if fold_key in {None, fold.key}]
    if not chosen:
        raise LakeError(f"no fold {fold_key}; this market gives {', '.join(fold.key for fold in folds)}")
    fold = chosen[-1]
    features, labels = read_fold_inputs(home, settings, fold)
    if features.is_empty() or labels.is_empty():
        raise LakeError(f"the lake has no features and labels before {fold.test[0]}; start with `aurora run`")
    absent = absent_features(home, home.calendar.close(fold.train[1]))
    audit = audit_features(fold.key, features, labels, REGISTRY, absent)
    gains = feed_gains(features, labels, REGISTRY, settings.features.monthly_cost_usd)
    folder = home.folder()
    truth = folder.read_truth()
    planted = decoys = None
    if truth is not None:
        planted = planted_recovery(features, labels, truth)
        wider, specs = decoy_columns(home, features)
        listed = set(folder.manifest.decoys)
        own = [spec for spec in REGISTRY if spec.columns and set(spec.columns) <= listed]
        decoys = audit_features(fold.key, wider, labels, [*REGISTRY, *specs], absent).filter(
            pl.col("feature").is_in([spec.name for spec in (*own, *specs)])
        )
    kind = "synthetic market" if truth is not None else "market"
    title = f"Features before {fold.key}, {kind} {folder.manifest.name}"
    page = home.reports / f"feature_audit_{fold.key}.md"
    plot = page.with_suffix(".png")
    notes = {} if planted is None or decoys is None else planted_markdown(planted, decoys)
    atomic_text(page, audit_markdown(audit, title, gains, notes, plot.name))
    atomic_bytes(plot, audit_plot(audit, title))
    return FeatureAuditReport(audit, gains, planted, decoys, page, plot)


def run_leak_audit(home: Home, first: date | None, last: date | None, processes: int) -> pl.DataFrame:
    """Run every leak check on features and labels of every session at several cuts.

    Parameters
    ----------
    home : Home
        With features and labels.
    first, last : date, optional
        Sessions wanted; all if left out.
    processes : int
        Sessions looked at side by side.

    Returns
    -------
    polars.DataFrame
        Columns :data:`LEAK_TABLE`, one row per value that differs; empty if nothing is wrong.

    Raises
    ------
    LakeError
        The range is empty or ends before it begins, or the lake has no features of some of it.
    """
    sessions = home.sessions(home.settings())
    if first is not None and last is not None and last < first:
        raise LakeError(f"the range ends on {last}, before it begins on {first}")
    wanted = [day for day in sessions if (first is None or first <= day) and (last is None or day <= last)]
    if not wanted:
        asked = f"before {last}" if first is None else f"from {first} {f'to {last}' if last else 'on'}"
        raise LakeError(f"the market has no session {asked}; it has {sessions[0]} to {sessions[-1]}")
    computed = set(home.lake.read("features", columns=["session"]).get_column("session").unique())
    missing = [day for day in wanted if day not in computed]
    if missing:
        raise LakeError(
            f"the lake has no features of {len(missing)} session(s) of {wanted[0]} to {wanted[-1]}; start with `aurora run`"
        )
    found = []
    with worker_pool(processes) as pool:
        for done, leaks in enumerate(pool.map(_session_leaks, [home.path] * len(wanted), wanted), start=1):
            report("leak checks", done, len(wanted))
            found.append(leaks)
    return pl.concat(found)


def _session_leaks(path: Path, session: date) -> pl.DataFrame:
    """All checks of one session: features at four cuts, labels at two."""
    home = Home(path)
    settings = home.settings()
    sessions = home.sessions(settings)
    index = sessions.index(session)

    def read_back(name: str, days: Sequence[date], count: int, columns: Sequence[str] | None) -> pl.DataFrame:
        return home.lake.read(name, sessions[max(0, sessions.index(days[0]) - count)], days[-1], columns)

    inputs = read_feature_inputs(home, settings, [session], read_back)
    cuts = sample_decision_times(session, home.calendar, home.frequency)
    features = feature_leaks(
        inputs, home.lake.read("features", session, session), cuts, session.toordinal(), FEATURE_CHECKS
    )
    stage = next(stage for stage in plan_stages(home, settings) if stage.name == "labels")
    reach = next(read.sessions for read in stage.reads if isinstance(read, Read) and read.window == "ahead")
    label_inputs = LabelInputs(
        [session],
        home.lake.read("residual_returns", session, sessions[min(index + reach, len(sessions) - 1)]),
        home.lake.read("universe", session, session),
        home.calendar,
        home.frequency,
        settings.horizon_bars(home.frequency),
        settings.execution_lag_bars,
    )
    stored = home.lake.read("labels", session, session)
    labels = label_leaks(label_inputs, stored, label_cuts(label_inputs, stored), session.toordinal(), LABEL_CHECKS)
    both = pl.concat(
        [features, labels.with_columns(pl.lit("labels").alias("table"), pl.lit("label").alias("column"))],
        how="diagonal",
    )
    return both.with_columns(pl.lit(session).alias("session")).select(LEAK_TABLE)
