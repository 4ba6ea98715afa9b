"""What `aurora soak` writes: one page of Markdown with what was done, what came of it and the command."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from aurora_pipeline.adapters.code_version import git_state
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.serving.armed_replay import ToldBar
from aurora_pipeline.serving.faults import FAULTS
from aurora_pipeline.serving.soak import LATEST_BESIDE_BACKFILL, MOST_GROWTH, SoakResult

_WHAT = {
    "kill_run": "`kill -9` of the run while it takes up or decides the bar",
    "kill_daemon": "`kill -9` of the daemon just before the bar",
    "kill_code_server": "`kill -9` of the code server just before the bar",
    "ui_reads": "what the UI's pages ask, in lock-step with the decision",
    "truncated_file": "a truncated Parquet file in the inbox",
    "duplicate_bars": "the bar before, dropped once more",
    "late_bars": "other versions of the session's first bar, hours late",
    "corrected_bars": "other prices for the bar before",
    "failing_model": "a model's files are gone when the run starts",
    "clock_skew": "the clock is four minutes behind for three seconds",
    "disk_full": "no free disk while the bar is decided",
}


def save_soak_report(result: SoakResult, market: str, families: int, command: str, path: Path) -> Path:
    """Write the page.

    Parameters
    ----------
    result : SoakResult
    market : str
        Name of the market that was replayed.
    families : int
        Model families that traded.
    command : str
        What was typed.
    path : Path
    """
    plan, wrong, code = result.plan, result.wrong(), (git_state()["revision"] or "-")[:12]
    lines = [
        "# Soak",
        "",
        "Sessions on end through the real daemon: preflight, bars, close, as a live home has them. Runs are armed ahead",
        "of their bars and the arrival sensor stands by. First undisturbed, then with a fault at every bar but the first",
        "of a session. Written by the command itself:",
        "",
        f"    {command}",
        "",
        f"{datetime.now(tz=UTC):%Y-%m-%d}, code {code}, {os.cpu_count()} processors, market {market}, {families} families, "
        f"{result.seconds / 60:.0f} minutes.",
        "",
        f"**{'All of it holds.' if not wrong else 'It does not hold: ' + '; '.join(wrong) + '.'}**",
        "",
        "| what | undisturbed | with faults |",
        "|---|---|---|",
        *(f"| {name} | {calm} | {rough} |" for name, calm, rough in _comparison(result)),
        "",
        "| over everything | found |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in _totals(result)),
        "",
        f"## Faults, at {plan.disturbed} bars",
        "",
        "| fault | what was done | times | decided | skipped | longest, s |",
        "|---|---|---|---|---|---|",
        *(_fault_row(result, fault) for fault in FAULTS),
        "",
        "## Reasons for skipped bars",
        "",
        "| reason | bars |",
        "|---|---|",
        *(f"| {reason} | {count} |" for reason, count in sorted(_reasons(result.part(disturbed=True)).items())),
        "",
    ]
    atomic_text(path, "\n".join(lines))
    return path


def _comparison(result: SoakResult) -> list[tuple[str, str, str]]:
    parts = [result.part(disturbed=False), result.part(disturbed=True)]
    decided = [sum(bar.settled.status == "decided" for bar in part) for part in parts]
    counts = [len(part) for part in parts]
    shown = [
        ("bars", str(counts[0]), str(counts[1])),
        ("decided", str(decided[0]), str(decided[1])),
        ("skipped, each with a reason", str(counts[0] - decided[0]), str(counts[1] - decided[1])),
    ]
    for rank in (50, 95, 99):
        calm, rough = (_percentile(part, rank) for part in parts)
        shown.append((f"bar in the inbox to settled, p{rank}, s", calm, rough))
    return shown


def _totals(result: SoakResult) -> list[tuple[str, str]]:
    differing = sum(close["differences"] + close["backfill_differences"] for close in result.closes)
    rows = [
        ("sessions closed; values that differ from the session made again in one go and by the graph's assets",
         f"{len(result.closes)}; {differing}"),
        ("largest gap of a bar's account, USD", f"{result.ledger_gap:.4f}"),
        ("orders sent twice", str(result.orders_twice)),
        ("growth of resident memory of code server, daemon and webserver over the undisturbed part",
         f"{100 * result.memory_growth:+.1f} % (at most {100 * MOST_GROWTH:.0f} %)"),
        ("processes started again", ", ".join(f"{name} {count}" for name, count in sorted(result.restarts.items())) or "none"),
    ]  # fmt: skip
    if result.plan.backfill:
        rows.append(
            (
                f"backfill of {result.plan.backfill} sessions beside the undisturbed part",
                f"{result.backfill} after {result.backfill_seconds:.0f} s; longest bar meanwhile "
                f"{result.late_beside_backfill:.1f} s (at most {LATEST_BESIDE_BACKFILL:.0f} s)",
            )
        )
    return rows


def _fault_row(result: SoakResult, fault: str) -> str:
    bars = [bar for bar in result.bars if bar.fault == fault]
    decided = sum(bar.settled.status == "decided" for bar in bars)
    longest = max((bar.seconds for bar in bars), default=0.0)
    return f"| {fault} | {_WHAT[fault]} | {result.faults[fault]} | {decided} | {len(bars) - decided} | {longest:.1f} |"


def _reasons(bars: list[ToldBar]) -> Counter[str]:
    return Counter(bar.settled.reason.partition(":")[0] for bar in bars if bar.settled.status == "skipped")


def _percentile(bars: list[ToldBar], rank: int) -> str:
    return f"{np.percentile([bar.seconds for bar in bars], rank):.1f}" if bars else "-"
