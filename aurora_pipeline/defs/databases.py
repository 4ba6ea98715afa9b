"""Makes a home's Dagster databases before several processes race for their first migration."""

import dagster as dg

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.instance import write_instance_config


def make_databases(home: Home) -> None:
    """Open every storage of the home's instance once, one process at a time; does nothing that can be seen where they exist."""
    with home.locked("databases"):
        _open_all(home)


def _open_all(home: Home) -> None:
    write_instance_config(home.path, home.settings())
    with dg.DagsterInstance.from_config(str(home.path)) as instance:
        instance.get_runs(limit=1)
        instance.get_latest_materialization_event(dg.AssetKey("bars"))
        instance.all_instigator_state()
