"""The dashboard: which panels there are, in which order, and what each reads.

Frames in, HTML out. What is stored is read by :mod:`aurora_pipeline.reports.dashboard`, which renders a panel again only
where one of its inputs has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from aurora_pipeline.monitoring.dashboard.attention import needs_a_person
from aurora_pipeline.monitoring.dashboard.data_panels import data_quality, feed_health, tick_latency
from aurora_pipeline.monitoring.dashboard.evidence_panels import claim_ledger, phase_ablation
from aurora_pipeline.monitoring.dashboard.model_panels import drift, ensemble_weights, model_states
from aurora_pipeline.monitoring.dashboard.page import panel_html
from aurora_pipeline.monitoring.dashboard.panel import Block, Note, Panel
from aurora_pipeline.monitoring.dashboard.result_panels import costs_and_alpha, profit_and_loss, turnover
from aurora_pipeline.monitoring.dashboard.risk_panels import capacity, exposures
from aurora_pipeline.monitoring.dashboard.signal_panels import calibration, information_coefficient

GROUPS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Now",
        (
            Panel(
                "attention",
                "What needs a person",
                "Is there anything in the newest session that somebody should look at?",
                ("attention",),
                needs_a_person,
                ("model_states", "drift"),
                wide=True,
            ),
        ),
    ),
    (
        "Result",
        (
            Panel(
                "pnl",
                "Profit and loss, drawdown",
                "What did the book earn, and how far did it fall on the way?",
                ("portfolio", "seed"),
                profit_and_loss,
                ("portfolio",),
            ),
            Panel(
                "costs",
                "Costs and alpha kept",
                "How much of the gross result is left after costs?",
                ("portfolio", "fills", "alpha_forgone", "seed"),
                costs_and_alpha,
                ("fills", "portfolio"),
            ),
            Panel(
                "turnover",
                "Turnover against the budgets",
                "Does the book stay within its day, week and month?",
                ("portfolio", "rules", "step_downs"),
                turnover,
                ("portfolio",),
            ),
            Panel(
                "exposures",
                "Exposures and risk contributions",
                "What moves the book, and is the risk forecast right?",
                ("portfolio", "exposures", "attribution", "rules"),
                exposures,
                ("portfolio",),
            ),
        ),
    ),
    (
        "Signal",
        (
            Panel(
                "ic",
                "Information coefficient",
                "Does the score still order the stocks?",
                ("signal_quality", "model_scores"),
                information_coefficient,
                ("signal_quality", "model_scores"),
            ),
            Panel(
                "calibration",
                "Calibration",
                "Is what is expected what happens, and do the intervals hold?",
                ("signal_quality", "reliability"),
                calibration,
                ("signal_quality", "calibrated_signals"),
            ),
        ),
    ),
    (
        "Models",
        (
            Panel(
                "weights",
                "Ensemble weights",
                "Which family counts how much?",
                ("ensemble_weights",),
                ensemble_weights,
                ("ensemble_weights",),
            ),
            Panel(
                "drift",
                "Drift",
                "Do features, scores, residuals and the market look like before?",
                ("drift",),
                drift,
                ("drift", "challengers"),
            ),
            Panel(
                "states",
                "Model states and why",
                "Which models trade, which are on probation, and on what evidence?",
                ("model_states", "model_scores"),
                model_states,
                ("model_states", "model_scores"),
                wide=True,
            ),
        ),
    ),
    (
        "Data",
        (
            Panel(
                "data",
                "Data quality",
                "Which bars are missing or refused?",
                ("data_quality", "quarantine"),
                data_quality,
                ("data_quality", "quarantine"),
            ),
            Panel(
                "feeds",
                "Feed health",
                "Does every feed still arrive?",
                ("feeds", "newest_bar", "refused_files"),
                feed_health,
                ("market_feeds",),
            ),
            Panel(
                "ticks",
                "Tick latency",
                "How fast does a bar become targets?",
                ("ticks", "closes"),
                tick_latency,
                ("target_positions",),
            ),
        ),
    ),
    (
        "Evidence",
        (
            Panel(
                "capacity",
                "Capacity",
                "How much capital and how much more cost would the result bear?",
                ("capacity",),
                capacity,
                ("portfolio",),
            ),
            Panel(
                "ablation",
                "Phase ablation",
                "What does each phase of the plan add?",
                ("ablation",),
                phase_ablation,
            ),
            Panel(
                "claims",
                "Claim ledger",
                "What of the plan has been shown, and on what?",
                ("claims",),
                claim_ledger,
                ("claims",),
                wide=True,
            ),
        ),
    ),
)
PANELS = tuple(panel for _, panels in GROUPS for panel in panels)
_LOG = logging.getLogger(__name__)


def rendered(panel: Panel, read: Callable[[str], Any], *, synthetic: bool) -> str:
    """Panel as HTML, its inputs read by name; one that cannot be drawn says why instead of taking the page with it."""
    try:
        blocks: Sequence[Block] = panel.build(**{name: read(name) for name in panel.reads})
    except Exception as error:  # whatever is wrong with a table, the other panels are still wanted
        _LOG.exception("panel %s", panel.key)
        blocks = [Note(f"This panel could not be drawn, {type(error).__name__}: {error}. The log has the rest.")]
    return panel_html(panel, blocks, synthetic=synthetic)
