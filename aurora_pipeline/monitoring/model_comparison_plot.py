"""The comparison of models as one picture of six panels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from aurora_pipeline.monitoring.dashboard.panel import number
from aurora_pipeline.monitoring.information_coefficient import MINIMUM_NAMES
from aurora_pipeline.monitoring.model_comparison import AGES, BASELINE, ENSEMBLE, FAMILY, REGIMES, TOGETHER
from aurora_pipeline.monitoring.model_comparison_report import matrix, monthly

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {FAMILY: "#2166ac", ENSEMBLE: "#1b7837", BASELINE: "#8c8c8c"}
_LINES = ("#2166ac", "#d6604d", "#4393c3", "#b2182b", "#762a83", "#e08214", "#35978f", "#9970ab", "#bf812d")


def comparison_plot(table: pl.DataFrame, title: str) -> bytes:
    """Draw the comparison.

    Parameters
    ----------
    table : polars.DataFrame
        Result of :func:`~aurora_pipeline.monitoring.model_comparison.compare_models`.
    title : str
        Heading; says if the market is synthetic.

    Returns
    -------
    bytes
        A PNG, see :func:`comparison_figure`.
    """
    content = io.BytesIO()
    comparison_figure(table, title).savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def comparison_figure(table: pl.DataFrame, title: str) -> Figure:
    """Lay the drawing out; parameters as of :func:`comparison_plot`.

    Returns
    -------
    matplotlib.figure.Figure
        IC with both intervals; IC by age; correlation between scores; IC by month, by sector, by volatility.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    kinds = dict(table.filter(pl.col("model") != TOGETHER).select("model", "kind").unique(maintain_order=True).rows())
    height = 0.3 * len(kinds)
    figure = Figure(figsize=(15.0, 5.2 + 2.0 * height), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3, gridspec_kw={"width_ratios": [1.25, 1.0, 1.25]})
    figure.suptitle(title, fontsize=14, fontweight="bold")
    _intervals(axes[0, 0], table, kinds)
    _decay(axes[0, 1], table, kinds)
    likeness = matrix(table, "score_correlation", "other_model")
    columns = [name for name in kinds if name in likeness.columns and likeness.get_column(name).count()]
    _Heat("RdBu", 1.0).draw(axes[0, 2], likeness.select("model", *columns), "Rank correlation between scores")
    months, sectors = monthly(table), matrix(table, "ic", "sector")
    regimes = matrix(table, "ic", "volatility", list(REGIMES))
    heat = _Heat("RdBu", max(_largest(frame) for frame in (months, sectors, regimes)), percent=True)
    heat.draw(axes[1, 0], months, "IC by time, in %")
    heat.draw(axes[1, 1], regimes, "IC by market volatility of the 21 sessions before, in %")
    heat.draw(axes[1, 2], sectors, f"IC by sector, in %; empty: fewer than {MINIMUM_NAMES} names")
    return figure


def _intervals(axes: Any, table: pl.DataFrame, kinds: dict[str, str]) -> None:
    """IC of every model: thick bar by the session-mean t, thin one by the bootstrap."""
    whole = table.filter(pl.col("measure") == "ic", pl.col("dimension") == "all")
    rows = {row["model"]: row for row in whole.iter_rows(named=True)}
    for place, (model, kind) in enumerate(kinds.items()):
        row, colour = rows[model], COLOURS[kind]
        if row["value"] is None:
            axes.text(0.0, place, "  undefined", va="center", fontsize=8, color=colour)
            continue
        if row["lower"] is not None:
            axes.plot([row["lower"], row["upper"]], [place] * 2, color=colour, linewidth=5, alpha=0.35)
        if row["bootstrap_lower"] is not None:
            axes.plot([row["bootstrap_lower"], row["bootstrap_upper"]], [place] * 2, color=colour, linewidth=1.6)
        axes.plot(row["value"], place, "o", color=colour, markersize=6)
        if row["t"] is not None:
            axes.annotate(
                f"t {row['t']:.1f}", (row["upper"], place), (6, 0), textcoords="offset points", va="center", fontsize=8
            )
    axes.set_yticks(range(len(kinds)), [_name(model) for model in kinds], fontsize=9)
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.margins(x=0.14)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlabel("mean rank IC", fontsize=9)
    axes.set_title("IC: wide bar 95 % by session-mean t, line by bootstrap", fontsize=10)
    for kind, colour in COLOURS.items():
        axes.plot([], [], "o", color=colour, label=kind)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=len(COLOURS), fontsize=8)


