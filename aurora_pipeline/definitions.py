"""What Dagster loads: the asset graph of the home named by `AURORA_HOME`, or of `data/`."""

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.defs.graph import build_definitions

home = Home.default()
home.refresh()
defs = build_definitions(home)
