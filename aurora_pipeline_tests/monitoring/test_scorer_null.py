from __future__ import annotations

import numpy as np
import pytest

from aurora_pipeline.monitoring.information_coefficient import information_coefficient
from aurora_pipeline.monitoring.scorer_null import BARS, ScorerDesign, null_estimate, null_panel, rejection_rate

DESIGN = ScorerDesign(sessions=40, names=24, sectors=3)


def test_labels_overlap_and_names_of_a_sector_move_together() -> None:
    _, labels = null_panel(ScorerDesign(sessions=300, names=24, sectors=3), 1)
    wide = labels["label"].to_numpy().reshape(-1, 24)
    assert wide.shape == (300 * BARS, 24)
    overlap = np.mean([np.corrcoef(wide[:-1, k], wide[1:, k])[0, 1] for k in range(24)])
    apart = np.mean([np.corrcoef(wide[: -BARS - 1, k], wide[BARS + 1 :, k])[0, 1] for k in range(24)])
    assert overlap == pytest.approx(1 - 1 / BARS, abs=0.06)
    assert abs(apart) < 0.1
    correlation = np.corrcoef(wide.T)
    same = np.subtract.outer(np.arange(24), np.arange(24)) % 3 == 0
    assert correlation[same & ~np.eye(24, dtype=bool)].mean() == pytest.approx(
        0.13, abs=0.04
    )  # volatility that differs by name takes some
    assert abs(correlation[~same].mean()) < 0.05


def test_the_same_seed_gives_the_same_panel_and_another_does_not() -> None:
    assert null_panel(DESIGN, 1)[0].equals(null_panel(DESIGN, 1)[0])
    assert not null_panel(DESIGN, 1)[0].equals(null_panel(DESIGN, 2)[0])


def test_sixty_seeds_reject_about_as_often_as_they_should_and_a_leak_always() -> None:
    assert rejection_rate([null_estimate(DESIGN, seed) for seed in range(60)]) <= 0.15
    leaky = []
    for seed in range(10):
        scores, labels = null_panel(DESIGN, seed)
        leak = scores.with_columns(scores["score"] + 0.3 * labels["label"])
        leaky.append(information_coefficient(leak, labels))
    assert rejection_rate(leaky) == 1.0


def test_an_estimate_without_a_t_counts_against_the_test() -> None:
    assert rejection_rate([null_estimate(ScorerDesign(sessions=3), 1)]) == 1.0
