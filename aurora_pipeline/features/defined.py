"""Elementwise functions that are missing where they are not defined, instead of infinite or a warning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ratio(numerator: Any, denominator: Any) -> Floats:
    """``numerator / denominator`` with broadcasting; NaN where the denominator is not positive."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0.0))


def logarithm(values: Floats) -> Floats:
    """Natural logarithm; NaN where the value is not positive."""
    return np.asarray(np.log(values, out=np.full(values.shape, np.nan), where=values > 0.0))
