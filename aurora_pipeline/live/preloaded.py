"""What the process that runs are forked from has loaded: the definitions, the loop and its kernels, and no threads.

Importing this module does it. Model libraries stay out: they start threads, which a fork does not take along.
"""

import aurora_pipeline.definitions
import aurora_pipeline.defs.warm_launcher
import aurora_pipeline.live.tick  # noqa: F401
from aurora_pipeline.adapters.compiled_kernels import load_kernels

KERNELS = load_kernels()
