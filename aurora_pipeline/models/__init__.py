"""Labels, walk-forward folds, model families and their training: features and labels in, out-of-fold scores out."""

import os

# Waiting OpenMP threads sleep instead of spinning: on a busy machine spinning made one LightGBM fit twenty times slower. The
# runtime reads this once, when the first of the model libraries is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
