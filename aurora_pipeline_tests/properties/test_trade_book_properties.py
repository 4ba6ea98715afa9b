"""What holds for any book: limits, finite numbers, the NAV identity, a flat book without signal."""

from dataclasses import replace

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from aurora_pipeline.contracts import BOOK_TABLES
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.execution.corporate_events import CorporateEvent
from aurora_pipeline.execution.limits import limit_violations
from aurora_pipeline.execution.nav_identity import nav_identity_violations
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.policy.risk_model import RiskModel
from aurora_pipeline_tests.execution.tiny_market import session_inputs, settings

NAMES = ("A", "B", "C", "D", "E", "F")
BARS = 4
SECTORS = np.array([0, 0, 1, 1, 2, -1])


@st.composite
def rules(draw):
    """Limits from sensible to absurd."""
    return settings(
        f"book.name_cap={draw(st.sampled_from([0.001, 0.01, 0.05, 0.3]))}",
        f"book.sector_cap={draw(st.sampled_from([0.0, 0.02, 0.1]))}",
        f"book.net_cap={draw(st.sampled_from([0.0, 0.1, 1.0]))}",
        f"book.utilisation_cap={draw(st.sampled_from([0.0, 0.05, 0.22, 1.0]))}",
        f"book.turnover_day={draw(st.sampled_from([0.0, 0.01, 0.05, 1.0]))}",
        f"book.turnover_week={draw(st.sampled_from([0.015, 0.15, 1.0]))}",
        f"book.turnover_month={draw(st.sampled_from([0.02, 0.5, 1.0]))}",
        f"book.participation={draw(st.sampled_from([0.0, 0.001, 0.02, 1.0]))}",
        f"book.volatility_target={draw(st.sampled_from([0.0, 0.008, 0.1]))}",
        f"book.build_sessions={draw(st.sampled_from([1, 3]))}",
        f"book.long_only={draw(st.booleans())}",
        f"costs.impact_coefficient={draw(st.sampled_from([0.0, 0.7]))}",
        f"costs.borrow_rate={draw(st.sampled_from([0.0, 0.05]))}",
        f"costs.unknown_borrow={draw(st.sampled_from(['default', 'no_short']))}",
        f"costs.borrow_rates={draw(st.sampled_from(['{}', '{A: 0.01, B: 0.3}']))}",
        f"book.sizing={draw(st.sampled_from(['cost_aware', 'one_horizon', 'cost_blind', 'proportional']))}",
    )


@st.composite
def sessions(draw, count=3):
    """Sessions of a violent market: jumps, halts, missing signals, names that leave, splits and dividends."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    jump, edge = draw(st.sampled_from([0.002, 0.02, 0.15])), draw(st.sampled_from([0.0, 0.002, 0.05]))
    holes, leave = draw(st.sampled_from([0.0, 0.3])), draw(st.sampled_from([0.0, 0.2]))
    n = len(NAMES)
    price, made = np.full(n, 50.0), []
    for number in range(count):
        split = number == 1 and draw(st.booleans())
        price = price / 2.0 if split else price
        path = price * np.exp(np.cumsum(random.normal(0.0, jump, (BARS, n)), axis=0))
        price = path[-1]
        halted = random.random((BARS, n)) < holes
        fill = np.where(halted, np.nan, path * np.exp(random.normal(0.0, jump, (BARS, n))))
        alpha = random.normal(0.0, edge, (BARS, n))
        made.append(
            session_inputs(
                number,
                np.where(halted, np.nan, path),
                names=NAMES,
                fill=fill,
                alpha=np.where(random.random((BARS, n)) < holes, np.nan, alpha),
                volume=random.integers(0, 20_000, (BARS, n)).astype(float),
                sectors=SECTORS,
                sector_names=("X", "Y", "Z"),
                eligible=random.random(n) >= leave,
                calibrated=random.random((BARS, n)) >= holes / 3,
                average_value=np.where(random.random(n) < 0.1, np.nan, 10.0 ** random.uniform(4, 8, n)),
                events=tuple(CorporateEvent(name, "split", 2.0) for name in NAMES) if split else (),
                risk=RiskModel(
                    ("market", "style"),
                    random.normal(1.0, 0.5, (n, 2)),
                    np.diag([1e-4, 1e-5]),
                    random.uniform(0.01, 0.03, n) ** 2,
                    random.uniform(0.01, 0.03, n),
                ),
            )
        )
    return made


def run_all(made, book_rules, state=None):
    results = []
    for inputs in made:
        result = run_session(state, inputs.session, inputs, book_rules)
        state = result.state
        results.append(result)
    return results


@examples(max_examples=60, deadline=None, derandomize=True)
@given(sessions(), rules())
def test_no_limit_is_ever_breached_and_no_number_is_lost(made, book_rules):
    for inputs, result in zip(made, run_all(made, book_rules), strict=True):
        violations = limit_violations(result, inputs, book_rules)
        assert violations.is_empty(), violations
        assert nav_identity_violations(result).is_empty()
        refused = result.orders.filter(pl.col("status") == "rejected").get_column("reason")
        assert set(refused) <= {"no_cash", "no_borrow"}
        for name in BOOK_TABLES:
            numbers = getattr(result, name).select(pl.selectors.float()).drop("expected_return", strict=False)
            assert numbers.select(pl.all().is_finite().all()).to_numpy().all()


@examples(max_examples=20, deadline=None, derandomize=True)
@given(sessions(), rules())
def test_a_flat_book_without_signal_stays_flat(made, book_rules):
    silent = [replace(inputs, expected_return=np.full((BARS, len(NAMES)), np.nan)) for inputs in made]
    for result in run_all(silent, book_rules):
        assert result.orders.is_empty()
        assert result.positions.is_empty()
        assert (result.portfolio.get_column("nav") == book_rules.book.nav).all()


@examples(max_examples=20, deadline=None, derandomize=True)
@given(sessions(), rules())
def test_a_stored_state_continues_as_if_nothing_had_happened(made, book_rules):
    through = run_all(made, book_rules)
    again = run_all(made[1:], book_rules, BookState.from_json(through[0].state.to_json()))
    for first, second in zip(through[1:], again, strict=True):
        assert first.state.to_json() == second.state.to_json()
        assert first.portfolio.equals(second.portfolio)


@examples(max_examples=15, deadline=None, derandomize=True)
@given(sessions(count=2))
def test_a_stock_quoted_in_other_units_is_traded_for_the_same_money(made):
    """Prices times 4 and share counts over 4: weights agree to the rounding of whole shares."""
    book_rules = settings("book.nav=100000000", "book.participation=1.0")
    calm = [replace(inputs, events=(), average_value=np.full(len(NAMES), 1e12)) for inputs in made]
    scaled = [
        replace(
            inputs, mark=inputs.mark * 4.0, fill_price=inputs.fill_price * 4.0, fill_volume=inputs.fill_volume / 4.0
        )
        for inputs in calm
    ]
    first, second = run_all(calm, book_rules)[0], run_all(scaled, book_rules)[0]
    one, other = (
        result.targets.filter(pl.col("decision_time") == calm[0].decision_times[0]) for result in (first, second)
    )
    np.testing.assert_allclose(one.get_column("target_weight"), other.get_column("target_weight"), atol=1e-7)
