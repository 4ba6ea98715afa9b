"""What is planted: shares, the sector-demeaned truth, what the feeds allow, decoys, alpha 0, the break."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.market.simulation.calibrate import (
    forward_sums,
    mean_rank_correlation,
    measure,
    pooled_correlation,
    read_truth,
)
from aurora_pipeline.market.simulation.components import (
    AFTER_BREAK_SCALE,
    COMPONENTS,
    weights,
)
from aurora_pipeline.market.simulation.folder import write_market
from aurora_pipeline.market.simulation.label_expectation import fast_reach
from aurora_pipeline.market.simulation.panel import read_panel
from aurora_pipeline.market.simulation.presets import PRESETS
from aurora_pipeline.market.simulation.price_path import PricePath
from aurora_pipeline.market.simulation.signals import expected_saturation, flow_sum_correlations, threshold_signal
from aurora_pipeline.market.simulation.slow_alpha import sector_demeaner
from aurora_pipeline.market.simulation.timeline import build_timeline, horizon_counts


def test_view_and_form_shares() -> None:
    shares, forms = Counter(), Counter()
    for item in COMPONENTS:
        forms[item.form] += item.share
        for view in item.views:
            shares[view] += item.share / len(item.views)  # an interaction counts half to each of its two
    assert len(shares) == 6
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares.values()) < 0.30
    assert min(shares.values()) > 0.10
    assert forms == pytest.approx({"linear": 0.75, "interaction": 0.15, "threshold": 0.10})


def test_simulated_shares_are_the_declared_ones(simulated: tuple[Path, PricePath]) -> None:
    moments = simulated[1].moments[0]
    forms: dict[str, float] = {}
    for item, value in zip(COMPONENTS, moments / moments.sum(), strict=True):
        forms[item.form] = forms.get(item.form, 0.0) + value
    assert forms["linear"] == pytest.approx(0.75, abs=0.06)
    assert forms["interaction"] == pytest.approx(0.15, abs=0.06)
    assert forms["threshold"] == pytest.approx(0.10, abs=0.06)


def test_the_break_turns_the_weights() -> None:
    before, after = (np.concatenate(weights(flag)) for flag in (False, True))
    assert np.sum(before**2) == pytest.approx(1.0)
    assert np.sum(after**2) == pytest.approx(AFTER_BREAK_SCALE**2)
    assert np.sum(before * after) < 0.5


def test_truth_is_demeaned_within_sectors(market: Path) -> None:
    universe = pl.read_parquet(market / "universe.parquet").select("symbol", "sector").unique("symbol")
    truth = pl.read_parquet(market / "truth.parquet").join(universe, on="symbol")
    complete = truth.group_by("decision_time", "sector").agg(
        pl.col("expected_residual_return").mean().alias("mean"), pl.len()
    )
    widest = complete.group_by("sector").agg(pl.col("len").max().alias("most"))
    whole = complete.join(widest, on="sector").filter(pl.col("len") == pl.col("most"))
    assert whole.height > 1000
    assert whole["mean"].abs().max() < 2e-9
    assert truth["expected_residual_return"].std() > 1e-4


def test_oracle_and_attainable_forecast_agree(market: Path, daily_market: Path) -> None:
    for directory in (market, daily_market):
        panel = read_panel(directory)
        expected, attainable, _ = read_truth(directory, panel)
        assert 0.95 <= pooled_correlation(expected, attainable) < 0.9999


def test_truth_covers_every_bar_of_every_stock(market: Path, bars: pl.DataFrame) -> None:
    stocks = pl.read_parquet(market / "universe.parquet").filter(pl.col("kind") == "stock")["symbol"]
    keys = bars.filter(pl.col("symbol").is_in(stocks.implode())).select(
        "symbol", decision_time=pl.col("bar_start").dt.offset_by("5m")
    )
    truth = pl.read_parquet(market / "truth.parquet").select("symbol", "decision_time")
    assert keys.unique().height == truth.height
    assert keys.unique().join(truth, on=["symbol", "decision_time"], how="anti").height == 0


def test_no_alpha_means_no_truth(tmp_path: Path) -> None:
    path = write_market(tmp_path / "null", preset="small", seed=3, alpha=0.0, sessions=6, symbols=8)
    truth = pl.read_parquet(tmp_path / "null" / "truth.parquet")
    assert not path.expected.any()
    assert truth["expected_residual_return"].abs().max() == 0.0
    assert truth["attainable_residual_return"].abs().max() == 0.0


def test_alpha_scales_the_truth(tmp_path: Path) -> None:
    whole = write_market(tmp_path / "a", preset="small", seed=3, sessions=6, symbols=8)
    half = write_market(tmp_path / "b", preset="small", seed=3, sessions=6, symbols=8, alpha=0.5)
    assert half.expected.std() == pytest.approx(0.5 * whole.expected.std(), rel=0.05)


def test_break_changes_what_pays_from_its_session_on(tmp_path: Path) -> None:
    plain = write_market(tmp_path / "a", preset="small", seed=3, sessions=12, symbols=16)
    broken = write_market(
        tmp_path / "b", preset="small", seed=3, sessions=12, symbols=16, break_session=date(2024, 12, 23)
    )
    days = build_timeline(replace(PRESETS["small"], sessions=12)).days
    session = np.array(days, dtype="datetime64[D]")[plain.session_of_bar]
    early, late = session < np.datetime64("2024-12-19"), session >= np.datetime64("2024-12-23")
    np.testing.assert_array_equal(plain.expected[early], broken.expected[early])
    assert np.corrcoef(plain.expected[late].ravel(), broken.expected[late].ravel())[0, 1] < 0.6
    assert broken.expected[late].std() == pytest.approx(plain.expected[late].std(), rel=0.35)


def test_label_bars_by_session() -> None:
    timeline = build_timeline(PRESETS["small"])
    half_day = timeline.days.index(date(2024, 11, 29))
    for session in (timeline.warmup, half_day - 1, half_day):
        counts = horizon_counts(timeline, session)
        assert (counts.sum(axis=1) == 78).all()
        assert counts[-1, 0] == 0
    assert horizon_counts(timeline, half_day).shape[0] == 42
    # The first decision of a full session: bars 2 .. 77 of it, then two bars of the next.
    assert horizon_counts(timeline, timeline.warmup)[0, :2].tolist() == [76, 2]


def test_fast_reach_is_the_sum_of_decays() -> None:
    counts = np.array([[2, 3]])
    decays = np.array([0.5, 0.9, 0.8, 0.4])
    found = fast_reach(counts, decays)[0]
    np.testing.assert_allclose(found[0], decays + decays**2)
    np.testing.assert_allclose(found[1], decays**3 + decays**4 + decays**5)


def test_nonlinear_signals_have_unit_variance_and_known_expectation() -> None:
    rng = np.random.default_rng(0)
    now, noise = rng.standard_normal((2, 400_000))
    later = 0.6 * now + 0.8 * noise
    assert threshold_signal(now).std() == pytest.approx(1.0, abs=0.01)
    assert expected_saturation(now, 1.0).std() == pytest.approx(1.0, abs=0.01)
    near = np.abs(now - 1.0) < 0.02
    realised = expected_saturation(later[near], 1.0).mean()
    assert expected_saturation(np.array([1.0]), 0.6)[0] == pytest.approx(realised, abs=0.03)


def test_flow_sum_correlation_starts_at_one_and_falls() -> None:
    found = flow_sum_correlations(8)
    assert found[0] == pytest.approx(1.0)
    assert (np.diff(found) < 0).all()


def test_sector_demeaner_ignores_inactive_stocks() -> None:
    matrix = sector_demeaner(np.array([0, 0, 0, 1, 1]), np.array([True, True, False, True, True]))
    np.testing.assert_allclose(np.array([1.0, 3.0, 100.0, 5.0, 5.0]) @ matrix, [-1.0, 1.0, 0.0, 0.0, 0.0])


def test_forward_sums_start_one_bar_later() -> None:
    residual = np.arange(6.0)[:, None]
    np.testing.assert_allclose(forward_sums(residual, 2)[:, 0], [2 + 3, 3 + 4, 4 + 5, np.nan, np.nan, np.nan])


@pytest.mark.slow
def test_decoys_carry_nothing(tmp_path: Path) -> None:
    write_market(tmp_path / "market", preset="reference-long", seed=5, sessions=400)
    panel = read_panel(tmp_path / "market")
    expected, _, _ = read_truth(tmp_path / "market", panel)
    for feed, column, per in (
        ("options", "put_open_interest", "call_open_interest"),
        ("short_interest", "avg_daily_volume", None),
        ("fundamentals", "capital_expenditure", "total_assets"),
        ("earnings", "estimate_count", None),
    ):
        frame = pl.read_parquet(tmp_path / "market" / f"{feed}.parquet").sort("known_at")
        values = np.full_like(expected, np.nan)
        for symbol, rows in frame.group_by("symbol"):
            where = rows["known_at"].search_sorted(panel.bar_end, side="right").to_numpy().astype(int) - 1
            series = (rows[column] / rows[per] if per else rows[column].cast(pl.Float64)).to_numpy()
            spread = series / np.mean(series)
            values[where >= 0, panel.names[str(symbol[0])]] = spread[where[where >= 0]]
        assert abs(mean_rank_correlation(values, expected)) < 0.05, (feed, column)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["reference", "reference-long"])
def test_oracle_information_coefficient(tmp_path: Path, preset: str) -> None:
    write_market(tmp_path / "market", preset=preset, seed=1)
    found = measure(tmp_path / "market")
    assert found["oracle"] == pytest.approx(0.15, abs=0.02)
    assert found["correlation"] >= 0.95
