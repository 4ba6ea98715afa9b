"""What Dagster loads: the asset graph of the home named by `AURORA_HOME`, or of `data/`."""

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.graph import build_definitions

defs = build_definitions(Home.default())
