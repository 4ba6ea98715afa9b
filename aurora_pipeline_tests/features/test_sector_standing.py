"""Standings within a sector: by hand, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from aurora_pipeline.features.sector_standing import SectorGroups


def test_standing_is_measured_from_the_peers_of_the_group() -> None:
    groups = SectorGroups(group=np.array([0, 0, 0, 1, 1, 1, 0, -1]), peers=np.arange(6))
    values = np.array([1.0, 2.0, 3.0, 10.0, 10.0, 40.0, 4.0, 5.0])
    standing = groups.standing(values)
    assert standing[:3].tolist() == [-1.0, 0.0, 1.0]
    assert standing[3:6].tolist() == pytest.approx([-1 / np.sqrt(3), -1 / np.sqrt(3), 2 / np.sqrt(3)])
    assert standing[6] == 2.0  # not a peer itself: a state later in the session
    assert np.isnan(standing[7])


def test_outliers_are_clipped() -> None:
    groups = SectorGroups(group=np.zeros(4, dtype=np.int64), peers=np.arange(3))
    assert groups.standing(np.array([1.0, 2.0, 3.0, 50.0]))[3] == 3.0


@pytest.mark.parametrize("values", [[1.0, 2.0, np.nan], [1.0, 1.0, 1.0]])
def test_too_few_or_equal_peers_have_no_standing(values: list[float]) -> None:
    groups = SectorGroups(group=np.zeros(3, dtype=np.int64), peers=np.arange(3))
    assert np.isnan(groups.standing(np.array(values))).all()


def test_without_any_sector_there_is_no_standing() -> None:
    groups = SectorGroups(group=np.full(2, -1), peers=np.array([], dtype=np.int64))
    assert np.isnan(groups.standing(np.array([1.0, 2.0]))).all()
