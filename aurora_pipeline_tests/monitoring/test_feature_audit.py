"""The audit of features: verdicts, faults by name, false discoveries, what feeds add, what was planted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.features.feature_spec import FeatureSpec
from aurora_pipeline.market.simulation.components import COMPONENTS
from aurora_pipeline.monitoring.feature_audit import audit_features
from aurora_pipeline.monitoring.feature_audit_report import audit_headline, audit_markdown, audit_plot
from aurora_pipeline.monitoring.feed_value import feed_gains
from aurora_pipeline.monitoring.planted_recovery import PLANTED_FEATURES, planted_recovery
from aurora_pipeline_tests.planted_panel import PlantedPanel, planted_panel


def spec(name: str, view: str = "alternative", role: str = "signal", columns: tuple[str, ...] = ()) -> FeatureSpec:
    return FeatureSpec(name, view, name, "1", "1", "bar_end", columns=columns, role=role)  # type: ignore[arg-type]


SPECS = [
    spec("feature_0", "price"),
    spec("feature_1"),
    spec("feature_2"),
    spec("feature_3"),
    spec("shadow", "fundamental"),
    spec("twin"),
    spec("still"),
    spec("flag", role="flag"),
    spec("blown_up"),
    spec("hollow"),
    spec("barred"),
]


@pytest.fixture(scope="module")
def planted() -> PlantedPanel:
    """`feature_0` to `feature_2` carry the label, `feature_3` on nothing."""
    return planted_panel(sessions=70, names=40, ic=0.4)


@pytest.fixture(scope="module")
def audit(planted: PlantedPanel) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    noise = pl.Series(rng.standard_normal(planted.features.height))
    features = planted.features.with_columns(
        # What `feature_0` says and noise: it predicts, and adds nothing.
        (pl.col("feature_0") + 0.2 * noise).cast(pl.Float32).alias("shadow"),
        (-pl.col("feature_2") * 3.0).alias("twin"),
        pl.lit(1.0, pl.Float32).alias("still"),
        pl.lit(0.0, pl.Float32).alias("flag"),
        pl.when(pl.int_range(pl.len()) == 7)
        .then(float("inf"))
        .otherwise("feature_3")
        .cast(pl.Float32)
        .alias("blown_up"),
        pl.lit(None, pl.Float32).alias("hollow"),
        pl.lit(None, pl.Float32).alias("barred"),
    )
    return audit_features("2025-06", features, planted.labels, SPECS, {"barred": "the market has no such feed"})


def row(audit: pl.DataFrame, name: str) -> dict[str, object]:
    return audit.row(by_predicate=pl.col("feature") == name, named=True)


def test_the_audit_keeps_its_contract_and_has_a_row_per_feature(audit: pl.DataFrame) -> None:
    validated("feature_audit", audit)
    assert audit.get_column("feature").to_list() == [item.name for item in SPECS]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("feature_0", "commodity"), ("feature_1", "alpha"), ("feature_3", "unproven"), ("shadow", "commodity")],
)
def test_verdicts(audit: pl.DataFrame, name: str, verdict: str) -> None:
    assert row(audit, name)["verdict"] == verdict


def test_what_a_feature_adds_is_measured_beyond_the_commodity_view(audit: pl.DataFrame) -> None:
    shadow, own = row(audit, "shadow"), row(audit, "feature_1")
    assert shadow["commodity_r2"] > 0.5
    assert abs(shadow["incremental_ic"]) < 0.3 * shadow["ic"]
    assert own["commodity_r2"] < 0.05
    assert own["incremental_ic"] == pytest.approx(own["ic"], abs=0.02)
    assert own["ic_lower"] < 0.4 / np.sqrt(3) < own["ic_upper"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("feature_1", None),
        ("feature_2", "duplicate of twin"),
        ("twin", "duplicate of feature_2"),
        ("feature_3", "duplicate of blown_up"),
        ("still", "constant"),
        ("flag", None),
        ("blown_up", "infinite"),
        ("hollow", "all missing"),
        ("barred", None),
    ],
)
def test_faults_are_named(audit: pl.DataFrame, name: str, fault: str | None) -> None:
    assert row(audit, name)["fault"] == fault


def test_an_unavailable_feature_says_why_and_is_no_fault(audit: pl.DataFrame) -> None:
    assert row(audit, "barred")["unavailable"] == "the market has no such feed"
    assert audit_headline(audit)["unavailable"] == 1
    assert audit_headline(audit)["faults"] == 6


def test_features_of_noise_are_found_at_the_stated_rate() -> None:
    """Forty features of noise, eight markets: alpha in at most one market in five would be a false discovery rate beyond 0.1."""
    wrong = 0
    for seed in range(8):
        none = planted_panel(sessions=60, names=25, features=40, ic=0.0, seed=seed)
        found = audit_features("x", none.features, none.labels, [spec(name) for name in none.feature_names], {})
        wrong += found.filter(pl.col("verdict") != "unproven").height > 0
    assert wrong <= 2


def test_the_page_and_the_plot_say_what_was_found(audit: pl.DataFrame) -> None:
    page = audit_markdown(audit, "Features, synthetic", notes={"Extra": "text"}, plot="x.png")
    assert "# Features, synthetic" in page
    assert "![Features, synthetic](x.png)" in page
    assert "- `still`: constant" in page
    assert "- `barred`: the market has no such feed" in page
    assert "## There in fewer than 50% of the rows\n\nNone." in page
    late = audit.with_columns(
        pl.when(pl.col("feature") == "feature_1").then(0.09).otherwise("coverage").alias("coverage")
    )
    assert "- `feature_1`: 9%; missing is expected where there is" in audit_markdown(late, "Features")
    assert audit_plot(audit, "Features").startswith(b"\x89PNG")


def test_a_feed_is_worth_what_its_features_add_per_dollar(planted: PlantedPanel) -> None:
    specs = [
        spec("feature_0"),
        spec("feature_1", columns=("options.iv_30d",)),
        spec("feature_3", columns=("earnings.eps",)),
    ]
    gains = {
        item["feed"]: item
        for item in feed_gains(planted.features, planted.labels, specs, {"options": 500.0}).iter_rows(named=True)
    }
    assert gains["options"]["gain"] > 0.05
    assert gains["options"]["gain_t"] > 2.0
    assert gains["options"]["gain_per_1000_usd"] == pytest.approx(2.0 * gains["options"]["gain"])
    assert abs(gains["earnings"]["gain"]) < 0.03
    assert gains["earnings"]["gain_per_1000_usd"] is None
    assert gains["short_interest"]["features"] == 0
    assert gains["short_interest"]["gain"] == 0.0


def test_planted_components_are_recovered_with_their_shares() -> None:
    """Features that are the components themselves, a label that is their weighted sum and noise."""
    panel = planted_panel(sessions=60, names=120, features=len(COMPONENTS), ic=0.0, seed=3)
    signs = [PLANTED_FEATURES[item.name][1] for item in COMPONENTS]
    names = [PLANTED_FEATURES[item.name][0] for item in COMPONENTS]
    features = panel.features.rename(dict(zip(panel.feature_names, names, strict=True)))
    drift = sum(
        sign * np.sqrt(item.share) * features.get_column(name).to_numpy().astype(float) * np.sqrt(12.0)
        for item, name, sign in zip(COMPONENTS, names, signs, strict=True)
    )
    keys = features.select("symbol", "decision_time")
    truth = keys.with_columns(pl.Series("expected_residual_return", 0.003 * drift))
    noise = np.random.default_rng(1).standard_normal(len(drift))
    labels = keys.with_columns(pl.Series("label", 0.003 * drift + 0.01 * noise))
    found = planted_recovery(features, labels, truth)
    assert found.get_column("inside").sum() >= len(COMPONENTS) - 2
    assert found.get_column("planted_ic").max() == pytest.approx(np.sqrt(0.14) * 0.287, rel=0.1)
    turned = planted_recovery(features.with_columns(pl.col("option_skew") * -1.0), labels, truth)
    assert not turned.row(by_predicate=pl.col("component") == "skew", named=True)["inside"]
