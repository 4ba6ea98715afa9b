"""What `aurora bench tick` keeps: the numbers as JSON, and a plot of where the time goes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aurora_pipeline.adapters.code_version import git_state
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.serving.bench import PARTS, Measured, verdicts

RANKS = (50, 95, 99)


def save_bench(found: Sequence[Measured], facts: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write `tick-bench.json` and `tick-bench.png`; returns both paths.

    Parameters
    ----------
    found : sequence of Measured
    facts : dict
        Session, symbols, families and whatever else was the same for all of them.
    folder : Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "measured_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "code": git_state()["revision"],
        "processors": os.cpu_count(),
        **facts,
        "ways": {each.name: _numbers(each) for each in found},
        "verdicts": [dict(zip(("what", "measured", "required", "holds"), row, strict=True)) for row in verdicts(found)],
    }
    data, plot = folder / "tick-bench.json", folder / "tick-bench.png"
    atomic_text(data, json.dumps(content, indent=1) + "\n")
    _plot(found, plot)
    return data, plot


def _numbers(measured: Measured) -> dict[str, Any]:
    return {
        "bars": len(measured.seconds),
        **{f"p{rank}_s": round(measured.percentile(rank), 3) for rank in RANKS},
        "seconds": [round(value, 3) for value in measured.seconds],
        "median_parts_s": {part: round(value, 3) for part, value in measured.medians().items()},
        "processor_s": [round(value, 3) for value in measured.processor],
    }


def _plot(found: Sequence[Measured], path: Path) -> None:
    """Median parts as one bar per way, p50, p95 and p99 as marks."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.8 * len(found)), layout="constrained")
    colours = dict(zip(PARTS, plt.get_cmap("tab10").colors, strict=False))  # type: ignore[attr-defined]
    named: set[str] = set()
    for row, measured in enumerate(found):
        left = 0.0
        parts = measured.medians() or {"": measured.percentile(50)}
        for part in sorted(parts, key=lambda name: PARTS.index(name) if name in PARTS else -1):
            label = part if part and part not in named else None
            axes.barh(row, parts[part], left=left, color=colours.get(part, "lightgrey"), label=label, height=0.5)
            named.add(part)
            left += parts[part]
        for rank, mark in zip(RANKS, ("o", "D", "s"), strict=True):
            legend = f"p{rank}" if row == 0 else None
            axes.plot(measured.percentile(rank), row, mark, color="black", markersize=5, label=legend)
    axes.set_yticks(range(len(found)), [each.name for each in found])
    axes.invert_yaxis()
    axes.set_xlabel("seconds from the bar in the inbox to durable targets; bars: median of each part")
    axes.legend(fontsize=8, ncol=4, loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)
