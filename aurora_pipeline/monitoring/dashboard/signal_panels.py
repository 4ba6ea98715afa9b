"""How good the signal is: information coefficient over time, and whether its promises are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from aurora_pipeline.calendar import SESSIONS_PER_YEAR
from aurora_pipeline.monitoring.dashboard.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    ROOM,
    calendar_period,
    dated,
    drawn,
    in_percent,
    named,
)
from aurora_pipeline.monitoring.dashboard.panel import (
    Absent,
    Block,
    Chart,
    Fact,
    Facts,
    Note,
    Rows,
    counted,
    interval,
    number,
    percent,
)

NO_SIGNAL = Absent("no signal has been measured: labels have not matured, or nobody asked", "aurora run")
LEVELS = (("coverage_50", 0.5, BLUE), ("coverage_80", 0.8, ORANGE), ("coverage_90", 0.9, GREEN))
MEAN_SESSIONS = 21
"""Sessions of the mean that is drawn where the history is too long for one of months."""
LEAST_COVERAGE = 0.4
"""Where the axis of coverage begins unless something lies below."""


def information_coefficient(signal_quality: pl.DataFrame, model_scores: pl.DataFrame) -> Sequence[Block]:
    """IC of the ensemble by session and month with intervals, and of every model to date.

    Parameters
    ----------
    signal_quality, model_scores : polars.DataFrame
        Tables of the same name.
    """
    sessions = signal_quality.filter(pl.col("kind") == "session", pl.col("ic").is_not_null()).sort("period")
    if sessions.is_empty():
        return [NO_SIGNAL]
    whole = signal_quality.filter(pl.col("kind") == "all").row(0, named=True)
    months = signal_quality.filter(pl.col("kind") == "month", pl.col("ic").is_not_null()).sort("period")
    days = [date.fromisoformat(text) for text in sessions.get_column("period")]
    middles = [date.fromisoformat(f"{text}-15") for text in months.get_column("period")]
    monthly = calendar_period(days[0], days[-1])[0] == "month"
    span = MEAN_SESSIONS if monthly else SESSIONS_PER_YEAR
    recent = sessions.get_column("ic").rolling_mean(span, min_samples=span)

    def draw(axes: Any) -> None:
        axes.plot(days, sessions["ic"], ".", color=GREY, markersize=3, label="session")
        axes.plot(days, recent, color=BLUE, label=f"mean of {span} sessions")
        for middle, row in zip(middles, months.iter_rows(named=True), strict=True) if monthly else ():
            bounds = None if row["ic_lower"] is None else [[row["ic"] - row["ic_lower"]], [row["ic_upper"] - row["ic"]]]
            label = "month, 95 % interval" if middle == middles[0] else None
            axes.errorbar([middle], [row["ic"]], bounds, fmt="s", color=ORANGE, markersize=4, capsize=3, label=label)
        axes.axhline(0.0, color=GREY, linewidth=0.6)
        axes.set_ylabel("rank correlation with the label")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=3)
        dated(axes)

    return [
        Facts(
            (
                Fact(
                    "rank IC, ensemble",
                    number(whole["ic"], 4),
                    interval(whole["ic_lower"], whole["ic_upper"], lambda value: number(value, 3)),
                ),
                Fact("t", number(whole["ic_t"], 1), counted(whole["matured_sessions"], "matured session")),
                Fact(
                    "IC stability",
                    number(whole["ic_stability"], 3),
                    f"sampling alone gives {number(whole['ic_floor'], 3)}",
                ),
                Fact("half-life", number(whole["half_life_sessions"], 1), "sessions"),
            )
        ),
        Chart(
            drawn(draw, height=2.5),
            f"IC of {counted(sessions.height, 'session')}, "
            f"{'monthly means with 95 % intervals' if monthly else f'mean of {span} sessions'}",
        ),
        *_models(model_scores),
        _by_month(months),
    ]


def _models(model_scores: pl.DataFrame) -> list[Block]:
    newest = model_scores.filter(pl.col("session") == pl.col("session").max(), pl.col("ic").is_not_null()).sort("ic")
    if newest.is_empty():
        return []
    names = newest.get_column("model").to_list()

    def draw(axes: Any) -> None:
        for position, row in enumerate(newest.iter_rows(named=True)):
            if row["ic_lower"] is not None:
                axes.plot([row["ic_lower"], row["ic_upper"]], [position, position], color=BLUE, linewidth=1.4)
        axes.plot(newest["ic"], range(len(names)), "o", color=BLUE, markersize=4.5, label="all matured sessions")
        axes.plot(
            newest["recent_ic"], range(len(names)), "D", color=ORANGE, markersize=3.5, label=f"newest {MEAN_SESSIONS}"
        )
        axes.axvline(0.0, color=GREY, linewidth=0.6)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("mean rank IC, 95 % interval")
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)

    return [Chart(drawn(draw, height=0.9 + 0.19 * len(names)), f"IC of each model known on {newest['session'][0]}")]


def _by_month(months: pl.DataFrame) -> Rows:
    return Rows(
        ("month", "sessions", "IC", "from", "to", "slope", "coverage 80 %"),
        tuple(
            (
                row["period"],
                str(row["matured_sessions"]),
                number(row["ic"], 4),
                number(row["ic_lower"], 3),
                number(row["ic_upper"], 3),
                number(row["slope"], 2),
                percent(row["coverage_80"]),
            )
            for row in months.iter_rows(named=True)
        ),
        "by month, 95 % interval",
        folded=True,
    )


def calibration(signal_quality: pl.DataFrame, reliability: pl.DataFrame) -> Sequence[Block]:
    """Realised against expected return, coverage of the intervals, slope and intercept.

    Parameters
    ----------
    signal_quality, reliability : polars.DataFrame
        Tables of the same name.
    """
    bins = reliability.filter(pl.col("period") == "all").sort("bin")
    if bins.is_empty():
        return [NO_SIGNAL]
    whole = signal_quality.filter(pl.col("kind") == "all").row(0, named=True)
    unit, covered = coverage_by_period(signal_quality)

    def draw(left: Any, right: Any) -> None:
        edge = [float(bins["expected_bps"].min()), float(bins["expected_bps"].max())]  # type: ignore[arg-type]
        left.plot(edge, edge, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), label="as promised")
        errors = 1.96 * bins.get_column("realised_error_bps").fill_null(0.0)
        left.errorbar(
            bins["expected_bps"],
            bins["realised_bps"],
            errors,
            fmt="o",
            color=BLUE,
            markersize=3.5,
            capsize=2,
            label="tenth of the signal",
        )
        left.set_xlabel("expected return, bps over the horizon")
        left.set_ylabel("realised return, bps")
        left.legend(loc="upper left")
        shown = covered.get_column("period").to_list()
        for column, nominal, colour in LEVELS:
            right.plot(shown, covered[column], "o-", color=colour, markersize=3, linewidth=1.0)
            right.axhline(nominal, color=colour, linewidth=0.8, linestyle=(0, (4, 2)))
            right.annotate(
                percent(nominal, 0),
                (1.01, nominal),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=7.5,
                color=colour,
            )
        right.set_ylabel("labels inside the interval")
        named(right, shown, ROOM // 2)
        right.set_ylim(min(LEAST_COVERAGE, right.get_ylim()[0]), 1.0)
        in_percent(right, digits=0)

    return [
        Facts(
            (
                Fact("calibration error", percent(whole["calibration_error"], 2), "largest gap of coverage"),
                Fact(
                    "slope",
                    number(whole["slope"], 2),
                    interval(whole["slope_lower"], whole["slope_upper"], lambda value: number(value, 2)),
                ),
                Fact(
                    "intercept",
                    f"{number(whole['intercept_bps'], 2)} bps",
                    interval(
                        whole["intercept_lower_bps"], whole["intercept_upper_bps"], lambda value: number(value, 1)
                    ),
                ),
                Fact(
                    "coverage 50 / 80 / 90 %",
                    " / ".join(
                        number(100.0 * whole[name], 1) if whole[name] is not None else "–" for name, _, _ in LEVELS
                    ),
                    _rows(whole),
                ),
            )
        ),
        Chart(
            drawn(draw, columns=2, height=2.5),
            f"left: realised against expected return by tenths; right: coverage by {unit} against 50, 80 and 90 %",
        ),
        Rows(
            ("tenth", "rows", "expected, bps", "realised, bps", "standard error"),
            tuple(
                (
                    str(row["bin"] + 1),
                    number(row["rows"], 0),
                    number(row["expected_bps"], 1),
                    number(row["realised_bps"], 1),
                    number(row["realised_error_bps"], 1),
                )
                for row in bins.iter_rows(named=True)
            ),
            "reliability over everything",
            folded=True,
        ),
        Note(
            "Bars are 95 % of the mean label, clustered by session. A slope above 1 means the signal promised too little."
        ),
    ]


def coverage_by_period(signal_quality: pl.DataFrame) -> tuple[str, pl.DataFrame]:
    """Coverage of each month, of a long history of each year: `month` or `year`, and column `period` with the shares."""
    months = signal_quality.filter(pl.col("kind") == "month", pl.col("coverage_80").is_not_null()).sort("period")
    if months.is_empty():
        return "month", months
    first, last = (date.fromisoformat(f"{months['period'][place]}-01") for place in (0, -1))
    unit, _ = calendar_period(first, last)
    if unit == "month":
        return unit, months
    rows = pl.col("matured_rows")
    by_year = months.group_by(pl.col("period").str.head(4), maintain_order=True)
    return unit, by_year.agg((pl.col(name) * rows).sum() / rows.sum() for name, _, _ in LEVELS)


def _rows(whole: Mapping[str, Any]) -> str:
    return f"{number(float(whole['matured_rows']), 0)} matured rows"
