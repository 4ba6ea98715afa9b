"""Measuring what the data stages cost: a synthetic market of a given size, each stage run by itself through Dagster.

Processor seconds are those of the process with its threads, so a busy machine disturbs them little; peak memory is the process's
resident size while the stage ran.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from aurora_pipeline.atomic import atomic_write
from aurora_pipeline.errors import AuroraError
from aurora_pipeline.workflows.scale_model import RECORD, Size

SETTINGS = ("warm_up_sessions=2", "walk_forward.minimum_train_sessions=2", "quality.eligibility_sessions=2")
"""The data stages of every session are made; nothing is trained."""
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def measure(size: Size, record: Path, work: Path | None = None) -> pl.DataFrame:
    """Measure one size in a process of its own and add it to the record.

    Parameters
    ----------
    size : Size
        `names` are stocks here; the funds of the market come on top and are counted in the record.
    record : Path
        Parquet file of measurements; made if it does not exist.
    work : Path, optional
        Where market and home are made and removed; the system's temporary folder by default.

    Returns
    -------
    polars.DataFrame
        What was added, columns of :data:`~aurora_pipeline.workflows.scale_model.RECORD`.

    Raises
    ------
    AuroraError
        The process failed; its last words.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        command = [sys.executable, "-m", "aurora_pipeline.workflows.scale", str(size.names), str(size.sessions), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AuroraError(f"{size.names} names, {size.sessions} sessions: {done.stderr.strip()[-600:]}")
        added = pl.read_parquet(Path(folder) / "record.parquet")
    whole = pl.concat([pl.read_parquet(record), added]) if record.exists() else added
    atomic_write(record, whole.write_parquet)
    return added


def main(stocks: int, sessions: int, folder: Path) -> None:
    """Make a market and a home below a folder, run the data stages one by one, and leave `record.parquet`."""
    from aurora_pipeline.adapters.home import Home
    from aurora_pipeline.defs import jobs
    from aurora_pipeline.defs.instances import instance_of
    from aurora_pipeline.defs.launcher import Launcher
    from aurora_pipeline.defs.market_data import SESSION_TABLES
    from aurora_pipeline.market.simulation import simulate_market
    from aurora_pipeline.stages import VIEWS
    from aurora_pipeline.workflows.main_job import prepare_home

    simulate_market(folder / "market", preset="reference", seed=1, sessions=sessions, symbols=stocks)
    home, market, settings = prepare_home(Home(folder / "home"), folder / "market", SETTINGS)
    names = market.universe().get_column("symbol").n_unique()
    days = home.sessions(settings)
    stages: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        "session_data": (SESSION_TABLES, SESSION_TABLES),
        "residual_returns": (["residual_returns"], ["residual_returns"]),
        "feature_views": ([f"{view}_features" for view in VIEWS],) * 2,
        "feature_panel": (["feature_panel"], ["features"]),
        "labels": (["labels"], ["labels"]),
    }
    rows: list[dict[str, object]] = []
    with instance_of(home) as instance:
        launcher = Launcher(home, instance)
        launcher.job(jobs.FEEDS_JOB)
        for stage, (assets, tables) in stages.items():
            with _costs() as costs:
                launcher.job(jobs.DATA_JOB, first=str(days[0]), last=str(days[-1]), assets=assets)
            files = [home.lake.root / key for name in tables for key in home.lake.files(name)]
            stored = {
                "rows": sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in files),
                "bytes": sum(path.stat().st_size for path in files),
            }
            rows.append({"stage": stage, "names": names, "sessions": len(days)} | stored | costs)
    pl.DataFrame(rows, schema=pl.Schema(RECORD)).write_parquet(folder / "record.parquet")


@contextmanager
def _costs() -> Iterator[dict[str, float | int]]:
    """Processor seconds and peak resident bytes of what is done inside."""
    costs: dict[str, float | int] = {}
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is resident now
    began = time.process_time()
    yield costs
    costs["cpu_seconds"] = time.process_time() - began
    found = _PEAK.search(Path("/proc/self/status").read_text())
    costs["peak_bytes"] = int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
