"""The comparison of models for people: a console table, a markdown page and the asset's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from aurora_pipeline.monitoring.information_coefficient import MINIMUM_NAMES
from aurora_pipeline.monitoring.model_comparison import AGES, REGIMES, TOGETHER
from aurora_pipeline.monitoring.text_table import frame_table

MOST_MONTHS = 24
"""Months shown one by one."""
HEADLINE = {
    "model": "model",
    "kind": "kind",
    "ic": "IC",
    "t": "t",
    "p_value": "p",
    "interval": "95 % by t",
    "bootstrap": "95 % bootstrap",
    "less_mean_score": "IC less mean score",
    "less_t": "its t",
    "turnover": "turnover",
    "sharpe": "Sharpe",
    "deflated_sharpe": "deflated",
    "trials": "trials",
    "fit_seconds": "fit s",
    "predict_seconds": "predict s",
}


class Cost(NamedTuple):
    """What a family costs; None where it was not recorded.

    Times are no part of the table: it is the same for equal inputs.

    Attributes
    ----------
    fit_seconds : float or None
        Seconds to train a fold.
    predict_seconds : float or None
        Seconds to predict a session.
    """

    fit_seconds: float | None = None
    predict_seconds: float | None = None


def comparison_summary(table: pl.DataFrame, costs: Mapping[str, Cost]) -> pl.DataFrame:
    """One row per model with its main measures and its cost, columns as in :data:`HEADLINE`; models keep their order."""
    whole = table.filter(pl.col("dimension") == "all", pl.col("model") != TOGETHER)
    rows = []
    for model in whole.get_column("model").unique(maintain_order=True):
        own = {row["measure"]: row for row in whole.filter(pl.col("model") == model).iter_rows(named=True)}
        ic, less = own["ic"], own.get("ic_less_mean_score", {})
        rows.append(
            {
                "model": model,
                "kind": ic["kind"],
                "ic": ic["value"],
                "t": ic["t"],
                "p_value": ic["p_value"],
                "interval": _interval(ic["lower"], ic["upper"]),
                "bootstrap": _interval(ic["bootstrap_lower"], ic["bootstrap_upper"]),
                "less_mean_score": less.get("value"),
                "less_t": less.get("t"),
                **{
                    name: own.get(name, {}).get("value") for name in ("turnover", "sharpe", "deflated_sharpe", "trials")
                },
                **costs.get(model, Cost())._asdict(),
            }
        )
    texts = dict.fromkeys(("model", "kind", "interval", "bootstrap"), pl.String)
    schema = {name: texts.get(name, pl.Float64) for name in HEADLINE}
    return pl.DataFrame(rows, schema=schema).with_columns(pl.col("trials").cast(pl.Int64))


def matrix(table: pl.DataFrame, measure: str, dimension: str, levels: Sequence[str] | None = None) -> pl.DataFrame:
    """Lay one measure out as `model` by level of a dimension, in the order of the table or of `levels`."""
    part = table.filter(pl.col("measure") == measure, pl.col("dimension") == dimension)
    wide = part.pivot("level", index="model", values="value", aggregate_function=None, maintain_order=True)
    chosen = [name for name in wide.columns if name != "model"] if levels is None else list(levels)
    return wide.select("model", *(name for name in chosen if name in wide.columns))


def monthly(table: pl.DataFrame) -> pl.DataFrame:
    """IC as `model` by month; by year where there are more than :data:`MOST_MONTHS`."""
    months = table.filter(pl.col("measure") == "ic", pl.col("dimension") == "month")
    if months.get_column("level").n_unique() <= MOST_MONTHS:
        return matrix(table, "ic", "month")
    weight = pl.col("observations").filter(pl.col("value").is_not_null())
    years = months.group_by("model", pl.col("level").str.head(4), maintain_order=True).agg(
        # Every session counts once, as in the whole; a model without any session is empty.
        pl.when(weight.sum() > 0).then((pl.col("value") * pl.col("observations")).sum() / weight.sum()).alias("value"),
        pl.lit("ic").alias("measure"),
        pl.lit("month").alias("dimension"),
    )
    return matrix(years, "ic", "month")


def comparison_headline(table: pl.DataFrame) -> dict[str, float]:
    """Return the numbers Dagster plots: IC and t of every model, overfitting probability; what is undefined is left out."""
    numbers: dict[str, float | None] = {}
    for row in comparison_summary(table, {}).iter_rows(named=True):
        numbers |= {f"ic_{row['model']}": row["ic"], f"t_{row['model']}": row["t"]}
    together = table.filter(pl.col("model") == TOGETHER)
    for measure, value in together.select("measure", "value").iter_rows():
        numbers[measure] = value
    return {name: round(value, 5) for name, value in numbers.items() if value is not None}


def comparison_remarks(table: pl.DataFrame) -> list[str]:
    """Sentences on what the numbers rest on: trials, deflation, overfitting."""
    found = {
        row["measure"]: row
        for row in table.filter(pl.col("model") == TOGETHER, pl.col("dimension") == "all").iter_rows(named=True)
    }
    trials = found["trials"]["value"]
    overfitting = found["overfitting_probability"]
    said = (
        f"{trials:.0f} configurations were tried by the families; every Sharpe ratio is deflated by all of them."
        if trials
        else "No trial is on record: Sharpe ratios are not deflated."
    )
    if overfitting["value"] is None:
        return [said, "Probability of backtest overfitting: not testable (one family, or too few holding periods)."]
    return [
        said,
        f"Probability of backtest overfitting: {overfitting['value']:.2f} over {overfitting['observations']} purged splits "
        "(0.5: which family was best says nothing about which will be; near 0: the best one stays best).",
        f"The family picked in one half loses money in the other in {found['overfitting_loss']['value']:.0%} of the splits.",
    ]


def comparison_markdown(
    table: pl.DataFrame, title: str, costs: Mapping[str, Cost], notes: Sequence[str], plot: str | None = None
) -> str:
    """Write the page.

    Parameters
    ----------
    table : polars.DataFrame
        Result of :func:`~aurora_pipeline.monitoring.model_comparison.compare_models`.
    title : str
        Heading; says if the market is synthetic.
    costs : mapping of str to Cost
        What each family was recorded to cost.
    notes : sequence of str
        What is missing and why.
    plot : str, optional
        Name of the picture beside the page.
    """
    lines = [f"# {title}", "", *([f"![{title}]({plot})", ""] if plot else [])]
    lines += [f"- {remark}" for remark in (*comparison_remarks(table), *notes)]
    lines += ["", "## Every model", "", *frame_table(comparison_summary(table, costs), HEADLINE), ""]
    lines += [
        "IC: mean rank correlation with the label, over a session's decision times, then over sessions. Sharpe: yearly, of a "
        "rank-weighted portfolio of residual returns, held for one label without overlap, gross of costs; deflated: the "
        "probability that it is skill, given the trials. Turnover: 1 - rank correlation with the score a session before. A zero "
        "score ranks nobody, so its IC is undefined. Fit: seconds per fold; predict: seconds per session; reading and "
        "writing included. Empty: undefined or not recorded.",
    ]
    cuts = (
        ("IC by age of the score", "ic", "age_sessions", [str(age) for age in AGES]),
        ("IC by market volatility of the 21 sessions before", "ic", "volatility", list(REGIMES)),
        ("IC by sector", "ic", "sector", None),
        ("IC by month, by year where there are many", "ic", "month", None),
        ("Correlation between scores", "score_correlation", "other_model", None),
    )
    for heading, measure, dimension, levels in cuts:
        wide = monthly(table) if dimension == "month" else matrix(table, measure, dimension, levels)
        lines += ["", f"## {heading}", ""]
        if wide.width < 2:
            lines += ["None."]
            continue
        if dimension == "other_model":
            wide = wide.select("model", *wide.get_column("model"))
        lines += frame_table(wide, {name: name.replace("_", " ") for name in wide.columns})
        if dimension == "age_sessions":
            lines += ["", "Measured at the last decision time of each session."]
        if dimension == "sector":
            lines += ["", f"Empty: a sector that never had {MINIMUM_NAMES} names with score and label at once."]
    return "\n".join(lines) + "\n"


def _interval(lower: float | None, upper: float | None) -> str | None:
    return None if lower is None or upper is None else f"{lower:.3f} to {upper:.3f}"
