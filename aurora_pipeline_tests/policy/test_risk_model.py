from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.market.point_in_time import as_known_at
from aurora_pipeline.policy.risk_model import estimate_risk_model
from aurora_pipeline.policy.session_returns import session_returns

FIRST = date(2026, 1, 1)


def history(residuals, market=0.01, sector=0.0, beta=1.2):
    """One row per session and name; `residuals` maps a name to its returns, None for an absent session."""
    rows = [
        {
            "session": FIRST + timedelta(days=day),
            "instrument_id": name,
            "bar_return": beta * market + value,
            "market_return": market,
            "sector_return": sector,
            "residual_return": value,
            "beta_market": beta,
            "beta_sector": 0.5,
        }
        for name, values in residuals.items()
        for day, value in enumerate(values)
        if value is not None
    ]
    return pl.DataFrame(rows)


def test_constant_returns_give_their_squares():
    frame = history({"A": [0.02, -0.02, 0.02], "B": [0.02, -0.02, 0.02]})
    model = estimate_risk_model(frame, ["A", "B"], ["Tech", "Tech"])
    assert model.factors == ("market", "Tech")
    np.testing.assert_allclose(model.loadings, [[1.2, 0.5], [1.2, 0.5]])
    np.testing.assert_allclose(model.factor_covariance, [[1e-4, 0.0], [0.0, 0.0]], atol=1e-18)
    np.testing.assert_allclose(model.specific_variance, [4e-4, 4e-4])
    # w = (1, -1): exposures cancel, specific variances add up.
    assert model.variance(np.array([1.0, -1.0])) == pytest.approx(8e-4)
    assert model.variance(np.array([1.0, 1.0])) == pytest.approx(8e-4 + 2.4**2 * 1e-4)


def test_short_history_is_pulled_to_the_sectors_median():
    long, short = [0.01] * 40, [None] * 39 + [0.05]
    model = estimate_risk_model(
        history({"A": long, "B": long, "C": short}), ["A", "B", "C", "D"], ["Tech", "Tech", "Tech", "Tech"]
    )
    assert model.specific_variance[0] == pytest.approx(1e-4)
    pulled = (1 * 0.05**2 + 20 * 1e-4) / (1 + 20)
    assert model.specific_variance[2] == pytest.approx(pulled)
    assert model.specific_variance[3] == pytest.approx(1e-4)  # no history at all
    np.testing.assert_allclose(model.loadings[3], [1.0, 1.0])


def test_a_name_without_sector_loads_on_the_market_only():
    model = estimate_risk_model(history({"A": [0.01], "B": [0.01]}), ["A", "B"], [None, "Tech"])
    np.testing.assert_allclose(model.loadings, [[1.2, 0.0], [1.2, 0.5]])


def test_no_history_at_all_says_so():
    model = estimate_risk_model(history({"A": [0.01]}).clear(), ["A"], ["Tech"])
    assert np.isnan(model.specific_variance).all()
    assert np.isnan(model.total_volatility).all()
    assert (model.factor_covariance == 0.0).all()


def test_newer_sessions_weigh_more_and_old_ones_drop_out():
    rising = estimate_risk_model(history({"A": [0.01] * 30 + [0.03] * 30}), ["A"], [None])
    falling = estimate_risk_model(history({"A": [0.03] * 30 + [0.01] * 30}), ["A"], [None])
    # With a half-life of 30 sessions the newer 30 of 60 weigh two thirds.
    assert rising.specific_variance[0] == pytest.approx(0.01**2 / 3 + 0.03**2 * 2 / 3)
    assert falling.specific_variance[0] == pytest.approx(0.03**2 / 3 + 0.01**2 * 2 / 3)
    old = estimate_risk_model(history({"A": [0.5] * 20 + [0.01] * 60}), ["A"], [None])
    assert old.specific_variance[0] == pytest.approx(1e-4)


def test_risk_of_a_book_by_hand():
    model = estimate_risk_model(history({"A": [0.02], "B": [0.02]}, market=0.01, sector=0.02), ["A", "B"], ["T", "T"])
    # Market and sector return always come together; a fifth of their covariance is shrunk away.
    np.testing.assert_allclose(model.factor_covariance, [[1e-4, 1.6e-4], [1.6e-4, 4e-4]])
    np.testing.assert_allclose(model.total_volatility, 1.2 * 0.01 + 0.02)
    weights = np.array([0.2, 0.1])
    np.testing.assert_allclose(model.exposures(weights), [0.36, 0.15])
    market, sector = 0.36 * (0.36e-4 + 0.15 * 1.6e-4), 0.15 * (0.36 * 1.6e-4 + 0.15 * 4e-4)
    total = market + sector + (0.2**2 + 0.1**2) * 4e-4
    assert model.variance(weights) == pytest.approx(total)
    np.testing.assert_allclose(model.factor_shares(weights), [market / total, sector / total])
    per_unit = 1.2 * market / 0.36 + 0.5 * sector / 0.15
    own = [0.2 * (per_unit + 0.2 * 4e-4) / total, 0.1 * (per_unit + 0.1 * 4e-4) / total]
    np.testing.assert_allclose(model.contributions(weights), own)
    assert sum(own) == pytest.approx(1.0)


