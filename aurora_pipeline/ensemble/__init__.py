"""Ensemble: weights of the families from matured evidence, and scores turned into expected returns with intervals."""
