"""Combined scores of a few names by hand, with families that are absent, alone or constant."""

import numpy as np

from aurora_pipeline.ensemble.combination import combine_scores

NAN = float("nan")


def z(values):
    values = np.array(values)
    return (values - values.mean()) / values.std()


def test_scores_are_combined_within_each_decision_time():
    scores = np.array([[1.0, 4.0], [2.0, NAN], [6.0, 1.0], [5.0, NAN], [7.0, NAN], [12.0, NAN], [3.0, 2.0]])
    weights = np.tile([0.25, 0.75], (7, 1))
    ends = np.array([3, 6, 7])
    best = np.array([0, 0, 1, -1, -1, -1, 0])
    score, equal, single, disagreement = combine_scores(scores.copy(), weights, best, ends)
    first, second = z([1.0, 2.0, 6.0]), z([4.0, 1.0])
    both = np.array([[first[0], second[0]], [first[2], second[1]]])
    weighed = both @ [0.25, 0.75]
    np.testing.assert_allclose(score[:3], z([weighed[0], first[1], weighed[1]]), rtol=1e-12)
    np.testing.assert_allclose(equal[:3], z([both[0].mean(), first[1], both[1].mean()]), rtol=1e-12)
    np.testing.assert_allclose(single[:3], [first[0], first[1], second[1]], rtol=1e-12)
    np.testing.assert_allclose(disagreement[:3], [both[0].std(), 0.0, both[1].std()], rtol=1e-12)
    # The second family scores nobody at the second decision time, and at the third there is one name.
    np.testing.assert_allclose(score[3:6], z([5.0, 7.0, 12.0]), rtol=1e-12)
    assert np.isnan(single[3:6]).all()
    assert (score[6], equal[6], single[6], disagreement[6]) == (0.0, 0.0, 0.0, 0.0)


def test_a_constant_score_says_nothing_however_large_or_small():
    for constant in (1e9, 1e-9):
        rounded = constant * (1.0 + np.array([[0.0], [1e-15], [0.0]]))
        score, _, _, _ = combine_scores(rounded, np.ones((3, 1)), np.zeros(3, np.int64), np.array([3]))
        assert score.tolist() == [0.0, 0.0, 0.0]
    small = np.array([[1.0], [2.0], [3.0]]) * 1e-13
    score, _, _, _ = combine_scores(small, np.ones((3, 1)), np.zeros(3, np.int64), np.array([3]))
    np.testing.assert_allclose(score, z([1.0, 2.0, 3.0]), atol=1e-9)


def test_without_weights_the_families_count_alike():
    scores = np.array([[1.0, 4.0], [2.0, 3.0], [6.0, 1.0]])
    score, equal, _, _ = combine_scores(scores, np.zeros((3, 2)), np.zeros(3, np.int64), np.array([3]))
    assert score.tolist() == equal.tolist()
