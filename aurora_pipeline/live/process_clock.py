"""When this process was started, as wall-clock time: what imports cost before the first line of ours ran."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STARTED = 21
"""Position of the start time in `/proc/self/stat` after the name of the command, in clock ticks since the machine came up."""


def process_started() -> float:
    """Moment this process was started, seconds since 1970, to a hundredth of a second."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    up = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    return time.time() - up + int(fields[_STARTED - 2]) / os.sysconf("SC_CLK_TCK")
