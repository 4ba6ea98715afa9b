"""Statistics over all features at once: worked by hand, and equal to the one-feature-at-a-time definitions."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.monitoring.feature_statistics import (
    mean_products,
    persistence,
    ranked_panel,
    session_series,
    standard_ranks,
    time_correlations,
)
from aurora_pipeline.monitoring.information_coefficient import decision_time_correlations, session_means
from aurora_pipeline_tests.planted_panel import planted_panel


def test_standard_ranks_by_hand() -> None:
    values = np.array([3.0, 1.0, 2.0, np.nan, 5.0, 5.0, 7.0])
    ranks, present = standard_ranks(values, np.array([0, 4, 5, 7]))
    step = np.sqrt(1.5)  # ranks -1, 0, 1 have variance 2/3
    assert ranks.tolist() == pytest.approx([step, -step, 0.0, 0.0, 0.0, -1.0, 1.0])
    assert present.tolist() == [True, True, True, False, True, True, True]


def test_correlations_equal_the_definition_of_one_feature_at_a_time() -> None:
    planted = planted_panel(sessions=12, names=11, features=3)
    holes = pl.Series(np.random.default_rng(2).random(planted.features.height) < 0.2)
    features = planted.features.with_columns(pl.when(~holes).then("feature_0").alias("feature_0"))
    panel = ranked_panel(features, planted.labels, planted.feature_names)
    found = session_series(panel, time_correlations(panel, panel.ranks, panel.present))[1]
    for place, name in enumerate(planted.feature_names):
        pairs = decision_time_correlations(features, planted.labels, score=name)
        expected = session_means(pairs).get_column("ic").to_numpy()
        known = found[:, place][~np.isnan(found[:, place])]
        if name == "feature_0":
            # Ranks are those among the names with a value, the label's among all: a little off the definition.
            assert known == pytest.approx(expected, abs=0.06)
        else:
            assert known == pytest.approx(expected, abs=1e-6)


def test_mean_products_are_rank_correlations_of_pairs() -> None:
    planted = planted_panel(sessions=1, names=11, features=3)
    one = planted.features.filter(pl.col("decision_time") == planted.features.get_column("decision_time")[0])
    correlation = mean_products(ranked_panel(one, planted.labels, planted.feature_names))
    for left, right in ((0, 1), (0, 2), (1, 2)):
        expected = spearmanr(one.get_column(f"feature_{left}"), one.get_column(f"feature_{right}")).statistic
        assert correlation[left, right] == pytest.approx(expected, abs=1e-6)
    assert np.diag(correlation) == pytest.approx(np.ones(3))


def test_persistence_is_the_rank_correlation_of_a_feature_with_itself_a_session_before() -> None:
    days = [date(2025, 1, 2), date(2025, 1, 3), date(2025, 1, 6)]
    values = [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0], [4.0, 3.0, 1.0, 2.0]]
    rows = [
        {
            "session": day,
            "symbol": f"S{k}",
            "decision_time": datetime(day.year, 1, day.day, 21),
            "slow": value,
            "empty": None,
        }
        for day, row in zip(days, values, strict=True)
        for k, value in enumerate(row)
    ]
    schema = {
        "session": pl.Date,
        "symbol": pl.String,
        "decision_time": TIMESTAMP,
        "slow": pl.Float32,
        "empty": pl.Float32,
    }
    features = pl.DataFrame(rows, schema=schema)
    labels = features.select("symbol", "decision_time", pl.lit(0.0).alias("label"))
    # 1 - 6 * 2 / 60 between the first two sessions, the opposite order after that.
    assert persistence(ranked_panel(features, labels, ["slow"]))[0] == pytest.approx((0.8 - 1.0) / 2)
    assert np.isnan(persistence(ranked_panel(features, labels, ["empty"]))[0])


def test_sessions_without_a_defined_time_stay_missing() -> None:
    planted = planted_panel(sessions=3, names=8, features=2)
    panel = ranked_panel(
        planted.features, planted.labels.filter(pl.col("session") > planted.sessions[0]), ["feature_0"]
    )
    sessions, means = session_series(panel, time_correlations(panel, panel.ranks, panel.present))
    assert (np.datetime64("1970-01-01") + sessions).tolist() == planted.sessions
    assert np.isnan(means[0]).all()
    assert timedelta(0) < planted.sessions[1] - planted.sessions[0]
