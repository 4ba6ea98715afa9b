"""Models: labels, walk-forward folds, one small file per family, training, and stored versions."""
