import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from aurora_pipeline.monitoring.distribution_shift import FLOOR, distribution_shift


def pair(current, reference, bins=10):
    """Both measures of one pair of samples."""
    stability, distance = distribution_shift(np.array([current], dtype=float), np.array([reference], dtype=float), bins)
    return stability[0], distance[0]


def test_population_stability_by_hand():
    reference = np.arange(10.0)
    # Half of the current lies in the lower half: shares 0.2 and 0.8 against 0.5 and 0.5.
    expected = (0.2 - 0.5) * math.log(0.4) + (0.8 - 0.5) * math.log(1.6)
    assert pair([0.0, 6.0, 7.0, 8.0, 9.0], reference, bins=2)[0] == pytest.approx(expected)
    assert pair(reference, reference)[0] == 0.0
    assert math.isnan(pair([np.nan], reference)[0])
    assert math.isfinite(pair(np.full(5, 99.0), reference)[0])


def test_kolmogorov_smirnov_by_hand():
    assert pair([1.0, 2.0], [3.0, 4.0])[1] == 1.0
    assert pair([1.0, 3.0], [2.0, 4.0])[1] == 0.5
    assert pair([1.0, np.nan], [1.0])[1] == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_samples_with_ties_and_gaps_equal_numpy_and_scipy_one_by_one(dtype):
    rng = np.random.default_rng(3)
    current = rng.normal(0.3, 1.2, (6, 90)).round(1).astype(dtype)
    reference = rng.normal(size=(6, 400)).round(1).astype(dtype)
    current[2, :40], reference[3, ::3], current[5] = np.nan, np.nan, np.nan
    stability, distance = distribution_shift(current, reference)
    for row in range(5):
        ours, theirs = (each[row][~np.isnan(each[row])] for each in (current, reference))
        edges = np.unique(np.quantile(theirs.astype(float), np.arange(1, 10) / 10))
        shares = [
            np.bincount(np.searchsorted(edges, each, side="left"), minlength=len(edges) + 1) / each.size
            for each in (ours, theirs)
        ]
        actual, expected = (np.maximum(share, FLOOR) for share in shares)
        assert stability[row] == pytest.approx(((actual - expected) * np.log(actual / expected)).sum())
        assert distance[row] == pytest.approx(ks_2samp(ours, theirs).statistic)
    assert math.isnan(stability[5])
    assert math.isnan(distance[5])
