"""What the process that runs are forked from has loaded: definitions, the loop and its kernels, and the home's model libraries.

Importing this module does it. Nothing here starts a thread: a fork does not take threads along.
"""

import aurora_pipeline.defs.warm_launcher
import aurora_pipeline.live.tick  # noqa: F401
from aurora_pipeline.adapters.compiled_kernels import load_kernels
from aurora_pipeline.definitions import home
from aurora_pipeline.live.model_loading import import_libraries

KERNELS = load_kernels()
import_libraries(home.settings().models.families)
