"""The feature audit for people: a markdown page and a plot."""

from __future__ import annotations

import io
from collections.abc import Mapping

import polars as pl

from aurora_pipeline.monitoring.text_table import frame_table

SELDOM = 0.5
"""Coverage below which a feature is listed: its feed began late, stopped, or covers few stocks."""
AUDIT_COLUMNS = {
    "feature": "feature",
    "view": "view",
    "verdict": "verdict",
    "coverage": "coverage",
    "ic": "IC",
    "ic_t": "t",
    "ic_q": "q",
    "incremental_ic": "IC beyond commodity",
    "incremental_q": "its q",
    "commodity_r2": "R2 on commodity",
    "turnover": "turnover",
    "months_agreeing": "months agreeing",
    "ic_age_1": "IC 1 session old",
    "ic_age_5": "5 old",
    "ic_age_10": "10 old",
    "nearest": "nearest",
    "nearest_correlation": "its correlation",
}


def audit_headline(audit: pl.DataFrame) -> dict[str, float | int]:
    """Count verdicts and faults, for the asset's plots."""
    counts = {
        verdict: audit.filter(pl.col("verdict") == verdict).height for verdict in ("alpha", "commodity", "unproven")
    }
    usable = audit.filter(pl.col("unavailable").is_null(), pl.col("role") == "signal")
    largest = usable.get_column("nearest_correlation").max()
    median = usable.get_column("coverage").median()
    return {
        "features": audit.height,
        **counts,
        "faults": audit.get_column("fault").count(),
        "unavailable": audit.get_column("unavailable").count(),
        "median_coverage": round(float(median or 0.0), 4),  # type: ignore[arg-type]
        "largest_correlation": round(float(largest or 0.0), 4),  # type: ignore[arg-type]
    }


def audit_markdown(
    audit: pl.DataFrame,
    title: str,
    gains: pl.DataFrame | None = None,
    notes: Mapping[str, str] | None = None,
    plot: str | None = None,
) -> str:
    """Write the page.

    Parameters
    ----------
    audit : polars.DataFrame
        Table `feature_audit` of one fold.
    title : str
        Heading; says if the market is synthetic.
    gains : polars.DataFrame, optional
        From :func:`~aurora_pipeline.monitoring.feed_value.feed_gains`.
    notes : mapping of str to str, optional
        Further sections, heading to text.
    plot : str, optional
        Name of the picture beside the page.
    """
    lines = [f"# {title}", "", *([f"![{title}]({plot})", ""] if plot else [])]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in audit_headline(audit).items()]
    for heading, column in (("Faults", "fault"), ("Not available in this market", "unavailable")):
        found = audit.drop_nulls(column)
        lines += ["", f"## {heading}", ""]
        lines += [f"- `{name}`: {why}" for name, why in found.select("feature", column).iter_rows()] or ["None."]
    thin = audit.filter(pl.col("unavailable").is_null(), pl.col("coverage") < SELDOM, pl.col("fault").is_null())
    lines += ["", f"## There in fewer than {SELDOM:.0%} of the rows", ""]
    lines += [
        f"- `{name}`: {share:.0%}; missing is expected where there is {why}"
        for name, share, why in thin.select("feature", "coverage", "expected_missing").iter_rows()
    ] or ["None."]
    if gains is not None:
        lines += [
            "",
            "## What each feed adds",
            "",
            *frame_table(gains, _own(gains)),
        ]
    for heading, text in (notes or {}).items():
        lines += ["", f"## {heading}", "", text]
    lines += ["", "## Every feature", "", *frame_table(strongest(audit), AUDIT_COLUMNS)]
    return "\n".join(lines) + "\n"


def planted_markdown(planted: pl.DataFrame, decoys: pl.DataFrame) -> dict[str, str]:
    """Sections on what was planted in a synthetic market, and on what was planted to carry nothing."""
    inside = planted.get_column("inside").sum()
    shown = decoys.select("feature", "coverage", "ic", "ic_q", "incremental_ic", "incremental_q", "verdict")
    return {
        f"What was planted: {inside} of {planted.height} inside their 95 % interval": "\n".join(
            frame_table(planted, _own(planted))
        ),
        "Decoys": "\n".join(frame_table(shown, _own(shown))),
    }


def strongest(audit: pl.DataFrame) -> pl.DataFrame:
    """Features the market can give, in order of the t of what they add."""
    return audit.filter(pl.col("unavailable").is_null()).sort(
        pl.col("incremental_t").abs(), descending=True, nulls_last=True, maintain_order=True
    )


def _own(frame: pl.DataFrame) -> dict[str, str]:
    return {name: name.replace("_", " ") for name in frame.columns}


def audit_plot(audit: pl.DataFrame, title: str) -> bytes:
    """Draw IC with its interval and the part beyond the commodity view of the strongest 40 features; PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    strongest = (
        audit.drop_nulls(["ic", "ic_lower"]).sort(pl.col("ic_t").abs(), descending=True, maintain_order=True).head(40)
    )
    colours = {"alpha": "#1b7837", "commodity": "#2166ac", "unproven": "#999999"}
    figure = Figure(figsize=(9.0, 0.24 * max(strongest.height, 4) + 1.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, row in enumerate(strongest.iter_rows(named=True)):
        colour = colours[row["verdict"]]
        axes.plot([row["ic_lower"], row["ic_upper"]], [place, place], color=colour, linewidth=1.5)
        axes.plot(row["ic"], place, "o", color=colour, markersize=5)
        if row["incremental_ic"] is not None:
            axes.plot(row["incremental_ic"], place, "|", color="black", markersize=9)
    axes.set_yticks(range(strongest.height), strongest.get_column("feature").to_list(), fontsize=7)
    axes.invert_yaxis()
    axes.axvline(0.0, color="black", linewidth=0.6)
    axes.set_xlabel("information coefficient with 95 % interval; bar: IC beyond price and volume features")
    axes.set_title(title, fontsize=10)
    for verdict, colour in colours.items():
        axes.plot([], [], "o", color=colour, label=verdict)
    axes.legend(loc="lower right", fontsize=8)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
