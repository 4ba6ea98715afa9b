"""The Dagster instance of a home: the repository's `dagster.yaml` with its paths pointed into the home.

In the profile `cluster`: PostgreSQL for its storage, runs as jobs of Ray, lost workers found and their runs tried again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from aurora_pipeline.adapters.storage.postgres import postgres_storage
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.settings import ClusterSettings, Settings

CONFIG_FILE = "dagster.yaml"
STORAGE_FOLDER = "dagster"


def instance_config(home: Path) -> dict[str, Any]:
    """Return the instance configuration with storage below `home`.

    Relative to the repository root, ``home = Path("data")`` gives the `dagster.yaml` shipped there (a test holds the two
    together), so `dagster dev` from the root and `aurora ui` show the same home.
    """
    storage = home / STORAGE_FOLDER
    return {
        "storage": {
            "custom": {
                "module": "aurora_pipeline.defs.sqlite_storage",
                "class": "BatchedSqliteStorage",
                "config": {"base_dir": str(storage)},
            }
        },
        "run_coordinator": {
            "module": "aurora_pipeline.defs.tick_coordinator",
            "class": "TicksGoAhead",
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


def cluster_config(home: Path, settings: ClusterSettings) -> dict[str, Any]:
    """Return the instance configuration of the profile `cluster`; it holds no secret, only names of variables."""
    config = instance_config(home) | {
        "storage": postgres_storage(settings.patience_seconds),
        "run_launcher": {
            "module": "dagster_ray",
            "class": "RayRunLauncher",
            "config": {"ray": {"address": settings.ray, "num_cpus": 1}},
        },
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": 600,
            "max_runtime_seconds": 14400,
            "max_resume_run_attempts": 0,  # what was running is tried again as a new run, from the failed step on
            "poll_interval_seconds": 5,
        },
        "run_retries": {
            "enabled": True,
            "max_retries": settings.run_retries,
            "retry_on_asset_or_op_failure": False,  # an error with a name would be raised again
        },
        # Ray keeps what a run prints; a folder of this machine means nothing on another.
        "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
    }
    config["run_coordinator"]["config"]["max_concurrent_runs"] = settings.concurrent_runs
    config["run_coordinator"]["config"].pop("tag_concurrency_limits")
    return config


def write_instance_config(home: Path, settings: Settings | None = None) -> Path:
    """Write `<home>/dagster.yaml`, so that the home can serve as `DAGSTER_HOME`."""
    path = home / CONFIG_FILE
    if settings is not None and settings.profile == "cluster":
        config = cluster_config(home, settings.cluster)
    else:
        config = instance_config(home)
    text = "# Written by aurora: the Dagster instance of this home.\n" + yaml.safe_dump(config, sort_keys=False)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        atomic_text(path, text)
    return path
