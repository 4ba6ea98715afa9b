"""After the close: what is left is settled, the session is made again and compared, labels mature, old ticks go.

1. Bars nobody settled are recorded as skipped, the account is brought to the last bar.
2. The session is made again in one go from the market folder and compared (:mod:`.parity`).
3. The graph's own jobs materialise it, and the labels of the sessions that have matured by now; what decisions rested on is
   compared once more with what the assets wrote.
4. A report is kept in `<home>/live/sessions/<session>/close.json`; tick runs and decision files that are too old are removed.

What is the graph's to do comes as callables; :func:`aurora_pipeline.defs.session_jobs.close_day` gives them and writes the
day's page. The book `live` is never made again: its targets, orders and fills stand as they were.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.errors import AuroraError
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.alerting import tell
from aurora_pipeline.live.decision_log import Settled, session_folder
from aurora_pipeline.live.parity import (
    DECIDED_ON,
    RESTS_ON,
    decided_rows,
    differences,
    live_tables,
    session_again,
    stored_tables,
)
from aurora_pipeline.live.prune import prune
from aurora_pipeline.live.session_opening import opening_of
from aurora_pipeline.live.tick import TickRunner

SHOWN = 20


def end_of_day(
    home: Home,
    session: date,
    materialise: Callable[[Home, date], None],
    remove_tick_runs: Callable[[Home, datetime], int],
) -> dict[str, Any]:
    """Close a session; may be called again.

    Parameters
    ----------
    home : Home
    session : date
        It must have ended.
    materialise : callable
        Makes a session by the graph's own assets (:func:`aurora_pipeline.defs.session_jobs.materialise_session`).
    remove_tick_runs : callable
        As for :func:`~aurora_pipeline.live.prune.prune`.

    Returns
    -------
    dict
        `decided`, `skipped`, `reasons`, `fell_back` (families that did not trade with the files their state names: the assets do,
        so decisions are not compared with them), `failed_models`, `differences` and `backfill_differences` (values that differ),
        `backfill_blocked` (why the assets refused the session; empty if they did not),
        `first_differences`, `computation_ms` (50th, 95th and 99th percentile), `pruned`.
    """
    runner = TickRunner(home, session)
    log = runner.close()
    live = live_tables(home, session)
    found = differences(live, session_again(home, session))
    rests_on = {name: live[name] for name in (*DECIDED_ON, *RESTS_ON)}
    fallen = opening_of(home, session).champions.problems
    short = [settled.bar_end for settled in log if settled.failed or fallen]
    drifted, blocked = found.clear(), ""
    try:
        materialise(home, session)
        made = decided_rows(home, session, stored_tables(home, session))
        drifted = differences(_without(rests_on, short), _without(made, short))
    except AuroraError as error:
        blocked = str(error)
        text = f"session {session} cannot be materialised: {blocked}; what was traded stands, look at its data_quality"
        tell(home, [Alert("critical", "end_of_day", text)])
    report: dict[str, Any] = {
        "session": session.isoformat(),
        "decided": sum(settled.status == "decided" for settled in log),
        "skipped": sum(settled.status == "skipped" for settled in log),
        "reasons": dict(Counter(settled.reason.partition(":")[0] for settled in log if settled.status == "skipped")),
        "fell_back": list(fallen),
        "failed_models": dict(Counter(family for settled in log for family in settled.failed)),
        "differences": found.height,
        "backfill_differences": drifted.height,
        "backfill_blocked": blocked,
        "first_differences": pl.concat([found, drifted]).head(SHOWN).to_dicts(),
        "computation_ms": _percentiles(log),
        "pruned": prune(home, runner.settings, remove_tick_runs),
    }
    atomic_text(session_folder(home.path / "live", session) / "close.json", json.dumps(report, indent=1) + "\n")
    if found.height + drifted.height:
        first = report["first_differences"][0]
        text = f"session {session}: {found.height + drifted.height} value(s) differ from the backfill, the first is {first}"
        tell(home, [Alert("critical", "parity", text)])
    return report


def _without(tables: dict[str, pl.DataFrame], times: list[datetime]) -> dict[str, pl.DataFrame]:
    """Leave out decisions taken without a family: the assets have all of them."""
    moments = pl.Series(times, dtype=TIMESTAMP)
    return {
        name: frame.filter(~pl.col("decision_time").is_in(moments.implode())) if name in DECIDED_ON else frame
        for name, frame in tables.items()
    }


def _percentiles(log: list[Settled]) -> dict[str, float]:
    took = [sum(settled.content["timings_ms"].values()) for settled in log if settled.status == "decided"]
    if not took:
        return {}
    return {f"p{rank}": round(float(np.percentile(took, rank)), 1) for rank in (50, 95, 99)}
