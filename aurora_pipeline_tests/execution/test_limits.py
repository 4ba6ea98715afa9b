"""Each configured limit, tripped by tampering with a clean session."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.errors import LimitBreach
from aurora_pipeline.execution.limits import limit_violations
from aurora_pipeline.execution.nav_identity import nav_identity_violations
from aurora_pipeline.execution.pre_trade_gate import check_targets
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.policy.limits_in_force import ExposureLimits
from aurora_pipeline_tests.execution.tiny_market import session_inputs, settings

NAMES = ("A", "B", "C", "D")
RULES = settings(
    "book.name_cap=0.1",
    "book.utilisation_cap=0.3",
    "book.net_cap=0.5",
    "book.sector_cap=0.12",
    "book.turnover_day=0.2",
    "book.turnover_week=0.25",
    "book.turnover_month=0.9",
)
INPUTS = session_inputs(
    0,
    [100.0, 100.0, 100.0],
    names=NAMES,
    alpha=np.array([0.05, -0.05, 0.04, -0.04]),
    sectors=np.array([0, 0, 1, 1]),
    sector_names=("Tech", "Energy"),
)


@pytest.fixture(scope="module")
def clean():
    result = run_session(None, INPUTS.session, INPUTS, RULES)
    assert limit_violations(result, INPUTS, RULES).is_empty()
    assert result.fills.height >= 4
    return result


def with_targets(result, weights, held=(0.0, 0.0, 0.0, 0.0)):
    last = result.targets.get_column("decision_time").max()
    one = result.targets.filter(pl.col("decision_time") == last).sort("symbol")
    return replace(
        result,
        targets=one.with_columns(
            pl.Series("target_weight", weights, dtype=pl.Float64), pl.Series("current_weight", held, dtype=pl.Float64)
        ),
    )


def found(result, rules=RULES):
    return set(limit_violations(result, INPUTS, rules).select("limit", "name").rows())


@pytest.mark.parametrize(
    ("weights", "violation"),
    [
        ((0.101, 0.0, 0.0, 0.0), ("name_cap", "A")),
        ((0.0, -0.101, 0.0, 0.0), ("name_cap", "B")),
        ((0.08, 0.05, -0.05, -0.05), ("sector_cap", "Tech")),
        ((0.08, 0.0, 0.08, 0.0), ("net_cap", None)),
        ((0.1, -0.1, 0.06, -0.06), ("utilisation_cap", None)),
    ],
)
def test_exposure_limits_trip(clean, weights, violation):
    assert found(with_targets(clean, weights)) == {violation}


def test_long_only_trips(clean):
    long_only = RULES.model_copy(update={"book": RULES.book.model_copy(update={"long_only": True})})
    assert ("long_only", "B") in found(with_targets(clean, (0.01, -0.01, 0.0, 0.0)), long_only)
    covering = with_targets(clean, (0.01, -0.01, 0.0, 0.0), held=(0.01, -0.02, 0.0, 0.0))
    assert ("long_only", "B") not in found(covering, long_only)


def test_drift_is_no_breach_while_it_shrinks(clean):
    drifted = (0.12, -0.11, 0.07, -0.06)
    assert found(with_targets(clean, (0.11, -0.11, 0.07, -0.06), held=drifted)) == set()
    assert found(with_targets(clean, (0.13, -0.11, 0.06, -0.06), held=drifted)) == {("name_cap", "A")}


@pytest.mark.parametrize(
    ("spent", "extra", "violation"),
    [
        ((), 0.2, "turnover_day"),
        ((0.15,), 0.05, "turnover_week"),
        ((0.2, 0.0, 0.0, 0.0), 0.05, "turnover_week"),
        ((0.2,) * 4 + (0.0,) * 16, 0.05, "turnover_month"),
    ],
)
def test_turnover_budgets_trip(clean, spent, extra, violation):
    base = pl.lit(0.055)
    portfolio = clean.portfolio.with_columns(turnover=base, exempt_turnover=pl.lit(0.0))
    tampered = replace(clean, portfolio=portfolio, opening_turnover=replace(clean.opening_turnover, spent=spent))
    spent_before = {limit for limit, _ in found(tampered)}
    more = replace(tampered, portfolio=portfolio.with_columns(turnover=pl.lit(0.055 + extra / 3)))
    assert violation in {limit for limit, _ in found(more)} - spent_before | ({violation} & spent_before)
    exempt = replace(more, portfolio=more.portfolio.with_columns(exempt_turnover="turnover"))
    assert {limit for limit, _ in found(exempt)} == set()


def test_a_budget_that_was_lowered_below_what_is_spent_lets_nothing_be_added(clean):
    spent = (0.3, 0.3, 0.2, 0.15)
    still = clean.portfolio.with_columns(pl.lit(0.0).alias("turnover"), pl.lit(0.0).alias("exempt_turnover"))
    quiet = replace(clean, portfolio=still, opening_turnover=replace(clean.opening_turnover, spent=spent))
    assert not {name for name, _ in found(quiet) if name.startswith("turnover")}
    busy = replace(quiet, portfolio=still.with_columns(pl.lit(1e-4).alias("turnover")))
    assert {name for name, _ in found(busy) if name.startswith("turnover")} == {"turnover_week", "turnover_month"}


def test_a_session_five_sessions_ago_no_longer_counts_in_the_week(clean):
    old = replace(clean, opening_turnover=replace(clean.opening_turnover, spent=(0.25, 0.0, 0.0, 0.0, 0.0)))
    assert found(old) == set()


def test_participation_trips(clean):
    greedy = replace(clean, fills=clean.fills.with_columns(shares=pl.lit(1e6 + 1)))
    assert "participation" in {limit for limit, _ in found(greedy)}


def test_a_fill_beyond_the_name_cap_trips(clean):
    doubled = replace(clean, positions=clean.positions.with_columns(shares=pl.col("shares") * 20.0))
    assert "name_cap" in {limit for limit, _ in found(doubled)}


@pytest.mark.parametrize(
    ("target", "caps", "words"),
    [
        ((0.2, 0.0), (0.1, 0.15, 0.3, 0.3), "name_cap"),
        ((0.1, 0.09), (0.1, 0.15, 0.3, 0.3), "sector_cap by 0.04 of NAV"),
        ((0.1, 0.09), (0.1, 1.0, 0.15, 0.3), "net_cap by 0.04 of NAV"),
        ((0.1, -0.09), (0.1, 0.15, 0.3, 0.15), "utilisation_cap by 0.04 of NAV"),
        ((0.1, -0.09), (0.1, 0.15, 0.3, 0.3, True), "long_only by 0.09 of NAV"),
        ((float("nan"), 0.0), (0.1, 0.15, 0.3, 0.3), "1 target.s. are not finite"),
    ],
)
def test_a_target_outside_its_limits_stops_the_book(target, caps, words):
    with pytest.raises(LimitBreach, match=words):
        check_targets(np.array(target), np.zeros(2), np.zeros(2, dtype=np.int64), ExposureLimits(*caps), "book tiny")


def test_a_target_at_its_limits_passes():
    sectors = np.zeros(2, dtype=np.int64)
    check_targets(np.array([0.1, 0.05]), np.zeros(2), sectors, ExposureLimits(0.1, 0.15, 0.15, 0.15), "book tiny")


@pytest.mark.parametrize(
    ("table", "change", "identity"),
    [
        ("portfolio", {"nav": pl.col("nav") + 0.02}, "nav_change"),
        ("portfolio", {"gross_pnl": pl.col("gross_pnl") + 0.02}, "nav_change"),
        ("portfolio", {"cash": pl.col("cash") - 0.02}, "market_value"),
        ("positions", {"shares": pl.col("shares") + 1.0}, "market_value"),
        ("portfolio", {"borrow_cost": pl.col("borrow_cost") + 0.02}, "cost_terms"),
        ("fills", {"fee_cost": pl.col("fee_cost") + 0.02}, "fill_costs"),
    ],
)
def test_the_nav_identity_finds_two_cents(clean, table, change, identity):
    assert nav_identity_violations(clean).is_empty()
    tampered = replace(clean, **{table: getattr(clean, table).with_columns(**change)})
    assert identity in nav_identity_violations(tampered).get_column("identity").to_list()
