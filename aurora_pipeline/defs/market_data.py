"""Market folder to lake: the feeds as a whole, then each session's bars with universe, quarantine and data quality."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from aurora_pipeline.contracts import FEED_TABLES, table
from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.stage_run import BLOCKED, StageRun, check_result
from aurora_pipeline.fingerprints import feeds_fingerprint

GROUP = "market"
OWNERS = ["team:data"]
FEEDS_ASSET = "market_feeds"
SESSION_TABLES = ("universe", "bars", "session_bars", "quarantine", "data_quality")
BAR_SOURCE = "bars"


@dg.asset(
    name=FEEDS_ASSET,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet", "polars"},
    description="Daily bars, corporate actions, earnings, filings, short interest, ETF flows and options of the market "
    "folder, validated, every version with the moment it became known. Refused rows go to `quarantine`.",
    check_specs=[
        dg.AssetCheckSpec(
            "known_after_event", asset=FEEDS_ASSET, blocking=True, description="Nothing is known before it happened."
        )
    ],
)
def market_feeds(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Validate and store every feed of the market folder."""
    from aurora_pipeline.adapters.storage.feed_store import store_feeds
    from aurora_pipeline.market.ingest import ingest_feeds, known_before_event

    opened = home.open()
    settings = opened.settings()
    folder = opened.folder()
    fingerprint = feeds_fingerprint(folder, settings)
    feeds = ingest_feeds(folder, settings)
    violations = known_before_event(feeds)
    quarantined = store_feeds(opened, feeds, fingerprint if violations.is_empty() else BLOCKED)
    opened.lake.write_views(opened.database)
    counts: dict[str, Any] = {name: feeds[name].height for name in FEED_TABLES}
    return dg.MaterializeResult(
        metadata={**counts, "quarantined": quarantined},
        check_results=[check_result("known_after_event", violations, "rows known before their event")],
    )


def session_data_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset that turns raw bars into the session tables."""

    @dg.multi_asset(
        name="session_data",
        specs=[
            dg.AssetSpec(
                name,
                deps=[FEEDS_ASSET],
                group_name=GROUP,
                owners=OWNERS,
                kinds={"parquet", "polars"},
                description=table(name).description,
            )
            for name in SESSION_TABLES
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                "bar_grid",
                asset="bars",
                blocking=True,
                description="Every absence is listed in data_quality; a session missing more than "
                "quality.absent_share of its bars blocks.",
            ),
            dg.AssetCheckSpec(
                "bars_known_at",
                asset="bars",
                blocking=True,
                description="No bar is known before its end or lies ahead.",
            ),
        ],
    )
    def session_data(context: dg.AssetExecutionContext, home: HomeResource) -> Iterator[Any]:
        from aurora_pipeline.market.ingest import (
            LOOKBACK_SESSIONS,
            bar_time_violations,
            grid_violations,
            ingest_bars,
            stored_feeds,
        )

        run = StageRun(context, home.open(), "session_data")
        folder = run.home.folder()
        feeds = stored_feeds(folder, {name: run.home.lake.read(name) for name in FEED_TABLES})
        gaps: list[pl.DataFrame] = []
        early: list[pl.DataFrame] = []
        for keys, sessions in run.blocks():
            before = run.before(sessions[0], LOOKBACK_SESSIONS)
            earlier = run.lineage.sessions[: run.lineage.sessions.index(sessions[0])][-LOOKBACK_SESSIONS:]
            recent = run.read_back("bars", earlier, 0) if before and earlier else run.home.lake.read("bars").clear()
            made = ingest_bars(
                folder.read_bars(sessions),
                sessions,
                feeds,
                folder.manifest,
                folder.calendar,
                recent,
                run.settings,
            )
            gaps.append(grid_violations(made.data_quality, run.settings))
            early.append(bar_time_violations(made.bars))
            for name in SESSION_TABLES:
                branches = {"source": BAR_SOURCE} if name == "quarantine" else {}
                run.write(name, getattr(made, name), keys, asset=name, **branches)
        run.home.lake.write_views(run.home.database)
        for name in SESSION_TABLES:
            yield dg.MaterializeResult(asset_key=name, metadata=run.summary())
        yield run.check("bar_grid", pl.concat(gaps), "sessions with too many absent bars", "bars")
        yield run.check("bars_known_at", pl.concat(early), "bars known before their end", "bars")

    return session_data
