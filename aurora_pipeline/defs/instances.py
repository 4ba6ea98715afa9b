"""Opens the Dagster instance of a home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from aurora_pipeline.adapters.home import HOME_VARIABLE, Home
from aurora_pipeline.defs.databases import make_databases
from aurora_pipeline.defs.dead_runs import bury_the_dead


@contextmanager
def instance_of(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open the home's Dagster instance, after marking runs whose process died as failed."""
    make_databases(home)
    os.environ["DAGSTER_HOME"] = str(home.path)
    os.environ[HOME_VARIABLE] = str(home.path)
    with dg.DagsterInstance.get() as instance:
        if home.shared is None:
            bury_the_dead(instance)
        yield instance
