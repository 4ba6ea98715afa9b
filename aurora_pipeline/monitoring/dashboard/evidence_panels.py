"""What has been shown: the claim ledger and the plan's phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aurora_pipeline.monitoring.claim_promises import PROMISES
from aurora_pipeline.monitoring.claims import claims_headline
from aurora_pipeline.monitoring.claims_page import claim_cells
from aurora_pipeline.monitoring.dashboard.charts import BLUE, GREY, drawn
from aurora_pipeline.monitoring.dashboard.panel import (
    DASH,
    Absent,
    Block,
    Chart,
    Fact,
    Facts,
    Note,
    Rows,
    Tagged,
    number,
    percent,
)

PLACES = {promise.claim_id: place for place, (promise, _) in enumerate(PROMISES)}
"""Place of each promise in the plan; the table is kept by name."""
VERDICTS = {"met": "good", "not met": "bad", "not testable": "quiet"}


def claim_ledger(claims: pl.DataFrame) -> Sequence[Block]:
    """Every promise with its measured value, interval and verdict, in the order of the plan.

    Parameters
    ----------
    claims : polars.DataFrame
        Table of the same name.
    """
    if claims.is_empty():
        return [Absent("no promise has been held against what is stored", "aurora claims")]
    counts = claims_headline(claims)
    rows = []
    for row in sorted(claims.iter_rows(named=True), key=lambda row: PLACES.get(row["claim_id"], len(PLACES))):
        claim, plan, measured, span, verdict, reason, _, market, _ = claim_cells(row)
        measured = DASH if row["measured"] is None else measured
        rows.append((claim, plan, measured, span, Tagged(verdict, VERDICTS[verdict]), reason, market))
    return [
        Facts(
            (
                Fact("met", str(counts["met"])),
                Fact("not met", str(counts["not_met"])),
                Fact("not testable", str(counts["not_testable"]), "here; the ledger says what it would take"),
            )
        ),
        Rows(("claim", "plan", "measured", "95 % interval", "verdict", "what it rests on", "market"), tuple(rows)),
    ]


def phase_ablation(ablation: Mapping[str, Any] | None) -> Sequence[Block]:
    """What each phase of the plan adds to the one before, with intervals.

    Parameters
    ----------
    ablation : mapping or None
        What `aurora ablate` wrote: `market`, `synthetic`, `phases` as of :data:`aurora_pipeline.monitoring.ablation.TABLE`.
    """
    if ablation is None:
        return [Absent("the plan's phases have not been run one after another in this home", "aurora ablate")]
    phases = ablation["phases"]
    names = [phase["phase"] for phase in phases]

    def draw(left: Any, right: Any) -> None:
        for axes, stem, label in (
            (left, "ic_gain", "gain in rank IC"),
            (right, "net_gain", "gain in net return,\nbps of NAV a session"),
        ):
            value = stem if stem == "ic_gain" else "net_gain_bps"
            for position, phase in enumerate(phases):
                if phase[value] is None:
                    continue
                if phase[f"{stem}_lower"] is not None:
                    axes.plot(
                        [phase[f"{stem}_lower"], phase[f"{stem}_upper"]],
                        [position, position],
                        color=BLUE,
                        linewidth=1.4,
                    )
                axes.plot([phase[value]], [position], "o", color=BLUE, markersize=4)
            axes.axvline(0.0, color=GREY, linewidth=0.8)
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_xlabel(label)
        right.tick_params(labelleft=False)

    label = " (SYNTHETIC)" if ablation["synthetic"] else ""
    return [
        Chart(
            drawn(draw, columns=2, height=0.8 + 0.2 * len(names)),
            "gain of each phase over the one before, 95 % interval",
        ),
        Rows(
            (
                "phase",
                "adds",
                "rank IC",
                "IC gain",
                "95 % interval",
                "net, bps a session",
                "net gain, bps",
                "95 % interval",
                "Sharpe",
                "drawdown",
                "turnover a session",
            ),
            tuple(
                (
                    phase["phase"],
                    phase["adds"],
                    number(phase["rank_ic"], 4),
                    number(phase["ic_gain"], 4),
                    _span(phase["ic_gain_lower"], phase["ic_gain_upper"], 4),
                    number(phase["net_bps"], 2),
                    number(phase["net_gain_bps"], 2),
                    _span(phase["net_gain_lower"], phase["net_gain_upper"], 2),
                    number(phase["sharpe"], 2),
                    percent(phase["max_drawdown"], 2),
                    percent(phase["turnover_per_session"], 2),
                )
                for phase in phases
            ),
            "every phase in numbers",
            folded=True,
        ),
        Note(
            f"Measured on {ablation['market']}{label}; each phase keeps those before it. Intervals: paired stationary bootstrap."
        ),
    ]


def _span(lower: float | None, upper: float | None, digits: int) -> str:
    return "" if lower is None or upper is None else f"{number(lower, digits)} to {number(upper, digits)}"
