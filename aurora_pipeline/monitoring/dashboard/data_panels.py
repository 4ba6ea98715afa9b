"""What came in: bars, verdicts, feeds; and how fast the five-minute loop answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.monitoring.dashboard.charts import (
    BLUE,
    GREY,
    PURPLE,
    RED,
    YELLOW,
    clocked,
    dated,
    drawn,
    from_zero,
    line,
)
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
    counted,
    number,
    percent,
)

KINDS = (
    ("missing_bars", "missing", BLUE),
    ("quarantined_bars", "quarantined", RED),
    ("flat_bars", "flat", YELLOW),
    ("corrected_bars", "corrected", PURPLE),
)
SHOWN = 10
LATE_GAPS, LATE_DAYS = 2.0, 4.0
"""A symbol's feed is late when its newest row is older than this many of its own gaps, and than this many days."""
MOST_LATE, SOME_LATE = 0.5, 0.1
"""Share of symbols whose feed is late from which the feed is late, and from which it is partly so."""
RANKS = (50, 95, 99)
BUDGET_MS = 300_000.0
"""A bar lasts five minutes: what a tick must stay far below."""
TICKS: dict[str, Any] = {
    "session": pl.Date,
    "bar_end": pl.Datetime("us", "UTC"),
    "status": pl.String,
    "reason": pl.String,
    "computation_ms": pl.Float64,
}
"""Columns of the ticks: `computation_ms` is the sum of a tick's own steps, from the bar in the lake to its targets."""
FEEDS: dict[str, Any] = {
    "feed": pl.String,
    "rows": pl.Int64,
    "symbols": pl.Int64,
    "newest": pl.Datetime("us", "UTC"),
    "gap_days": pl.Float64,
    "age_days": pl.Float64,
    "late_share": pl.Float64,
}
"""Columns of the feeds, see :func:`feed_rhythm`."""


def data_quality(data_quality: pl.DataFrame, quarantine: pl.DataFrame) -> Sequence[Block]:
    """Missing, flat, corrected and quarantined bars by session; reasons and symbols.

    Parameters
    ----------
    data_quality, quarantine : polars.DataFrame
        Tables of the same name.
    """
    if data_quality.is_empty():
        return [Absent("no bar has been read", "aurora run --market FOLDER")]
    by_session = (
        data_quality.group_by("session")
        .agg(pl.col("expected_bars", *(name for name, _, _ in KINDS)).sum())
        .sort("session")
    )
    days = by_session.get_column("session").to_list()

    def draw(axes: Any) -> None:
        for name, label, colour in KINDS:
            share = 1e4 * (by_session[name] / by_session["expected_bars"])
            line(axes, days, share, color=colour, label=label, linewidth=1.1)
        axes.set_ylabel("per 10,000 expected bars")
        from_zero(axes)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=4)
        dated(axes)

    total = by_session.sum().row(0, named=True)
    newest = by_session.row(-1, named=True)
    worst = (
        data_quality.group_by("symbol")
        .agg(pl.col("missing_bars", "quarantined_bars").sum())
        .with_columns((pl.col("missing_bars") + pl.col("quarantined_bars")).alias("faults"))
        .filter(pl.col("faults") > 0)
        .sort("faults", "symbol", descending=[True, False])
        .head(SHOWN)
    )
    reasons = (
        quarantine.group_by("source", "reason")
        .agg(
            pl.len().alias("rows"),
            pl.col("symbol").n_unique().alias("symbols"),
            pl.col("session").max().alias("newest"),
        )
        .sort("rows", "source", "reason", descending=[True, False, False])
    )
    present = total["expected_bars"] - total["missing_bars"]
    return [
        Facts(
            (
                Fact(
                    "bars present",
                    percent(present / max(total["expected_bars"], 1), 3),
                    f"of {number(float(total['expected_bars']), 0)} expected",
                ),
                Fact("in quarantine", number(float(quarantine.height), 0), "rows, every source"),
                Fact(
                    "newest session",
                    f"{newest['missing_bars']} missing",
                    f"{newest['quarantined_bars']} quarantined, {days[-1]}",
                ),
            )
        ),
        Chart(drawn(draw, height=2.0), "missing, quarantined, flat and corrected bars by session"),
        Rows(
            ("source", "reason", "rows", "symbols", "newest session"),
            tuple(
                (
                    row["source"],
                    row["reason"].replace("_", " "),
                    str(row["rows"]),
                    str(row["symbols"]),
                    str(row["newest"]),
                )
                for row in reasons.head(SHOWN).iter_rows(named=True)
            ),
            "rows in quarantine by reason",
        ),
        Rows(
            ("symbol", "missing bars", "quarantined bars"),
            tuple((symbol, str(missing), str(refused)) for symbol, missing, refused, _ in worst.iter_rows()),
            "symbols with the most faults",
            folded=True,
        ),
    ]


