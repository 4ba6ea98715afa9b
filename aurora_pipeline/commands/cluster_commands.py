"""`aurora daemon`: what takes runs from the queue of the profile `cluster` and gives them to Ray."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from aurora_pipeline.commands.terminal import HomeOption, SetOption, opened_home
from aurora_pipeline.errors import SettingsError


def daemon(
    market: Annotated[Path | None, typer.Option(help="Market folder; the home's if left out.")] = None,
    home: HomeOption = None,
    set_: SetOption = None,
) -> None:
    """Start Dagster's daemon for a home of profile cluster: queue, watch over lost workers, further attempts.

    Market and settings are recorded in the home, and the databases are made, where that has not been done.
    """
    from aurora_pipeline.adapters.home import HOME_VARIABLE
    from aurora_pipeline.defs.cluster_runs import MODULE
    from aurora_pipeline.defs.databases import make_databases
    from aurora_pipeline.workflows.main_job import prepare_home

    opened = opened_home(home)
    if market is not None or set_:
        opened, _, _ = prepare_home(opened, market, list(set_ or []))
    opened.refresh()
    if opened.shared is None:
        raise SettingsError("aurora daemon is for profile cluster; in profile local `aurora ui` has its own")
    make_databases(opened)
    environment = os.environ | {"DAGSTER_HOME": str(opened.path), HOME_VARIABLE: str(opened.path)}
    os.execve(sys.executable, [sys.executable, "-m", "dagster._daemon", "run", "-m", MODULE], environment)
