"""Transforms across the symbols of one decision time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from aurora_pipeline.features.transforms import centred_rank, less_sector_mean, winsorised_z

NAN = np.nan


def column(*values):
    return np.array(values, dtype=np.float32)


def test_rank_is_centred_and_missing_stays_missing():
    found = centred_rank(column(3.0, NAN, -1.0, 10.0), np.array([0, 4]))
    assert_allclose(found, [0.0, NAN, -1.0 / 3.0, 1.0 / 3.0], rtol=1e-6)


def test_ties_share_their_mean_rank():
    assert_allclose(centred_rank(column(5.0, 1.0, 5.0, 7.0), np.array([0, 4])), [0.0, -0.375, 0.0, 0.375])


def test_decision_times_are_ranked_apart():
    found = centred_rank(column(1.0, 2.0, 200.0, 100.0), np.array([0, 2, 4]))
    assert_allclose(found, [-0.25, 0.25, 0.25, -0.25])


def test_lone_value_ranks_in_the_middle():
    assert_allclose(centred_rank(column(NAN, 4.0), np.array([0, 2])), [NAN, 0.0])


def test_decision_time_without_values():
    assert np.isnan(centred_rank(column(NAN, NAN), np.array([0, 2]))).all()


def test_sector_mean_is_taken_over_the_values_present():
    values = column(0.4, 0.2, NAN, 0.0, 0.3)
    found = less_sector_mean(values, np.array([0, 5]), np.array([0, 0, 0, 0, 1]), 2, 2)
    assert_allclose(found, [0.2, 0.0, NAN, -0.2, 0.3], atol=1e-7)


def test_sector_with_too_few_values_keeps_its_ranks():
    values = column(0.4, 0.2, 0.1)
    assert_array_equal(less_sector_mean(values, np.array([0, 3]), np.array([0, 0, 0]), 1, 3), values)


def test_symbol_without_a_sector_keeps_its_rank():
    values = column(0.4, 0.2, 0.1)
    found = less_sector_mean(values, np.array([0, 3]), np.array([-1, 0, 0]), 1, 1)
    assert_allclose(found, [0.4, 0.05, -0.05], atol=1e-7)


def test_z_is_cut_at_three():
    values = column(*([0.0] * 20), 100.0)
    found = winsorised_z(values, np.array([0, 21]))
    assert found[-1] == 3.0
    assert_allclose(found[:-1], -np.mean(values) / np.std(values, ddof=1), rtol=1e-5)


def test_z_of_equal_values_is_missing():
    assert np.isnan(winsorised_z(column(2.0, 2.0, NAN), np.array([0, 3]))).all()


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30))
def test_rank_keeps_order_and_sums_to_zero(numbers):
    values = column(*numbers)
    found = centred_rank(values, np.array([0, values.size]))
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert_array_equal(np.diff(values[order]) > 0, np.diff(found[order]) > 0)
    assert abs(found.astype(float).sum()) < 1e-5
    assert np.abs(found).max() < 0.5