def feed_rhythm(name: str, rows: pl.DataFrame, newest_bar: datetime) -> pl.DataFrame:
    """Tell a late feed by its own rhythm, symbol by symbol: earnings come every quarter, options every day.

    Parameters
    ----------
    name : str
        Feed.
    rows : polars.DataFrame
        `symbol` and `known_at`; what became known after the newest bar is left out.
    newest_bar : datetime
        Moment ages are counted to.

    Returns
    -------
    polars.DataFrame
        One row of columns :data:`FEEDS`: medians over symbols of the gap between arrivals and of the age of the newest, and
        the share of symbols that are late.
    """
    days = rows.filter(pl.col("known_at") <= newest_bar).sort("symbol", "known_at")
    by_symbol = days.group_by("symbol").agg(
        pl.len().alias("rows"),
        pl.col("known_at").max().alias("newest"),
        (pl.col("known_at").dt.date().unique().sort().diff().dt.total_days().median()).alias("gap"),
    )
    age = (pl.lit(newest_bar, pl.Datetime("us", "UTC")) - pl.col("newest")).dt.total_seconds() / 86_400.0
    aged = by_symbol.with_columns(age.alias("age"))
    late = pl.col("age") > pl.max_horizontal(LATE_GAPS * pl.col("gap"), LATE_DAYS)
    return aged.select(
        pl.lit(name).alias("feed"),
        pl.col("rows").sum().cast(pl.Int64),
        pl.len().cast(pl.Int64).alias("symbols"),
        pl.col("newest").max(),
        pl.col("gap").median().alias("gap_days"),
        pl.col("age").median().alias("age_days"),
        late.mean().alias("late_share"),
    ).cast(FEEDS)  # type: ignore[arg-type]


def feed_health(feeds: pl.DataFrame, newest_bar: datetime | None, refused_files: int) -> Sequence[Block]:
    """Newest row of each feed against its own rhythm.

    Parameters
    ----------
    feeds : polars.DataFrame
        Columns :data:`FEEDS`.
    newest_bar : datetime or None
        End of the newest bar stored: the moment ages are counted to.
    refused_files : int
        Files the inbox has put aside.
    """
    if newest_bar is None:
        return [Absent("no bar has been read", "aurora run --market FOLDER")]
    verdicts = [_verdict(row) for row in feeds.iter_rows(named=True)]
    rows = tuple(
        (
            row["feed"],
            number(float(row["rows"]), 0),
            str(row["symbols"]),
            DASH if row["newest"] is None else f"{row['newest']:%Y-%m-%d %H:%M}",
            number(row["age_days"], 1),
            number(row["gap_days"], 1),
            percent(row["late_share"], 0),
            verdict,
        )
        for row, verdict in zip(feeds.iter_rows(named=True), verdicts, strict=True)
    )
    return [
        Facts(
            (
                Fact("newest bar", f"{newest_bar:%H:%M} UTC", f"{newest_bar:%Y-%m-%d}"),
                Fact("feeds late or absent", str(sum(item.tone == "bad" for item in verdicts)), f"of {feeds.height}"),
                Fact("inbox files refused", str(refused_files), "see `inbox/refused/`" if refused_files else ""),
            )
        ),
        Rows(("feed", "rows", "symbols", "newest row, UTC", "age, days", "gap, days", "late", "health"), rows),
        Note(
            "Age (to the newest bar) and gap are medians over symbols. A symbol is late when its newest row is older than twice "
            "its own gap and four days. When its features become null and flagged is another matter: see "
            "`features.*_expiry_sessions` in `aurora settings`."
        ),
    ]


