from __future__ import annotations

import polars as pl
import pytest

from aurora_pipeline.monitoring.signal_quality import reliability, signal_quality
from aurora_pipeline.monitoring.signal_report import LATER, signal_markdown, signal_suite
from aurora_pipeline_tests.ensemble.test_signal_calibrator import PANEL, SIGNALS

UNIVERSE = (
    SIGNALS.select("session", "symbol")
    .unique()
    .with_columns(
        pl.when(pl.col("symbol") < "S20").then(pl.lit("Energy")).otherwise(pl.lit("Utilities")).alias("sector")
    )
)


def test_the_label_of_a_later_session_is_that_of_the_same_time_of_day() -> None:
    labels = PANEL.labels.with_columns(pl.col("symbol").str.slice(1).cast(pl.Float64).alias("label"))
    turned = labels.with_columns(
        pl.when(pl.col("session") == PANEL.sessions[10]).then(-pl.col("label")).otherwise("label").alias("label")
    )
    scores = SIGNALS.with_columns(pl.col("symbol").str.slice(1).cast(pl.Float64).alias("score"))
    suite = signal_suite(scores, turned, UNIVERSE)
    by_time = suite.ic.join(SIGNALS.select("session", "decision_time").unique(), on="decision_time")
    lost = by_time.filter(pl.col("ic") < 0.0)
    expected = {("label", PANEL.sessions[10])}
    expected |= {(f"label_{age}_sessions_later", PANEL.sessions[10 - age]) for age in LATER}
    assert set(lost.select("outcome", "session").rows()) == expected
    assert lost["ic"].to_list() == pytest.approx([-1.0] * len(expected))
    assert suite.group_ic["group"].unique().sort().to_list() == ["Energy", "Utilities"]
    assert suite.turnover["rank_autocorrelation"].drop_nulls().to_list() == pytest.approx([1.0] * 74)


def test_the_page_has_every_table_and_a_dash_where_nothing_is_known() -> None:
    quality, binned = signal_quality(SIGNALS, PANEL.labels), reliability(SIGNALS, PANEL.labels)
    page = signal_markdown("Signal on hand", quality, binned, signal_suite(SIGNALS, PANEL.labels, UNIVERSE))
    assert page.count("\n## ") == 6
    assert "| 2025-03 |" in page
    assert "| Energy |" in page
    nothing = signal_markdown(
        "Signal on hand",
        signal_quality(SIGNALS, PANEL.labels.clear()),
        reliability(SIGNALS, PANEL.labels.clear()),
        signal_suite(SIGNALS, PANEL.labels.clear(), UNIVERSE),
    )
    assert "| label | - | - | - | - |" in nothing
