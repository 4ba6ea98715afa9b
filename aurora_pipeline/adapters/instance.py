"""The Dagster instance of a home: the repository's `dagster.yaml` with its paths pointed into the home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from aurora_pipeline.adapters.lake import atomic_text

CONFIG_FILE = "dagster.yaml"
STORAGE_FOLDER = "dagster"
_PACKAGE_ROOT = Path(__file__).resolve().parents[1]


def instance_config(home: Path) -> dict[str, Any]:
    """Return the instance configuration with storage below `home`.

    Relative to the repository root, ``home = Path("data")`` gives the `dagster.yaml` shipped there (a test holds the two
    together), so `dagster dev` from the root and `aurora ui` show the same home.
    """
    storage = home / STORAGE_FOLDER
    return {
        "storage": {"sqlite": {"base_dir": str(storage)}},
        "run_coordinator": {
            "module": "dagster",
            "class": "QueuedRunCoordinator",
            # A tick never waits for a backfill: backfills leave slots, and ticks go first.
            "config": {
                "max_concurrent_runs": 4,
                "dequeue_interval_seconds": 1,
                "tag_concurrency_limits": [{"key": "dagster/backfill", "limit": 2}],
            },
        },
        "run_launcher": {"module": "aurora_pipeline.defs.warm_launcher", "class": "WarmRunLauncher"},
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 120, "max_runtime_seconds": 14400},
        "retention": {
            "schedule": {"purge_after_days": {"skipped": 2, "success": 30, "failure": 30}},
            "sensor": {"purge_after_days": {"skipped": 2, "success": 30, "failure": 30}},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }


def write_instance_config(home: Path) -> Path:
    """Write `<home>/dagster.yaml`, so that the home can serve as `DAGSTER_HOME`."""
    path = home / CONFIG_FILE
    text = "# Written by aurora: the Dagster instance of this home.\n" + yaml.safe_dump(
        instance_config(home), sort_keys=False
    )
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        atomic_text(path, text)
    return path
