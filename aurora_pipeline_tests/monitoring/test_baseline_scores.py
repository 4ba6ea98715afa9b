"""Baselines: signs from the audit of the train block, by hand, and what happens where there is nothing to go by."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.baseline_scores import BASELINES, baseline_scores, needed_features, signed_by

NAMES = 3


def features(**columns: list[float | None]) -> pl.DataFrame:
    count = len(next(iter(columns.values()))) // NAMES
    times = [datetime(2025, 3, 3, 14 + k, tzinfo=UTC) for k in range(count)]
    return pl.DataFrame(
        {
            "session": [date(2025, 3, 3)] * (NAMES * count),
            "symbol": ["A", "B", "C"] * count,
            "decision_time": [moment for moment in times for _ in range(NAMES)],
            **{name: pl.Series(values, dtype=pl.Float32) for name, values in columns.items()},
        }
    ).with_columns(pl.col("decision_time").cast(pl.Datetime("us", "UTC")))


def audit(**rows: tuple[str, float | None, str | None, str | None]) -> pl.DataFrame:
    frame = pl.DataFrame(
        [
            {"feature": name, "role": role, "ic": ic, "fault": fault, "unavailable": unavailable}
            for name, (role, ic, fault, unavailable) in rows.items()
        ],
        schema_overrides={"ic": pl.Float64, "fault": pl.String, "unavailable": pl.String},
    )
    return pl.concat([empty("feature_audit"), frame], how="diagonal")


def test_signs_are_of_sound_signals_with_a_known_ic() -> None:
    found = signed_by(
        audit(
            up=("signal", 0.02, None, None),
            down=("signal", -0.001, None, None),
            none=("signal", 0.0, None, None),
            unknown=("signal", None, None, None),
            flag=("flag", 0.05, None, None),
            broken=("signal", 0.05, "constant", None),
            absent=("signal", 0.05, None, "no such feed"),
        )
    )
    assert found == {"up": 1.0, "down": -1.0}


def test_features_are_ranked_signed_and_averaged_within_a_decision_time() -> None:
    rows = features(up=[1.0, 2.0, 3.0, 30.0, 10.0, 20.0], down=[5.0, 9.0, 7.0, 1.0, 2.0, 3.0])
    found = baseline_scores(rows, {"up": 1.0, "down": -1.0})
    # Ranks centred to unit variance: -a, 0, a with a = sqrt(3/2).
    a = np.sqrt(1.5)
    expected = [(-a + a) / 2, (0 - a) / 2, (a - 0) / 2, (a + a) / 2, (-a - 0) / 2, (0 - a) / 2]
    np.testing.assert_allclose(found.get_column("signed_features"), expected, atol=1e-6)


def test_a_missing_feature_is_the_middle_and_no_feature_no_score() -> None:
    rows = features(up=[1.0, 2.0, None], down=[None, 4.0, None])
    found = baseline_scores(rows, {"up": 1.0, "down": -1.0}).get_column("signed_features").to_list()
    assert found[0] == pytest.approx(-0.5)
    assert found[1] == pytest.approx(0.5)
    assert found[2] is None


def test_reversal_and_momentum_are_features_with_their_sign() -> None:
    intraday = baseline_scores(
        features(
            residual_reversal_1=[0.1, -0.2, None], residual_return_1_bars=[9.0] * 3, momentum_12_1=[1.0, 2.0, 3.0]
        ),
        {},
    )
    assert intraday.get_column("reversal").to_list() == pytest.approx([0.1, -0.2, None])
    assert intraday.get_column("momentum").to_list() == [1.0, 2.0, 3.0]
    daily = baseline_scores(features(residual_reversal_1=[None] * 3, residual_return_1_bars=[1.0, -2.0, 3.0]), {})
    assert daily.get_column("reversal").to_list() == [-1.0, 2.0, -3.0]


def test_without_its_feature_or_any_sign_a_baseline_is_null_and_zero_stays_zero() -> None:
    found = baseline_scores(features(other=[1.0, 2.0, 3.0]), {})
    assert found.columns == ["session", "symbol", "decision_time", *BASELINES]
    assert found.get_column("zero").to_list() == [0.0] * 3
    assert found.select("signed_features", "reversal", "momentum").null_count().row(0) == (3, 3, 3)


def test_the_threads_do_not_change_the_score() -> None:
    generator = np.random.default_rng(1)
    rows = features(**{f"f{k}": generator.standard_normal(21).tolist() for k in range(9)})
    signs = {f"f{k}": (-1.0) ** k for k in range(9)}
    assert baseline_scores(rows, signs, 1).equals(baseline_scores(rows, signs, 4))


def test_an_empty_test_block_gives_an_empty_frame() -> None:
    found = baseline_scores(features(up=[1.0, 2.0, 3.0]).clear(), {"up": 1.0})
    assert found.is_empty()
    assert found.schema["signed_features"] == pl.Float64


def test_the_features_needed_are_named_once() -> None:
    assert needed_features(["momentum_12_1", "beta"]) == [
        "momentum_12_1", "beta", "residual_reversal_1", "residual_return_1_bars",
    ]  # fmt: skip