def _verdict(row: Mapping[str, Any]) -> Tagged:
    if row["newest"] is None:
        return Tagged("absent", "bad")
    if row["late_share"] > MOST_LATE:
        return Tagged("late", "bad")
    return Tagged("partly late", "warn") if row["late_share"] > SOME_LATE else Tagged("in time", "good")


def tick_latency(ticks: pl.DataFrame, closes: Mapping[date, Mapping[str, Any]]) -> Sequence[Block]:
    """Computation of each decided bar, and the percentiles of every session.

    Parameters
    ----------
    ticks : polars.DataFrame
        Columns :data:`TICKS`; the bars of sessions whose files were kept.
    closes : mapping of date to mapping
        Reports of the end of day, which outlive the files of a session's bars.
    """
    decided = ticks.filter(pl.col("status") == "decided", pl.col("computation_ms").is_not_null()).sort("bar_end")
    kept = [
        _session_row(session, rows)
        for (session,), rows in ticks.sort("bar_end").group_by("session", maintain_order=True)
    ]
    known = {row[0] for row in kept}
    older = [_closed_row(day, report) for day, report in closes.items() if str(day) not in known and report["decided"]]
    table = Rows(
        ("session", "bars decided", "skipped", "50 %, ms", "95 %, ms", "99 %, ms"), tuple(sorted(older + kept))
    )
    if decided.is_empty():
        if older:
            return [table]
        command = "aurora live --replay MARKET --session DAY"
        return [Absent("no bar has been decided by a live or replayed loop in this home", command)]
    newest = decided.filter(pl.col("session") == pl.col("session").max())
    times, ranks = newest.get_column("bar_end").to_list(), _percentiles(newest)

    def draw(axes: Any) -> None:
        axes.plot(times, newest["computation_ms"], "o-", color=BLUE, markersize=2.5, linewidth=0.9)
        axes.set_ylabel("computation, ms")
        for rank in (50, 95):
            axes.axhline(ranks[rank], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)))
        from_zero(axes)
        clocked(axes)

    return [
        Facts(
            (
                Fact(
                    "computation, median",
                    f"{number(ranks[50], 0)} ms",
                    f"{counted(newest.height, 'bar')} on {newest['session'][0]}",
                ),
                Fact("95 % of bars within", f"{number(ranks[95], 0)} ms", f"99 %: {number(ranks[99], 0)} ms"),
                Fact("share of a bar's five minutes", percent(ranks[95] / BUDGET_MS, 2), "at the 95th percentile"),
            )
        ),
        Chart(
            drawn(draw, height=1.9),
            f"computation per bar on {newest['session'][0]}; dashed: median and 95th percentile",
        ),
        table,
    ]


def _session_row(session: object, rows: pl.DataFrame) -> tuple[str, ...]:
    ranks, skipped = _percentiles(rows), rows.filter(pl.col("status") == "skipped")
    reasons = skipped.get_column("reason").str.split(":").list.first().value_counts(sort=True)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.iter_rows()) or "0"
    return (str(session), str(rows.height - skipped.height), counts, *(number(ranks.get(rank), 0) for rank in RANKS))


def _closed_row(session: date, report: Mapping[str, Any]) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {reason}" for reason, count in report["reasons"].items()) or "0"
    took = report["computation_ms"]
    return (str(session), str(report["decided"]), counts, *(number(took.get(f"p{rank}"), 0) for rank in RANKS))


def _percentiles(rows: pl.DataFrame) -> dict[int, float]:
    values = rows.get_column("computation_ms").drop_nulls().to_numpy()
    return {rank: float(np.percentile(values, rank)) for rank in RANKS} if values.size else {}
