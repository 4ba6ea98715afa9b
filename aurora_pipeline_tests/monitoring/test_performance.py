from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.performance import (
    NOT_TESTABLE,
    book_performance,
    book_returns,
    max_drawdown,
    stationary_bootstrap,
)
from aurora_pipeline_tests.planted_panel import CALENDAR, planted_panel

DAYS = planted_panel(sessions=120, names=2).sessions


def portfolio(gross: np.ndarray, cost: np.ndarray, bars: int = 2, exposure: float = 0.2) -> pl.DataFrame:
    """Book of 1,000,000 with P&L and cost in USD, arrays of shape (sessions, bars)."""
    sessions = len(gross)
    times = [CALENDAR.bar_ends(day)[bar] for day in DAYS[:sessions] for bar in range(bars)]
    spent = cost.ravel()
    return pl.DataFrame(
        {
            "book": "live",
            "session": np.repeat(np.array(DAYS[:sessions], dtype="datetime64[D]"), bars),
            "decision_time": pl.Series(times, dtype=TIMESTAMP),
            "nav": 1e6 + np.cumsum(gross.ravel() - spent),
            "gross": exposure,
            "turnover": 0.01,
            "gross_pnl": gross.ravel(),
            "cost": spent,
            "spread_cost": 0.5 * spent,
            "impact_cost": 0.3 * spent,
            "fee_cost": 0.2 * spent,
            "borrow_cost": 0.0 * spent,
        }
    )


def test_session_returns_by_hand() -> None:
    book = portfolio(np.array([[1000.0, 500.0], [-300.0, 0.0]]), np.array([[100.0, 0.0], [50.0, 50.0]]))
    sessions = book_returns(book)
    assert sessions.get_column("opening_nav").to_list() == [1e6, 1e6 + 1400]
    assert sessions.get_column("net").to_list() == pytest.approx([1400 / 1e6, -400 / (1e6 + 1400)])
    assert sessions.get_column("cost").to_list() == pytest.approx([100 / 1e6, 100 / (1e6 + 1400)])
    assert sessions.get_column("turnover").to_list() == pytest.approx([0.02, 0.02])


def test_net_returns_compound_to_the_nav() -> None:
    generator = np.random.default_rng(1)
    book = portfolio(generator.normal(0, 1e4, (50, 2)), np.full((50, 2), 100.0))
    net = book_returns(book).get_column("net").to_numpy()
    assert np.prod(1 + net) == pytest.approx(book.get_column("nav")[-1] / 1e6)


def test_sessions_before_the_first_position_are_left_out() -> None:
    book = portfolio(np.ones((30, 2)), np.zeros((30, 2)))
    flat = book.with_columns(pl.when(pl.col("session") < DAYS[10]).then(0.0).otherwise("gross").alias("gross"))
    assert book_returns(flat).get_column("session").to_list() == DAYS[10:30]


def test_performance_by_hand() -> None:
    gross = np.tile([[1000.0, 1000.0], [-500.0, -500.0]], (30, 1))
    result = book_performance(portfolio(gross, np.full((60, 2), 50.0)), seed=1)
    assert result["sessions"] == 60
    assert result["gross_return"] == pytest.approx(0.03, rel=0.02)
    assert result["net_return"] == pytest.approx(0.03 - 0.006, rel=0.02)
    assert result["turnover_per_session"] == pytest.approx(0.02)
    assert result["turnover_per_month"] == pytest.approx(0.42)
    assert result["utilisation"] == pytest.approx(0.2)
    assert result["costs_usd"] == pytest.approx(
        {"spread_cost": 3000.0, "impact_cost": 1800.0, "fee_cost": 1200.0, "borrow_cost": 0.0}
    )
    assert result["alpha_kept"] == pytest.approx(0.8, abs=0.01)
    assert result["alpha_kept_lower"] <= result["alpha_kept"] <= result["alpha_kept_upper"]
    assert result["sharpe_lower"] < result["sharpe"] < result["sharpe_upper"]
    assert result["max_drawdown"] == pytest.approx(1100 / 1e6, rel=0.05)
    assert result == book_performance(portfolio(gross, np.full((60, 2), 50.0)), seed=1)


def test_drawdown_scaled_to_ten_percent_does_not_depend_on_leverage() -> None:
    generator = np.random.default_rng(4)
    gross = generator.normal(0, 1000.0, (100, 2))
    small = book_performance(portfolio(gross, np.zeros((100, 2))), seed=1)
    large = book_performance(portfolio(5 * gross, np.zeros((100, 2))), seed=1)
    assert large["max_drawdown"] > 4 * small["max_drawdown"]
    assert large["max_drawdown_at_10pct_volatility"] == pytest.approx(
        small["max_drawdown_at_10pct_volatility"], rel=0.05
    )


def test_alpha_kept_is_not_testable_where_gross_may_be_nothing() -> None:
    generator = np.random.default_rng(4)
    result = book_performance(portfolio(generator.normal(0, 1000.0, (100, 2)), np.ones((100, 2))), seed=1)
    assert result["alpha_kept"] == NOT_TESTABLE
    assert result["gross_return_interval"][0] <= 0.0 < result["gross_return_interval"][1]


def test_few_sessions_have_no_interval() -> None:
    result = book_performance(portfolio(np.array([[1.0, 2.0], [3.0, 1.0]]), np.zeros((2, 2))), seed=1)
    assert result["sharpe"] is not None
    assert (result["sharpe_lower"], result["alpha_kept"]) == (None, NOT_TESTABLE)


@pytest.mark.parametrize("book", [empty("portfolio"), portfolio(np.zeros((30, 2)), np.zeros((30, 2)), exposure=0.0)])
def test_an_empty_or_flat_book_has_no_performance(book: pl.DataFrame) -> None:
    result = book_performance(book, seed=1)
    assert result["sessions"] == 0
    assert all(result[name] is None for name in ("net_return", "sharpe", "max_drawdown", "utilisation"))
    assert result["alpha_kept"] == NOT_TESTABLE


def test_max_drawdown_by_hand() -> None:
    assert max_drawdown(np.array([100.0, 120.0, 90.0, 130.0, 117.0])) == pytest.approx(0.25)
    assert max_drawdown(np.array([1.0, 2.0, 3.0])) == 0.0


def test_bootstrap_draws_blocks_of_the_right_length() -> None:
    draws = stationary_bootstrap(100, 500, seed=1)
    assert draws.shape == (500, 100)
    assert draws.min() == 0
    assert draws.max() == 99
    continues = (np.diff(draws, axis=1) % 100 == 1).mean()
    assert continues == pytest.approx(1 - 1 / 5, abs=0.02)  # mean block length ceil(100^(1/3)) = 5
    assert np.array_equal(draws, stationary_bootstrap(100, 500, seed=1))
    counts = np.bincount(draws.ravel(), minlength=100)
    assert counts.min() > 300


def test_the_sharpe_interval_covers() -> None:
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(60):
        gross = generator.normal(100.0, 1000.0, (120, 1))
        result = book_performance(portfolio(gross, np.zeros((120, 1)), bars=1), seed=1)
        hits += result["sharpe_lower"] <= 0.1 * 252**0.5 <= result["sharpe_upper"]
    assert hits >= 51
