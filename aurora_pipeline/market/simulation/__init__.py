"""The reference market: a simulated market folder whose alpha is known.

Start at `folder.simulate_market`; `components` says what is planted, `docs/reference-market.md` what it looks like.
Nothing here imports from `aurora_pipeline.features`: the features must find the alpha by themselves.
"""

from aurora_pipeline.market.simulation.folder import simulate_market
from aurora_pipeline.market.simulation.presets import PRESETS

__all__ = ["PRESETS", "simulate_market"]
