"""Signals to positions: one sequential loop over decision times, restarted from the book's last stored state."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.storage.lake import Lake, partition_of
from aurora_pipeline.contracts import BOOK_TABLES
from aurora_pipeline.defs.market_data import FEEDS_ASSET
from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.shown_numbers import shown_numbers
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.stages import book_name

if TYPE_CHECKING:
    from aurora_pipeline.adapters.book.book_store import BookStore

GROUP = "book"
OWNERS = ["team:trading"]
BOOK_BLOCK = {"5min": 10, "session": 60}
"""Sessions whose inputs are prepared at once."""
_NUMBERS = (
    "Numbers of a run: `nav` (USD), `gross` and `net` exposure (fractions of NAV) at its last bar; `turnover_total` (fraction of "
    "NAV), `gross_pnl_usd` and `cost_usd` summed over its sessions; `latency_ms`, what the run took."
)
BOOK_ASSETS = {
    "target_positions": (
        "targets",
        f"What the book wants to hold after each decision, with the reason for every name.\n\n{_NUMBERS}",
    ),
    "orders": ("orders", f"Orders of each decision, with deterministic ids.\n\n{_NUMBERS}"),
    "fills": ("fills", f"Simulated executions in the next bar, costs by term.\n\n{_NUMBERS}"),
    "portfolio": (
        "portfolio",
        "NAV, exposure, turnover and costs at every bar; beside it `positions`, `exposures`, `attribution` by name, "
        f"`alpha_forgone` to each limit and `events`.\n\n{_NUMBERS}",
    ),
}

_ASSET_OF = dict.fromkeys(BOOK_TABLES, "portfolio") | {
    table_name: asset for asset, (table_name, _) in BOOK_ASSETS.items()
}


def trade_book_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of the trade book."""

    @dg.multi_asset(
        name="trade_book",
        specs=[
            dg.AssetSpec(
                name,
                deps=[
                    "calibrated_signals",
                    "model_states",
                    "bars",
                    "session_bars",
                    "universe",
                    "residual_returns",
                    FEEDS_ASSET,
                ],
                group_name=GROUP,
                owners=OWNERS,
                kinds={"polars", "numba"},
                description=description,
            )
            for name, (_, description) in BOOK_ASSETS.items()
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                "limits",
                asset="target_positions",
                blocking=True,
                description="Every configured limit holds at every decision.",
            ),
            dg.AssetCheckSpec(
                "nav_identity",
                asset="portfolio",
                blocking=True,
                description="nav[t] = nav[t-1] + gross_pnl - cost, to the cent.",
            ),
        ],
    )
    def trade_book(context: dg.AssetExecutionContext, home: HomeResource) -> Iterator[Any]:
        from aurora_pipeline.adapters.book.book_store import BookStore

        run = StageRun(context, home.open(), "trade_book")
        store = BookStore(run.home.lake, book_name(run.settings))
        limits, identity = _traded(run, store)
        run.home.lake.write_views(run.home.database)
        numbers = _numbers(run.home.lake, store.book, run.sessions[0], run.sessions[-1])
        for name in BOOK_ASSETS:
            yield dg.MaterializeResult(asset_key=name, metadata={**run.summary(), **shown_numbers(numbers)})
        yield run.check("limits", limits, "limits breached", "target_positions")
        yield run.check("nav_identity", identity, "bars whose NAV does not add up", "portfolio")

    return trade_book


def _traded(run: StageRun, store: "BookStore") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Trade the run's scored sessions and commit them; returns breaches of limits and bars whose NAV does not add up."""
    from aurora_pipeline.adapters.stage_inputs.book import read_ahead
    from aurora_pipeline.execution.limits import limit_violations
    from aurora_pipeline.execution.nav_identity import nav_identity_violations
    from aurora_pipeline.execution.trade_book import run_session

    settings, frequency = run.settings, run.home.frequency
    first = max(run.sessions[0], run.scored_from)
    state = store.state_before(first, run.lineage.sessions, run.scored_from)
    traded = [session for session in run.sessions if session >= first]
    for read in run.stage.reads:
        if read.window in {"back", "history"}:
            run.require(read.table, traded, read.sessions)
    size = BOOK_BLOCK[frequency]
    blocks = [[day for day in sessions if day >= first] for _, sessions in run.cut(size)]
    limits: list[pl.DataFrame] = []
    identity: list[pl.DataFrame] = []
    with closing(read_ahead(run.home, settings, run.lineage.sessions, run.scored_from, blocks)) as ahead:
        for (keys, _), scored, prepared in zip(run.blocks(size), blocks, ahead, strict=True):
            stamps = run.fingerprints(keys)
            pending: list[Any] = []
            for index, (session, inputs) in enumerate(zip(scored, prepared, strict=True)):
                result = run_session(state, session, inputs, settings, store.book)
                state = result.state
                pending.append(result)
                limits.append(limit_violations(result, inputs, settings))
                identity.append(nav_identity_violations(result))
                key = partition_of(session, frequency)
                if index + 1 == len(scored) or partition_of(scored[index + 1], frequency) != key:
                    for name, rows in store.commit(key, pending, stamps[key]).items():
                        run.note(name, key, rows, _ASSET_OF[name], book=store.book)
                    pending = []
    return pl.concat(limits), pl.concat(identity)


def _numbers(lake: Lake, book: str, first: date, last: date) -> dict[str, float]:
    """Totals of a stretch of the book, for the plots on its assets."""
    rows = lake.read("portfolio", first, last, book=book).sort("decision_time")
    sums = rows.select(pl.col("turnover", "gross_pnl", "cost").sum()).row(0, named=True)
    last_row = rows.row(-1, named=True)
    return {
        "nav": last_row["nav"],
        "gross": last_row["gross"],
        "net": last_row["net"],
        "turnover_total": sums["turnover"],
        "gross_pnl_usd": sums["gross_pnl"],
        "cost_usd": sums["cost"],
    }
