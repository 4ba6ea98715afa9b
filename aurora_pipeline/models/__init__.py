"""Labels, walk-forward folds, model families and their training: features and labels in, out-of-fold scores out."""

import os

# OpenMP threads that wait shall sleep instead of spin: on a busy machine spinning slowed one LightGBM fit down twentyfold.
# The runtime reads this once, when the first of the model libraries is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
