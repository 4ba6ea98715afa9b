"""Dagster only: assets, partitions, checks, jobs and schedules, one file per stage.

An asset body reads from the lake, calls one domain function, writes, and returns metadata and check results.
"""

import warnings

import dagster as dg

# Single-run backfills and edges to folds that may not exist are marked beta; the version is pinned, and one line here is better
# than a warning per asset.
_BETA = r"Parameter `(backfill_policy|allow_nonexistent_upstream_partitions)`"
warnings.filterwarnings("ignore", message=_BETA, category=dg.BetaWarning)