def test_a_factors_return_is_the_median_of_its_own_names():
    frames = [
        history({"A": [0.0]}, market=0.01, sector=0.002),
        history({"B": [0.0, 0.0]}, market=0.03, sector=0.004),
        history({"C": [0.0]}, market=0.02, sector=-0.05),
        history({"D": [0.0]}, market=0.09, sector=-0.07),
    ]
    model = estimate_risk_model(pl.concat(frames), ["A", "B", "C", "D"], ["T", "T", "U", "U"])
    newer = 2 ** (1 / 30) / (1 + 2 ** (1 / 30))
    # First session: medians of all, of T and of U; second: B alone, and U has no return.
    squares = [[0.025**2, 0.003**2, 0.06**2], [0.03**2, 0.004**2, 0.0]]
    np.testing.assert_allclose(
        np.diag(model.factor_covariance), np.average(squares, axis=0, weights=[1 - newer, newer])
    )


def test_an_unknown_variance_is_the_median_of_its_sector_or_else_of_all():
    known = history({"A": [0.01], "B": [0.02], "C": [0.03], "D": [0.09]})
    model = estimate_risk_model(known, ["A", "B", "C", "D", "new", "alone"], ["T", "T", "T", "U", "T", None])
    assert model.specific_variance[4] == pytest.approx(0.02**2)
    assert model.specific_variance[5] == pytest.approx((0.02**2 + 0.03**2) / 2)


def test_the_newest_beta_counts():
    later = pl.col("session") > FIRST
    frame = history({"A": [0.01, 0.01], "B": [0.01, None]}).with_columns(
        pl.when(later).then(1.5).otherwise(0.9).alias("beta_market"),
        pl.when(later).then(0.7).otherwise(0.4).alias("beta_sector"),
    )
    model = estimate_risk_model(frame, ["A", "B"], ["T", "T"])
    np.testing.assert_allclose(model.loadings, [[1.5, 0.7], [0.9, 0.4]])


def test_specific_risk_is_what_styles_leave():
    names = [f"N{k:02d}" for k in range(20)]
    large = [k < 10 for k in range(20)]
    frame = history({name: [0.01 if big else -0.01] * 3 for name, big in zip(names, large, strict=True)}, market=0.0)
    model = estimate_risk_model(frame, names, [None] * 20, np.where(large, 4e6, 1e6))
    assert model.factors == ("market", "size", "momentum", "volatility")
    np.testing.assert_allclose(model.loadings[:, 1], np.where(large, 1.0, -1.0))
    slope = 0.01 / 1.001  # but for the ridge of 0.001, size explains all
    assert model.factor_covariance[1, 1] == pytest.approx(slope**2)
    np.testing.assert_allclose(model.specific_variance, (0.01 - slope) ** 2)


def test_momentum_is_of_total_returns():
    names = [f"N{k:02d}" for k in range(20)]
    rising = pl.col("instrument_id") < "N10"
    frame = history({name: [0.0] * 20 for name in names}).with_columns(
        pl.when(rising).then(0.01).otherwise(-0.01).alias("bar_return")
    )
    model = estimate_risk_model(frame, names, [None] * 20)
    np.testing.assert_allclose(model.loadings[:, 2], [1.0] * 10 + [-1.0] * 10)


def test_factor_root_reproduces_the_covariance():
    random = np.random.default_rng(0)
    frames = [
        history({f"{sector}{k}": list(random.normal(0, 0.01, 30)) for k in range(3)}, market, value)
        for sector, market, value in (("A", 0.01, 0.003), ("B", 0.01, -0.002))
    ]
    model = estimate_risk_model(pl.concat(frames), ["A0", "A1", "A2", "B0", "B1", "B2"], ["A"] * 3 + ["B"] * 3)
    np.testing.assert_allclose(model.factor_root @ model.factor_root.T, model.factor_covariance, atol=1e-15)


def bar_rows(rows):
    """(name, bar of the day, return, minutes late) on one session."""
    opening = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    return pl.DataFrame(
        [
            {
                "instrument_id": name,
                "session": date(2026, 1, 5),
                "bar_end": opening + timedelta(minutes=5 * bar),
                "known_at": opening + timedelta(minutes=5 * bar + late),
                "bar_return": value,
                "market_return": 0.001,
                "sector_return": 0.0,
                "residual_return": value - 0.001,
                "beta_market": 1.0,
                "beta_sector": 1.0,
            }
            for name, bar, value, late in rows
        ]
    ).with_columns(
        pl.col("bar_end", "known_at").cast(pl.Datetime("us", "UTC")),
        pl.lit(None, pl.Datetime("us", "UTC")).alias("quarantined_at"),
    )


def test_sessions_are_sums_of_their_bars_whatever_the_order():
    rows = [("A", 1, 0.01, 0), ("A", 2, 0.02, 0), ("B", 1, -0.01, 0)]
    summed = session_returns(bar_rows(rows[::-1]))
    assert summed.get_column("instrument_id").to_list() == ["A", "B"]
    np.testing.assert_allclose(summed.get_column("bar_return"), [0.03, -0.01])
    np.testing.assert_allclose(summed.get_column("market_return"), [0.002, 0.001])


def test_a_correction_after_the_session_is_a_version_of_its_own():
    rows = bar_rows([("A", 1, 0.01, 0), ("A", 2, 0.02, 0), ("A", 2, 0.05, 60 * 30)])
    summed = session_returns(rows)
    np.testing.assert_allclose(summed.get_column("bar_return"), [0.03, 0.06])
    before = as_known_at(summed, datetime(2026, 1, 6, 14, 30, tzinfo=UTC), ["instrument_id", "session"])
    after = as_known_at(summed, datetime(2026, 1, 7, 14, 30, tzinfo=UTC), ["instrument_id", "session"])
    np.testing.assert_allclose(before.get_column("bar_return"), [0.03])
    np.testing.assert_allclose(after.get_column("bar_return"), [0.06])
