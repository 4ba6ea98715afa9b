from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.book_quality import (
    by_confidence,
    costs_by_term,
    events_counted,
    forgone_by_limit,
    risk_quality,
    step_evidence,
    turnover_used,
)
from aurora_pipeline.settings import BookSettings

DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(40)]
NET = np.tile([0.002, -0.002], 20)


def portfolio(forecast=0.001, turnover=0.02):
    nav = 1e7 * np.cumprod(1.0 + NET)
    before = np.concatenate([[1e7], nav[:-1]])
    return pl.DataFrame(
        {
            "session": DAYS,
            "decision_time": [datetime(day.year, day.month, day.day, 21) for day in DAYS],
            "nav": nav,
            "gross": 0.2,
            "turnover": turnover,
            "exempt_turnover": 0.005,
            "gross_pnl": nav - before + 100.0,
            "cost": 100.0,
            **dict.fromkeys(("spread_cost", "impact_cost", "fee_cost", "borrow_cost"), 25.0),
            "forecast_volatility": forecast,
            "market_beta": 0.01,
        }
    )


def value(frame, measure):
    return frame.filter(pl.col("measure") == measure).get_column("value").item()


def test_a_forecast_of_half_the_risk_has_a_bias_of_two():
    market = pl.DataFrame({"session": DAYS, "return": NET * 10.0})
    found = risk_quality(portfolio(), market)
    assert value(found, "realised over forecast (bias statistic)") == pytest.approx(2.0, rel=0.03)
    assert value(found, "beta to the market, realised") == pytest.approx(0.1)
    assert value(found, "beta to the market, ex ante, mean") == pytest.approx(0.01)
    assert value(found, "forecast volatility, mean") == pytest.approx(0.001 * 252**0.5)
    assert value(found, "value at risk 95 %, from the sessions") == pytest.approx(0.002)


def test_budgeted_turnover_is_summed_over_its_spans():
    assert turnover_used(portfolio(), BookSettings()).rows() == [
        ("day", pytest.approx(0.015), 0.05),
        ("week", pytest.approx(0.075), 0.15),
        ("month", pytest.approx(0.315), 0.5),
    ]


def test_costs_by_term_sum_up_and_break_even_is_the_gross_result():
    fills = pl.DataFrame({"shares": [100.0] * 40, "price": [1_000.0] * 40})  # 4 M USD traded
    found = {term: (usd, bps) for term, usd, bps in costs_by_term(portfolio(), fills).iter_rows()}
    assert found["spread_cost"] == (pytest.approx(1_000.0), pytest.approx(2.5))
    assert found["all costs"] == (pytest.approx(4_000.0), pytest.approx(10.0))
    gross = portfolio().get_column("gross_pnl").sum()
    assert found["break-even"] == (pytest.approx(gross), pytest.approx(gross / 4e6 * 1e4))


def test_risk_and_result_by_confidence():
    attribution = pl.DataFrame(
        {
            "session": [DAYS[0]] * 6,
            "confidence": [0.6, 0.1, 0.5, 0.2, 0.4, 0.3],
            "variance_share": [0.3, 0.05, 0.3, 0.05, 0.2, 0.1],
            "alpha": [6.0, 1.0, 5.0, 2.0, 4.0, 3.0],
            "gross_pnl": [1.0] * 6,
            "cost": [0.5] * 6,
        }
    )
    assert by_confidence(attribution).rows() == [
        ("low", pytest.approx(0.1), 3.0, 2.0, 1.0),
        ("middle", pytest.approx(0.3), 7.0, 2.0, 1.0),
        ("high", pytest.approx(0.6), 11.0, 2.0, 1.0),
    ]


def test_forgone_and_events_are_counted():
    forgone = pl.DataFrame({"limit": ["a", "b"] * 2, "forgone": [1e-4, 0.0, 3e-4, 0.0], "holding_sessions": [4.0] * 4})
    assert forgone_by_limit(forgone).rows() == [("a", pytest.approx(2.0), 1.0, 4.0), ("b", 0.0, 0.0, 4.0)]
    events = pl.DataFrame({"session": DAYS[:2], "event": ["halted"] * 2, "action": ["none"] * 2, "times": [1, 4]})
    assert events_counted(events).rows() == [("halted", 2, 5, "none")]


def test_the_evidence_of_a_step_counts_breaches_and_drift():
    events = pl.DataFrame({"event": ["limits_out_of_reach", "position_drift", "no_price"]})
    found = step_evidence(portfolio(), events, empty("fills"), BookSettings())
    assert (found.sessions, found.breaches, found.drift, found.cost_ratio) == (40, 1, 1, None)
    assert found.drawdown == pytest.approx(0.002 / 0.008, rel=0.05)
    quiet = step_evidence(portfolio(), events.clear(), empty("fills"), BookSettings())
    assert (quiet.breaches, quiet.drift) == (0, 0)
