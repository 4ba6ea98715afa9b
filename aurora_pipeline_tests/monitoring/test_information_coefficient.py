from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.monitoring.information_coefficient import (
    average_ranks,
    correlation_with_truth,
    cosine_terms,
    decision_time_correlations,
    information_coefficient,
    long_run_variance,
    mean_with_interval,
    rank_correlations,
    segment_means,
    session_means,
)
from aurora_pipeline_tests.planted_panel import planted_panel

PANEL = planted_panel(sessions=40, names=20)


def scores_of(noise: float = 0.0) -> pl.DataFrame:
    truth = PANEL.features.select("session", "symbol", "decision_time").join(
        PANEL.truth, on=["symbol", "decision_time"]
    )
    blur = noise * np.random.default_rng(1).normal(size=truth.height)
    return truth.with_columns((pl.col("expected_residual_return") / 0.006 + pl.Series(blur)).alias("score"))


def test_ranks_share_their_mean_where_values_tie() -> None:
    assert average_ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=5, max_size=30))
def test_rank_correlation_equals_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    ours = rank_correlations(x, y, np.array([len(x)]))[0]
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_the_order_of_rows_does_not_change_a_bit() -> None:
    generator = np.random.default_rng(1)
    x, y, order = generator.normal(size=50), generator.normal(size=50), generator.permutation(50)
    end = np.array([50])
    assert rank_correlations(x, y, end)[0] == rank_correlations(x[order], y[order], end)[0]


def test_too_few_names_and_constants_have_no_correlation() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    y = np.arange(9.0)
    assert np.isnan(rank_correlations(x, y, np.array([4, 9]))).all()


def test_segment_means() -> None:
    assert segment_means(np.array([1.0, 2.0, 3.0, 10.0]), np.array([3, 4])).tolist() == [2.0, 10.0]


def test_correlations_match_by_key_and_leave_missing_rows_out() -> None:
    scores = scores_of().with_columns(pl.when(pl.col("symbol") == "S05").then(None).otherwise("score").alias("score"))
    found = decision_time_correlations(scores, PANEL.labels)
    one = found.row(7, named=True)
    rows = (
        scores.filter(decision_time=one["decision_time"])
        .join(PANEL.labels.drop("session"), on=["symbol", "decision_time"])
        .drop_nulls("score")
    )
    assert one["names"] == rows.height == 19
    assert one["ic"] == pytest.approx(stats.spearmanr(rows["score"], rows["label"]).statistic)
    assert one["matured_at"] == rows["matured_at"].max()
    assert found.get_column("decision_time").is_sorted()


def test_grouping_by_model_keeps_models_apart() -> None:
    scores = pl.concat(
        [
            scores_of().with_columns(pl.lit(name).alias("model"), pl.col("score") * sign)
            for name, sign in (("a", 1.0), ("b", -1.0))
        ]
    )
    means = session_means(decision_time_correlations(scores, PANEL.labels, by=["model"]), by=["model"])
    a, b = (means.filter(model=name).get_column("ic").to_numpy() for name in "ab")
    assert np.array_equal(a, -b)
    assert means.get_column("decision_times").max() == 3


def test_session_mean_leaves_undefined_decision_times_out() -> None:
    scores = scores_of()
    first = scores.get_column("decision_time")[0]
    flat = scores.with_columns(pl.when(pl.col("decision_time") == first).then(0.0).otherwise("score").alias("score"))
    defined = session_means(decision_time_correlations(flat, PANEL.labels))
    assert defined.get_column("decision_times")[0] == 2


def test_session_means_do_not_depend_on_the_order_of_rows() -> None:
    correlations = decision_time_correlations(scores_of(noise=1.0), PANEL.labels)
    assert session_means(correlations.sample(fraction=1.0, shuffle=True, seed=2)).equals(session_means(correlations))


