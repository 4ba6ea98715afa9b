"""Which models trade, with which weight, in which state and why, and what drifted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.monitoring.dashboard.charts import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    RED,
    YELLOW,
    dated,
    drawn,
    in_percent,
    line,
    stretches,
)
from aurora_pipeline.monitoring.dashboard.panel import (
    Absent,
    Block,
    Chart,
    Fact,
    Facts,
    Note,
    Rows,
    Tagged,
    counted,
    interval,
    number,
    percent,
)
from aurora_pipeline.monitoring.served_states import state_changes

NO_MODELS = Absent("no model has been judged yet", "aurora run")
STATES = {"candidate": LIGHT, "shadow": YELLOW, "champion": BLUE, "probation": ORANGE, "retired": GREY}
TONES = {"champion": "good", "probation": "warn", "retired": "bad", "shadow": "quiet", "candidate": "quiet"}
SHOWN_DRIFTS = 12
SHOWN_CHANGES = 60
LABELLED_SHARE = 0.05
"""Weight from which on a family's band is labelled in the chart."""


def ensemble_weights(ensemble_weights: pl.DataFrame) -> Sequence[Block]:
    """Share of each family in the ensemble, session by session.

    Parameters
    ----------
    ensemble_weights : polars.DataFrame
        Table of the same name.
    """
    if ensemble_weights.is_empty():
        return [NO_MODELS]
    wide = ensemble_weights.pivot("model", index="session", values="weight").sort("session").fill_null(0.0)
    days = wide.get_column("session").to_list()
    newest = ensemble_weights.filter(pl.col("session") == days[-1]).sort("weight", descending=True)
    order = sorted(wide.columns[1:])
    shares = np.array([wide.get_column(name).to_numpy() for name in order])
    # A single session is a band of a day: a stack takes two points.
    span, bands = (
        (days, shares) if len(days) > 1 else ([days[0], days[0] + timedelta(days=1)], shares.repeat(2, axis=1))
    )
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(order))]

    def draw(axes: Any) -> None:
        from matplotlib.patches import Patch

        axes.stackplot(span, bands, colors=colours, alpha=0.75, linewidth=0.5, edgecolor="white", step="post")
        axes.set_ylim(0.0, 1.0)
        axes.set_ylabel("share of the ensemble")
        axes.grid(visible=False)
        in_percent(axes, digits=0)
        dated(axes)
        axes.set_xlim(span[0], span[-1])
        axes.legend(
            handles=[Patch(color=colour, alpha=0.75, label=name) for name, colour in zip(order, colours, strict=True)],
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=5,
        )
        lower = 0.0
        for name, share in zip(order, shares[:, -1], strict=True):
            if share >= LABELLED_SHARE:
                axes.annotate(
                    f"{name} {percent(share, 0)}",
                    (1.01, lower + share / 2),
                    xycoords="axes fraction",
                    va="center",
                    fontsize=7.5,
                )
            lower += share

    return [
        Facts(
            (
                Fact("families weighed", str(newest.height), f"equal weight would be {percent(1.0 / newest.height)}"),
                Fact("largest", percent(newest["weight"][0]), newest["model"][0]),
                Fact("evidence", counted(newest["matured_sessions"][0], "session"), f"for session {days[-1]}"),
                *_why_not_by_evidence(newest),
            )
        ),
        Chart(drawn(draw, height=2.7), "weights of the families stacked to 100 %"),
        Rows(
            ("family", "weight", "matured IC", "sessions", "best single"),
            tuple(
                (
                    row["model"],
                    percent(row["weight"], 2),
                    number(row["information_coefficient"], 4),
                    str(row["matured_sessions"]),
                    "yes" if row["best_single"] else "",
                )
                for row in newest.iter_rows(named=True)
            ),
            f"in force on {days[-1]}",
            folded=True,
        ),
    ]


def _why_not_by_evidence(newest: pl.DataFrame) -> list[Fact]:
    """Why weights are equal, or which families are too new to have one of their own."""
    cold = newest.filter("cold_start").get_column("model").sort().to_list()
    if newest.get_column("all_negative").any():
        return [Fact("weights", "equal", "no family has a positive matured IC")]
    if len(cold) == newest.height:
        return [Fact("weights", "equal", "too little has matured")]
    return [Fact("too new", str(len(cold)), f"{', '.join(cold)}: mean IC of the others")] if cold else []


