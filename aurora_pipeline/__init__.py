"""Aurora: raw market bars and feeds in, target positions every five minutes out.

The data's way, folder by folder, with the lake table each stage writes (columns in :mod:`aurora_pipeline.contracts`):

1. ``market`` reads a market folder, refuses what is wrong with a reason, and gives every row the moment it became known:
   `universe`, `bars`, `session_bars`, `quarantine`, `data_quality`, and one table per feed (`daily_bars`, `corporate_actions`,
   `earnings`, `fundamentals`, `short_interest`, `etf_flows`, `options`).
2. ``features`` takes market and sector out of returns (`residual_returns`), computes five views (`price_features`,
   `sector_features`, `microstructure_features`, `fundamental_features`, `alternative_features`) and joins them (`features`).
3. ``models`` makes `labels`, cuts time into purged walk-forward folds, trains one model per family and fold, and stores
   out-of-fold `predictions`.
4. ``ensemble`` weighs the families by matured information coefficient (`ensemble_weights`, `ensemble`) and turns scores
   into expected returns with intervals (`signals`).
5. ``policy`` prices trades, risk and limits and sizes positions; ``execution`` trades them in a simulated market:
   `targets`, `orders`, `fills`, `positions`, `portfolio`, and what explains them: `exposures`, `attribution`, `alpha_forgone`,
   `events`.
6. ``monitoring`` measures what came of it: the information coefficient, the scorecard, signal quality (`signal_quality`,
   `reliability`), the claim ledger (`claims`), families against baselines
   (`model_comparison`).

``live`` runs the same functions on a session that is going on, bar by bar, and settles each bar once. ``adapters`` holds
everything with a side effect (lake, home, registry, inbox), ``defs`` everything Dagster, ``reports`` the write-ups,
``serving`` the processes of a home that is served, ``workflows`` what a person sets going, ``commands`` the command line.
:mod:`aurora_pipeline.stages` declares what each stage depends on, :mod:`aurora_pipeline.lookback` how far back it looks,
:mod:`aurora_pipeline.lineage` finds what is stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aurora_pipeline.adapters.home import Home

__all__ = ["__version__", "open_home"]
__version__ = "0.1.0"


def open_home(path: str | Path = "data") -> Home:
    """Open a home for reading, as in ``open_home("data").read("signals", start="2024-11-01")``."""
    from aurora_pipeline.adapters.home import Home

    return Home(Path(path).absolute())