def _decay(axes: Any, table: pl.DataFrame, kinds: dict[str, str]) -> None:
    """IC of scores held back some sessions."""
    aged = table.filter(pl.col("dimension") == "age_sessions")
    families = iter(_LINES * len(kinds))
    for model, kind in kinds.items():
        own = aged.filter(pl.col("model") == model).drop_nulls("value").sort(pl.col("level").cast(pl.Int64))
        if own.is_empty():
            continue
        at = [AGES.index(int(age)) for age in own.get_column("level")]
        style: dict[str, Any] = {"linewidth": 1.4, "color": next(families)} if kind == FAMILY else {}
        if kind == ENSEMBLE:
            style = {"linewidth": 2.6, "color": COLOURS[kind], "linestyle": "-" if model == "ensemble" else ":"}
        elif kind == BASELINE:
            style = {
                "linewidth": 1.1,
                "color": COLOURS[kind],
                "linestyle": ("-", "--", "-.", ":")[list(kinds).index(model) % 4],
            }
        axes.plot(at, own.get_column("value").to_list(), marker="o", markersize=3, label=_name(model), **style)
    axes.set_xticks(range(len(AGES)), [str(age) for age in AGES])
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.grid(alpha=0.25)
    axes.set_xlabel("sessions the score is held back", fontsize=9)
    axes.set_ylabel("mean rank IC", fontsize=9)
    axes.set_title("Decay of the IC, last decision time of a session", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=7.5, ncols=3)


class _Heat:
    """A table as coloured cells with their numbers, on a scale symmetric around 0."""

    def __init__(self, colours: str, limit: float, *, percent: bool = False) -> None:
        self._colours = colours
        self._limit = limit or 1.0
        self._percent = percent

    def draw(self, axes: Any, frame: pl.DataFrame, heading: str) -> None:
        axes.set_title(heading, fontsize=10)
        levels = [name for name in frame.columns if name != "model"]
        values = (
            frame.select(pl.col(levels).cast(pl.Float64).fill_null(np.nan)).to_numpy() if levels else np.zeros((0, 0))
        )
        if not np.isfinite(values).any():
            axes.set_axis_off()
            axes.text(0.5, 0.5, "nothing to show", ha="center", va="center", color="grey")
            return
        shown = np.flatnonzero(np.isfinite(values).any(axis=1))
        names, values = frame.get_column("model")[shown].to_list(), values[shown]
        axes.imshow(values, cmap=self._colours, vmin=-self._limit, vmax=self._limit, aspect="auto")
        size = 8 if len(levels) <= 12 else 6
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                strong = abs(value) > 0.7 * self._limit
                text = number(100.0 * value, 1) if self._percent else number(value, 2)
                axes.text(
                    column, row, text, ha="center", va="center", fontsize=size, color="white" if strong else "black"
                )
        turned = max(len(name) for name in levels) * len(levels) > 60
        axes.set_xticks(
            range(len(levels)),
            [_name(name) for name in levels],
            fontsize=8,
            rotation=40 if turned else 0,
            ha="right" if turned else "center",
        )
        axes.set_yticks(range(len(names)), [_name(name) for name in names], fontsize=9)


def _largest(frame: pl.DataFrame) -> float:
    values = frame.drop("model").cast(pl.Float64).fill_null(0.0).to_numpy() if frame.width > 1 else np.zeros(1)
    return float(np.abs(values).max(initial=0.0))


def _name(model: str) -> str:
    return model.replace("_", " ")