def test_long_run_variance_by_hand() -> None:
    series = np.array([1.0, 2.0, 4.0, 3.0, 0.0])
    assert cosine_terms(5) == 1  # floor(0.41 * 2.924)
    demeaned = series - 2.0
    weights = [math.cos(math.pi * (k + 0.5) / 5) for k in range(5)]
    projection = math.sqrt(2 / 5) * sum(w * d for w, d in zip(weights, demeaned, strict=True))
    assert long_run_variance(series) == pytest.approx(projection**2)
    estimate = mean_with_interval(series)
    assert estimate.t == pytest.approx(2.0 / math.sqrt(projection**2 / 5))
    assert estimate.critical == pytest.approx(12.7062, abs=1e-4)
    assert estimate.p_value == pytest.approx(2 * stats.t.sf(estimate.t, 1))
    half_width = stats.t.ppf(0.975, 1) * math.sqrt(projection**2 / 5)
    assert (estimate.lower, estimate.upper) == (pytest.approx(2.0 - half_width), pytest.approx(2.0 + half_width))
    negative = mean_with_interval(-series)
    assert (negative.t, negative.p_value) == (pytest.approx(-estimate.t), pytest.approx(estimate.p_value))
    assert (negative.lower, negative.upper) == (-estimate.upper, -estimate.lower)


def test_terms_grow_as_two_thirds_power() -> None:
    assert [cosine_terms(count) for count in (0, 4, 100, 1000)] == [0, 1, 8, 41]


def test_too_little_to_say() -> None:
    assert mean_with_interval(np.array([])).mean is None
    short = mean_with_interval(np.array([0.1, 0.2, 0.3, 0.2]))  # one session fewer than an interval needs
    assert (short.mean, short.t, short.lower) == (pytest.approx(0.2), None, None)
    constant = mean_with_interval(np.full(30, 0.1))
    assert (constant.mean, constant.t) == (pytest.approx(0.1), None)


@pytest.mark.parametrize("overlap", [0, 1, 4])
def test_the_t_statistic_keeps_its_size_under_overlapping_labels(overlap: int) -> None:
    generator = np.random.default_rng(7)
    draws, sessions = 600, 100
    noise = generator.normal(size=(draws, sessions + overlap))
    series = sum(noise[:, k : k + sessions] for k in range(overlap + 1))
    estimates = [mean_with_interval(row) for row in np.asarray(series)]
    rejected = np.mean([abs(e.t) > e.critical for e in estimates if e.t is not None and e.critical is not None])
    plain = np.mean(np.abs(series.mean(axis=1) / (series.std(axis=1, ddof=1) / 10)) > 1.98)
    assert 0.025 < rejected < 0.08
    assert plain > 0.12 or overlap == 0  # the naive statistic does not


def test_the_planted_ic_comes_back() -> None:
    estimate = information_coefficient(scores_of(), PANEL.labels)
    assert estimate.lower is not None
    assert estimate.upper is not None
    assert estimate.lower < 0.29 < estimate.upper  # Spearman of a Pearson 0.3: 6 / pi asin(0.15) = 0.287
    assert estimate.t is not None
    assert estimate.critical is not None
    assert estimate.t > estimate.critical


def test_correlation_with_truth() -> None:
    assert correlation_with_truth(scores_of(), PANEL.truth).mean == pytest.approx(1.0, abs=1e-3)
    noisy = correlation_with_truth(scores_of(noise=1.0), PANEL.truth).mean
    assert noisy is not None
    assert 0.6 < noisy < 0.75  # 1 / sqrt(2) by Pearson
    assert correlation_with_truth(scores_of(), PANEL.truth.clear()).mean is None


def test_correlation_with_truth_weighs_decision_times_equally() -> None:
    days = [
        (date(2025, 1, 2), 1, 1.0),
        (date(2025, 1, 2), 2, 1.0),
        (date(2025, 1, 2), 3, 1.0),
        (date(2025, 1, 3), 4, -1.0),
    ]
    rows = pl.DataFrame(
        [
            {"session": day, "symbol": f"S{k}", "decision_time": moment, "score": sign * k, "truth": float(k)}
            for day, moment, sign in days
            for k in range(5)
        ]
    ).with_columns(pl.from_epoch("decision_time").cast(TIMESTAMP))
    assert correlation_with_truth(rows, rows, outcome="truth").mean == pytest.approx((3 * 1.0 - 1.0) / 4)
