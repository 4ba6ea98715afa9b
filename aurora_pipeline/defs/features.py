"""Bars to features: residual returns, the five views, and the panel models train on."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from polars import concat

from aurora_pipeline.defs.market_data import FEEDS_ASSET
from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.stage_run import StageRun
from aurora_pipeline.lookback import BAR_LOOKBACK, SESSION_LOOKBACK
from aurora_pipeline.stages import VIEWS

GROUP = "features"
OWNERS = ["team:research"]
LEAK_CHECKS = {
    "truncation": "At sampled decision times the features equal those of the rows known by then.",
    "poison": "Garbage in rows known after a sampled decision time changes no feature at it.",
    "scale": "The unit a sampled stock is quoted in changes no feature.",
    "peers": "A sampled stock's own return moves no mean it is measured against.",
    "lagged_beta": "The prices of a sampled session move no beta applied in it.",
}
"""Checks of :mod:`aurora_pipeline.features.leakage` that block the panel, by name."""
_DESCRIPTIONS = {
    "price": "Momentum, reversal, volatility, ranges, volume surprise and liquidity of each stock.",
    "sector": "Sector-neutral momentum, reversal and volatility; intraday residual returns.",
    "microstructure": "Signed volume, VWAP deviation, spreads and realised moments from 5-minute bars.",
    "fundamental": "Earnings surprises, yields, profitability and growth as of the filing, with expiry.",
    "alternative": "Short interest, ETF flows and option-implied signals as of publication, with expiry.",
}


def residual_returns_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset of residual returns."""

    @dg.asset(
        name="residual_returns",
        deps=["bars", "session_bars", "universe", FEEDS_ASSET],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars", "numba"},
        description="Each bar's return less market and orthogonalised sector, betas known the session before.",
    )
    def residual_returns(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.features.inputs import ResidualInputs
        from aurora_pipeline.features.sector_neutralizer import compute_residual_returns

        run = StageRun(context, home.open(), "residual_returns")
        folder = run.home.folder()
        lake = run.home.lake
        for keys, sessions in run.blocks():
            frame = compute_residual_returns(
                ResidualInputs(
                    sessions=sessions,
                    calendar=run.home.calendar,
                    frequency=run.home.frequency,
                    manifest=folder.manifest,
                    settings=run.settings,
                    bars=run.read_back("bars", sessions, BAR_LOOKBACK),
                    session_bars=run.read_back("session_bars", sessions, SESSION_LOOKBACK),
                    universe=run.read_back("universe", sessions, BAR_LOOKBACK),
                    daily_bars=lake.read("daily_bars"),
                    corporate_actions=lake.read("corporate_actions"),
                )
            )
            run.write("residual_returns", frame, keys)
        return dg.MaterializeResult(metadata=run.summary())

    return residual_returns


def views_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the assets of the feature views: one step, so that what they share is read and laid out once."""
    names = {view: f"{view}_features" for view in VIEWS}

    @dg.multi_asset(
        name="feature_views",
        specs=[
            dg.AssetSpec(
                name,
                deps=["bars", "session_bars", "universe", "residual_returns", FEEDS_ASSET],
                group_name=GROUP,
                owners=OWNERS,
                kinds={"polars", "numba"},
                description=_DESCRIPTIONS[view],
            )
            for view, name in names.items()
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def feature_views(context: dg.AssetExecutionContext, home: HomeResource) -> Iterator[dg.MaterializeResult]:
        from aurora_pipeline.adapters.stage_inputs.features import read_view_inputs
        from aurora_pipeline.features.panel_builder import compute_views

        views = [view for view, name in names.items() if dg.AssetKey(name) in context.selected_asset_keys]
        opened = home.open()
        run = StageRun(context, opened, names[views[0]])
        runs = {view: StageRun(context, opened, names[view], beside=run) for view in views[1:]} | {views[0]: run}
        for keys, sessions in run.blocks():
            frames = compute_views(read_view_inputs(run.home, run.settings, sessions, run.read_back), views)
            for view, frame in frames.items():
                runs[view].write(names[view], frame, keys, asset=names[view])
        for view in views:
            yield dg.MaterializeResult(asset_key=names[view], metadata=runs[view].summary())

    return feature_views


def feature_panel_asset(partitions: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    """Build the asset that joins and transforms the views."""

    @dg.asset(
        name="feature_panel",
        deps=[*(f"{view}_features" for view in VIEWS), "universe"],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"polars"},
        description="All views joined at decision times and transformed across the eligible symbols of each; table `features`.",
        check_specs=[
            dg.AssetCheckSpec(name, asset="feature_panel", blocking=True, description=text)
            for name, text in LEAK_CHECKS.items()
        ],
    )
    def feature_panel(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
        from aurora_pipeline.adapters.stage_inputs.features import read_feature_inputs
        from aurora_pipeline.features.leakage import FEATURE_CHECKS, feature_leaks, sample_decision_times
        from aurora_pipeline.features.panel_builder import build_panel

        run = StageRun(context, home.open(), "feature_panel")
        for keys, sessions in run.blocks():
            views = [run.read_back(f"{view}_features", sessions, 0) for view in VIEWS]
            universe = run.read_back("universe", sessions, 0)
            run.write("features", build_panel(views, universe, run.settings), keys)
        session = run.sessions[len(run.sessions) // 2]
        times = sample_decision_times(session, run.home.calendar, run.home.frequency)
        inputs = read_feature_inputs(run.home, run.settings, [session], run.read_back)
        stored = run.home.lake.read("features", session, session)
        seed = session.toordinal()
        found = feature_leaks(inputs, stored, [times[len(times) // 4]], seed, FEATURE_CHECKS)
        newest = feature_leaks(inputs, stored, times[-1:], seed, FEATURE_CHECKS[:1])
        violations = concat([found, newest])
        return dg.MaterializeResult(
            metadata=run.summary(),
            check_results=[
                run.check(name, violations.filter(violations["check"] == name), text)
                for name, text in LEAK_CHECKS.items()
            ],
        )

    return feature_panel
