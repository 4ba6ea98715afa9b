"""Time Qlib's Alpha158 features on a daily panel; run under Qlib's interpreter by `benchmarks/features.py`.

    QLIB_PYTHON benchmarks/qlib_alpha158.py BARS.parquet START END REPEATS

Prints one line of JSON per repetition: wall and processor seconds from a cold store to a frame of all features of all
sessions from START on, and the finite cells in it. Qlib's caches are off and its files are dropped from the system's cache
before each one.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import qlib
from qlib.contrib.data.loader import Alpha158DL
from qlib.data.cache import H
from qlib_store import write_store


def processor_seconds() -> float:
    """User and system time of this process and the workers it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def forget(folder: Path) -> None:
    """Drop a folder's files from the operating system's cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Run and print."""
    source, start, end, repeats = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_store(pd.read_parquet(source), folder)
        qlib.init(provider_uri=str(folder), kernels=2, logging_level=40, expression_cache=None, dataset_cache=None)
        for _ in range(repeats):
            H.clear()
            forget(folder)
            wall, processor = time.perf_counter(), processor_seconds()
            frame = Alpha158DL().load("all", start, end)
            seconds = time.perf_counter() - wall
            used = processor_seconds() - processor
            cells = int(np.isfinite(frame.to_numpy()).sum())
            print(json.dumps({"seconds": seconds, "processor": used, "cells": cells, "rows": len(frame)}), flush=True)


if __name__ == "__main__":
    main()
