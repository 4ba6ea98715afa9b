"""Panels of the end-of-day and weekly reports: what happened, beside the day or week before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from aurora_pipeline.monitoring.dashboard.attention import needs_a_person
from aurora_pipeline.monitoring.dashboard.data_panels import tick_latency
from aurora_pipeline.monitoring.dashboard.model_panels import TONES
from aurora_pipeline.monitoring.dashboard.panel import (
    DASH,
    Absent,
    Block,
    Fact,
    Facts,
    Note,
    Panel,
    Rows,
    Tagged,
    counted,
    number,
    percent,
    true_minus,
)
from aurora_pipeline.monitoring.dashboard.period_result import Period, result

SHOWN = 8


def period_panels(period: Period) -> list[tuple[str, list[tuple[Panel, Sequence[Block]]]]]:
    """Groups of panels with their blocks."""

    def panel(
        key: str, title: str, asks: str, blocks: Sequence[Block], wide: bool = False
    ) -> tuple[Panel, Sequence[Block]]:
        return Panel(key, title, asks, (), needs_a_person, (), wide), blocks

    unit = period.unit
    return [
        (
            "For a person",
            [
                panel(
                    "attention",
                    "What needs a person",
                    f"Anything of the {unit} to look at?",
                    needs_a_person(period.attention),
                    True,
                )
            ],
        ),
        (
            "What happened",
            [
                panel("result", "Result", f"What did the {unit} earn, beside the one before?", result(period)),
                panel("models", "Models", "Which states and weights changed?", _models(period)),
                panel("names", "What moved it", "Which names made and lost money?", _names(period)),
                panel("trades", "What was traded", "Which trades, at what cost?", _trades(period)),
                panel("data", "Data", "What was missing or refused?", _data(period)),
                panel(
                    "ticks",
                    "Five-minute loop",
                    "Was every bar decided, and how fast?",
                    _ticks(period),
                ),
            ],
        ),
    ]


def _ticks(period: Period) -> Sequence[Block]:
    blocks = tick_latency(period.ticks, period.closes)
    return [
        period.absent(block.why, block.command, of_book=False) if isinstance(block, Absent) else block
        for block in blocks
    ]


def _names(period: Period) -> Sequence[Block]:
    rows = period.attribution.filter(pl.col("session").is_in(list(period.this)))
    if rows.is_empty():
        return [period.absent("no result by name is stored", "aurora run")]
    totals = (
        rows.group_by("symbol")
        .agg(pl.col("gross_pnl", "alpha", "cost").sum())
        .with_columns((pl.col("gross_pnl") - pl.col("cost")).alias("net"))
        .sort("net", "symbol", descending=[True, False])
    )
    best, worst = totals.head(SHOWN // 2), totals.tail(SHOWN // 2)
    cells = [
        (
            row["symbol"],
            number(row["net"], 0),
            number(row["gross_pnl"], 0),
            number(row["alpha"], 0),
            number(row["cost"], 0),
        )
        for row in pl.concat([best, worst]).unique(maintain_order=True).iter_rows(named=True)
    ]
    won = totals.filter(pl.col("net") > 0.0).height
    return [
        Facts(
            (
                Fact("names that earned", f"{won} of {totals.height}"),
                Fact(
                    "expected by the signals",
                    f"{number(float(totals['alpha'].sum()), 0)} USD",
                    f"realised {number(float(totals['gross_pnl'].sum()), 0)} USD before costs",
                ),
            )
        ),
        Rows(("name", "net, USD", "gross, USD", "expected, USD", "cost, USD"), tuple(cells), "best and worst"),
    ]


def _trades(period: Period) -> Sequence[Block]:
    fills = period.fills.filter(pl.col("session").is_in(list(period.this))).with_columns(
        (pl.col("shares") * pl.col("price")).alias("value"),
        (pl.col("spread_cost") + pl.col("impact_cost") + pl.col("fee_cost")).alias("cost"),
    )
    if fills.is_empty():
        return [period.absent(f"nothing was traded in this {period.unit}")]
    by_name = (
        fills.group_by("symbol", "side")
        .agg(pl.len().alias("fills"), pl.col("shares", "value", "cost").sum())
        .sort("value", "symbol", descending=[True, False])
    )
    earlier = period.fills.filter(pl.col("session").is_in(list(period.before)))
    value, cost = float(fills["value"].sum()), float(fills["cost"].sum())
    return [
        Facts(
            (
                Fact(
                    "traded",
                    f"{number(value, 0)} USD",
                    f"{counted(fills.height, 'fill')}; {earlier.height} before",
                ),
                Fact("cost", f"{number(1e4 * cost / value, 2)} bps", f"{number(cost, 0)} USD"),
            )
        ),
        Rows(
            ("name", "side", "fills", "shares", "value, USD", "cost, bps"),
            tuple(
                (
                    row["symbol"],
                    row["side"],
                    str(row["fills"]),
                    number(row["shares"], 0),
                    number(row["value"], 0),
                    number(1e4 * row["cost"] / row["value"], 2),
                )
                for row in by_name.head(SHOWN).iter_rows(named=True)
            ),
            f"largest {min(SHOWN, by_name.height)} of {by_name.height}",
        ),
    ]


def _models(period: Period) -> Sequence[Block]:
    now, then = _newest(period.states, period.this), _newest(period.states, period.before)
    if now.is_empty():
        why = f"no states are stored: a live {period.unit} gets them at the close"
        return [period.absent(why, "aurora close", of_book=False)]
    weights = _newest(period.weights, period.this).select("model", "weight")
    earlier = _newest(period.weights, period.before).select("model", pl.col("weight").alias("weight_before"))
    table = (
        now.join(then.select("model", pl.col("state").alias("state_before")), on="model", how="left")
        .join(weights, on="model", how="left")
        .join(earlier, on="model", how="left")
        .sort("model")
    )
    rows = []
    for row in table.iter_rows(named=True):
        moved = row["state"] != row["state_before"] and bool(period.before)
        state = (
            Tagged(f"{row['state_before'] or 'new'} → {row['state']}", TONES[row["state"]]) if moved else row["state"]
        )
        change = None if row["weight"] is None or row["weight_before"] is None else row["weight"] - row["weight_before"]
        rows.append(
            (
                row["model"],
                state,
                percent(row["weight"], 2),
                percent(change, 2),
                number(row["information_coefficient"], 4),
                row["reason"],
            )
        )
    changed = sum(" → " in row[1] for row in rows)
    return [
        Facts((Fact("changed state", str(changed), f"of {len(rows)}"),)),
        Rows(("model", "state", "weight", "change", "matured IC", "why"), tuple(rows)),
    ]


def _data(period: Period) -> Sequence[Block]:
    kinds = ("missing_bars", "quarantined_bars", "flat_bars", "corrected_bars")
    this, before = (
        period.data_quality.filter(pl.col("session").is_in(list(days))) for days in (period.this, period.before)
    )
    if this.is_empty():
        return [Absent(f"no bar of this {period.unit} is stored", "aurora run")]
    rows = []
    for kind in ("expected_bars", *kinds):
        now, then = int(this[kind].sum()), int(before[kind].sum()) if before.height else None
        rows.append(
            (
                kind.replace("_", " "),
                f"{now:,}",
                DASH if then is None else f"{then:,}",
                DASH if then is None else _signed(now - then),
            )
        )
    worst = (
        this.group_by("symbol")
        .agg((pl.col("missing_bars").sum() + pl.col("quarantined_bars").sum()).alias("faults"))
        .filter(pl.col("faults") > 0)
        .sort("faults", "symbol", descending=[True, False])
        .head(SHOWN)
    )
    named = ", ".join(f"{symbol} {faults}" for symbol, faults in worst.iter_rows())
    return [
        Rows(("bars", f"this {period.unit}", "before", "change"), tuple(rows)),
        Note(f"Most missing or refused: {named}." if named else "No bar was missing or refused."),
    ]


def _signed(count: int) -> str:
    return true_minus(f"{count:+,}") if count else "0"


def _newest(frame: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    inside = frame.filter(pl.col("session").is_in(list(days)))
    return inside.filter(pl.col("session") == pl.col("session").max())
