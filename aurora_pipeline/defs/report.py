"""Everything stored to one scorecard."""

import json

import dagster as dg

from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.defs.resources import HomeResource
from aurora_pipeline.defs.shown_numbers import shown_numbers
from aurora_pipeline.stages import book_name


@dg.asset(
    name="report",
    deps=["portfolio", "fills", "calibrated_signals", "ensemble_weights", "labels", "model_comparison"],
    group_name="report",
    owners=["team:research"],
    kinds={"json", "polars"},
    description="The scorecard: IC, calibration, costs and results of the backtest book, each with its interval.",
)
def report(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Build `<home>/scorecard.json` from stored tables only."""
    from aurora_pipeline.adapters.stage_inputs.scorecard import read_scorecard_inputs
    from aurora_pipeline.monitoring.scorecard import build_scorecard, headline

    opened = home.open()
    settings = opened.settings()
    card = build_scorecard(read_scorecard_inputs(opened, settings, book_name(settings)))
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    atomic_text(opened.scorecard_file, text)
    return dg.MaterializeResult(
        metadata=shown_numbers({name: value for name, value in headline(card).items() if value is not None})
    )