def model_states(model_states: pl.DataFrame, model_scores: pl.DataFrame) -> Sequence[Block]:
    """State of every model over time, the reason it is in it, and the evidence beside its threshold.

    Parameters
    ----------
    model_states, model_scores : polars.DataFrame
        Tables of the same name.
    """
    if model_states.is_empty():
        return [NO_MODELS]
    wide = model_states.pivot("model", index="session", values="state").sort("session")
    days = wide.get_column("session").to_list()
    names = sorted(wide.columns[1:], reverse=True)

    def draw(axes: Any) -> None:
        from matplotlib.dates import date2num
        from matplotlib.patches import Patch

        for position, name in enumerate(names):
            for start, end, state in stretches(days, wide.get_column(name).to_list()):
                first, last = date2num(start), date2num(end)  # type: ignore[no-untyped-call]
                axes.broken_barh(
                    [(first, max(last - first, 1.0))], (position - 0.36, 0.72), color=STATES[state], linewidth=0
                )
        axes.set_yticks(range(len(names)), names)
        axes.xaxis_date()
        axes.grid(visible=False)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.legend(
            handles=[Patch(color=colour, label=state) for state, colour in STATES.items()],
            loc="upper center",
            bbox_to_anchor=(0.5, 1.0 + 0.35 / max(1.0, 0.2 * len(names))),
            ncols=5,
        )
        dated(axes)

    newest = model_states.filter(pl.col("session") == days[-1]).join(
        model_scores.filter(pl.col("session") == days[-1]).select(
            "model", "model_version", "ic_lower", "ic_upper", "fault"
        ),
        on="model",
        how="left",
    )
    counts = dict(newest.group_by("state").len().iter_rows())
    waiting = newest.filter(pl.col("decided_by") == "proposal").height
    return [
        Facts(
            (
                Fact("trading", str(newest.filter("serves").height), f"session {days[-1]}"),
                *(Fact(state, str(counts[state])) for state in STATES if state in counts and state != "champion"),
                Fact("wait for approval", str(waiting), "`aurora models promote` or `retire`" if waiting else ""),
            )
        ),
        Chart(drawn(draw, height=0.8 + 0.2 * len(names)), "state of each model by session"),
        Rows(
            (
                "model",
                "state",
                "since",
                "why",
                "decided by",
                "version",
                "matured IC",
                "evidence it is not worth it",
                "retires at",
                "evidence of a gain",
            ),
            tuple(_state_row(row) for row in newest.sort("model").iter_rows(named=True)),
        ),
        Rows(
            ("session", "model", "state", "decided by", "why"),
            tuple(
                (
                    str(row["session"]),
                    row["model"],
                    Tagged(row["state"], TONES[row["state"]]),
                    row["decided_by"],
                    row["reason"],
                )
                for row in state_changes(model_states).reverse().head(SHOWN_CHANGES).iter_rows(named=True)
            ),
            "changes of state, the newest first",
            folded=True,
        ),
        Note(
            "Evidence is the natural logarithm of an e-value, valid at every look: the model moves when it passes its threshold."
        ),
    ]


def _state_row(row: dict[str, Any]) -> tuple[str, ...]:
    gain = number(row["gain_evidence"], 2)
    if row["promotion_threshold"] is not None:
        gain += f" of {number(row['promotion_threshold'], 2)}"
    spread = interval(row["ic_lower"], row["ic_upper"], lambda value: number(value, 3)).removeprefix("95 %: ")
    return (
        row["model"],
        Tagged(row["state"], TONES[row["state"]]),
        str(row["since"]),
        row["reason"] if row["fault"] is None else f"{row['reason']}; newest session: {row['fault']}",
        row["decided_by"],
        row["model_version"] or "–",
        number(row["information_coefficient"], 4) + (f" ({spread})" if spread else ""),
        number(row["retirement_evidence"], 2),
        number(row["retirement_threshold"], 2),
        gain,
    )


def drift(drift: pl.DataFrame) -> Sequence[Block]:
    """Share of subjects that drifted by session, and the newest ones by name.

    Parameters
    ----------
    drift : polars.DataFrame
        Table of the same name.
    """
    if drift.is_empty():
        return [Absent("no session has been compared with those before it", "aurora run")]
    counts = drift.group_by("session", "kind").agg(pl.col("drifted").mean().alias("share")).sort("session")
    colours = {"feature": BLUE, "prediction": ORANGE, "residual": GREEN, "regime": RED}

    def draw(axes: Any) -> None:
        for kind, colour in colours.items():
            rows = counts.filter(pl.col("kind") == kind)
            line(axes, rows["session"].to_list(), rows["share"], color=colour, label=kind, linewidth=1.1)
        axes.set_ylabel("share drifted")
        axes.set_ylim(bottom=-0.01)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=4)
        in_percent(axes, digits=0)
        dated(axes)

    newest = drift.filter(pl.col("session") == pl.col("session").max())
    found = newest.filter("drifted").sort(
        pl.max_horizontal(pl.col("psi").fill_null(0.0), pl.col("z").abs().fill_null(0.0)), descending=True
    )
    table: Block = (
        Rows(
            ("kind", "subject", "value", "before", "PSI", "z", "missing", "missing before"),
            tuple(
                (
                    row["kind"],
                    row["subject"],
                    number(row["value"], 4),
                    number(row["reference"], 4),
                    number(row["psi"], 2),
                    number(row["z"], 1),
                    percent(row["missing"], 0),
                    percent(row["reference_missing"], 0),
                )
                for row in found.head(SHOWN_DRIFTS).iter_rows(named=True)
            ),
            f"drifted on {newest['session'][0]}"
            + (f", the first {SHOWN_DRIFTS} of {found.height}" if found.height > SHOWN_DRIFTS else ""),
        )
        if found.height
        else Note(f"Nothing was beyond its limit on {newest['session'][0]}.")
    )
    return [
        Facts(
            (Fact("drifted in the newest session", f"{found.height} of {newest.height}", str(newest["session"][0])),)
        ),
        Chart(drawn(draw, height=2.0), "share of features, scores, residuals and regime measures that drifted"),
        table,
    ]
