"""The signal for people: one markdown page of its quality by month, reliability, sectors, quantiles, decay and turnover."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from aurora_pipeline.monitoring.ic_suite import ICSuite, ic_suite
from aurora_pipeline.monitoring.signal_quality import EVERY
from aurora_pipeline.monitoring.text_table import markdown_table

LATER = (1, 2, 5, 10)
"""Sessions later whose label the score is also held against."""
MONTH_COLUMNS = {
    "period": "period",
    "matured_sessions": "sessions",
    "ic": "IC",
    "ic_lower": "from",
    "ic_upper": "to",
    "slope": "slope",
    "slope_lower": "from ",
    "slope_upper": "to ",
    "intercept_bps": "intercept, bps",
    "calibration_error": "calibration error",
    "sharpness_bps": "width of 80 %, bps",
    "ic_stability": "IC stability",
    "ic_floor": "its floor",
    "autocorrelation": "autocorrelation",
    "half_life_sessions": "half-life, sessions",
}
_SKIPPED = "-"


def signal_suite(signals: pl.DataFrame, labels: pl.DataFrame, universe: pl.DataFrame) -> ICSuite:
    """IC suite of the score, by sector, against the labels of its own session and of the sessions of :data:`LATER`.

    Parameters
    ----------
    signals, labels, universe : polars.DataFrame
        Tables of the same name. Every k-th decision time of a session is used, see
        :data:`~aurora_pipeline.monitoring.signal_quality.EVERY`; turnover is over as many as a session has.
    """
    clock = (pl.col("decision_time").rank("dense").over("session") - 1).cast(pl.Int64).alias("clock")
    sampled = signals.select("session", "symbol", "decision_time", "score").with_columns(clock)
    sampled = sampled.filter(pl.col("clock") % EVERY == 0)
    outcomes = sampled.select("session", "symbol", "decision_time", "clock").join(
        labels.select("symbol", "decision_time", "label"), on=["symbol", "decision_time"]
    )
    sessions = sampled.get_column("session").unique().sort()
    panel = sampled.join(universe.select("session", "symbol", "sector"), on=["session", "symbol"], how="left").join(
        outcomes.drop("decision_time"), on=["session", "symbol", "clock"], how="left"
    )
    for age in LATER:
        earlier = pl.DataFrame({"session": sessions[age:], "earlier": sessions[: max(0, sessions.len() - age)]})
        later = outcomes.join(earlier, on="session").select(
            pl.col("earlier").alias("session"), "symbol", "clock", pl.col("label").alias(_later(age))
        )
        panel = panel.join(later, on=["session", "symbol", "clock"], how="left")
    per_session = sampled.get_column("clock").n_unique()
    return ic_suite(panel, ["label", *map(_later, LATER)], lag=max(1, per_session))


def signal_markdown(title: str, quality: pl.DataFrame, reliability: pl.DataFrame, suite: ICSuite) -> str:
    """Write the page from tables `signal_quality` and `reliability` and the suite."""
    months = quality.filter(pl.col("kind") != "session").select(list(MONTH_COLUMNS)).rename(MONTH_COLUMNS)
    whole = reliability.filter(pl.col("period") == "all").drop("period")
    sectors = (
        suite.group_ic.filter(pl.col("outcome") == "label")
        .group_by("group", maintain_order=True)
        .agg(pl.col("ic").mean().alias("mean IC"), pl.col("ic").count().alias("decision times"))
        .sort("group", nulls_last=True)
        .rename({"group": "sector"})
    )
    quantiles = suite.quantile_returns.filter(pl.col("outcome") == "label").select(
        "quantile",
        (1e4 * pl.col("mean")).alias("return beyond the mean, bps"),
        (1e4 * pl.col("standard_error")).alias("standard error"),
    )
    moved = suite.turnover.drop("decision_time").mean()
    parts: Sequence[tuple[str, pl.DataFrame]] = (
        ("By month and over everything", months),
        ("Reliability: realised against expected return in tenths of the latter", whole),
        ("By sector", sectors),
        ("By fifth of the score", quantiles),
        ("Decay: IC against the label of the same time of day some sessions later", suite.decay),
        ("Turnover over a session: share of new names in each fifth, rank autocorrelation", moved),
    )
    lines = [f"# {title}"]
    for heading, table in parts:
        lines += ["", f"## {heading}", "", *_table(table)]
    return "\n".join(lines) + "\n"


def _later(age: int) -> str:
    return f"label_{age}_sessions_later"


def _table(frame: pl.DataFrame) -> list[str]:
    return markdown_table((name.strip() for name in frame.columns), frame.iter_rows(), _cell)


def _cell(value: object) -> str:
    if value is None:
        return _SKIPPED
    return f"{value:.4g}" if isinstance(value, float) else str(value)
