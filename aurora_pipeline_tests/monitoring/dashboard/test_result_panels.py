import re
from datetime import UTC, datetime

import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.dashboard.result_panels import costs_and_alpha, profit_and_loss, turnover
from aurora_pipeline.monitoring.dashboard.risk_panels import capacity, exposures
from aurora_pipeline.settings import BookSettings
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import (
    absent,
    charts,
    day,
    facts,
    figures,
    moment,
    rows,
    table,
)


def account(*sessions):
    """One bar per session, from 1,000 USD: `(gross_pnl, cost, turnover, exempt)`."""
    nav, made = 1000.0, []
    for number, (gross_pnl, cost, turned, exempt) in enumerate(sessions):
        nav += gross_pnl - cost
        made.append(
            {
                "book": "live", "session": day(number), "decision_time": moment(number), "nav": nav, "gross": 0.2,
                "net": 0.01, "gross_pnl": gross_pnl, "cost": cost, "spread_cost": cost, "turnover": turned,
                "exempt_turnover": exempt, "forecast_volatility": 0.001, "market_beta": 0.02,
            }
        )  # fmt: skip
    return rows("portfolio", *made)


def test_profit_and_loss_by_hand():
    blocks = profit_and_loss(account((10.0, 1.0, 0.1, 0.0), (-20.0, 1.0, 0.1, 0.0)), 1)
    found = facts(blocks)
    assert found["NAV"] == ("988 USD", f"2 sessions since {day(0)}")
    assert found["net return"][0] == f"−{100 * (21 / 1009 - 9 / 1000):.2f} %"
    assert found["largest drawdown"][0] == f"{100 * 21 / 1009:.2f} %"
    assert found["newest session"] == (f"−{100 * 21 / 1009:.3f} %", str(day(1)))
    assert table(blocks, "utilisation")[0]["month"] == "2024-12"
    assert len(charts(blocks)) == 1


@pytest.mark.parametrize(
    "panel",
    [
        lambda: profit_and_loss(empty("portfolio"), 1),
        lambda: costs_and_alpha(empty("portfolio"), empty("fills"), empty("alpha_forgone"), 1),
        lambda: turnover(empty("portfolio"), BookSettings()),
        lambda: exposures(empty("portfolio"), empty("exposures"), empty("attribution"), BookSettings()),
    ],
)
def test_a_book_that_holds_nothing_says_so_and_what_fills_it(panel):
    assert absent(panel()).command == "aurora run"


def test_costs_are_given_per_trade_and_alpha_kept_is_not_invented_on_two_sessions():
    fills = rows("fills", {"order_id": "a", "shares": 10.0, "price": 20.0})
    forgone = rows("alpha_forgone", {"limit": "name_cap", "forgone": 0.0002}, {"limit": "name_cap", "forgone": 0.0})
    blocks = costs_and_alpha(account((10.0, 1.0, 0.1, 0.0), (5.0, 1.0, 0.1, 0.0)), fills, forgone, 1)
    found = facts(blocks)
    assert found["alpha kept"] == ("not testable", "gross P&L's 95 % interval reaches 0: too few sessions")
    assert found["all costs"] == ("2 USD", "100.00 bps of trades")
    assert found["break-even cost"][0] == "750.0 bps"
    assert table(blocks, "limit") == [
        {
            "limit": "name cap",
            "withheld a decision, bps of NAV": "1.000",
            "sessions in which it did": "50 %",
            "over sessions": "0.0",
        }
    ]


def test_turnover_leaves_out_what_was_forced_and_tells_an_exceeded_budget():
    rules = BookSettings(turnover_day=0.05, turnover_week=0.15, turnover_month=0.5)
    blocks = turnover(account((0.0, 0.0, 0.09, 0.05), (0.0, 0.0, 0.06, 0.0)), rules)
    by_budget = {row["budget"]: row for row in table(blocks, "budget")}
    assert by_budget["day"]["spent now"] == "6.00 %"
    assert by_budget["day"]["left"] == "−1.00 %"
    assert (by_budget["day"]["held"], by_budget["day"]["held"].tone) == ("exceeded", "bad")
    assert by_budget["week"]["largest"] == "10.00 %"
    assert (by_budget["week"]["held"], by_budget["week"]["held"].tone) == ("within", "good")


def test_turnover_before_a_step_down_counts_as_its_share_of_the_smaller_budgets():
    rules = BookSettings(turnover_day=0.005, turnover_week=0.015, turnover_month=0.05)
    blocks = turnover(account((0.0, 0.0, 0.012, 0.0), (0.0, 0.0, 0.003, 0.0)), rules, [(day(1), 0.4)])
    by_budget = {row["budget"]: row for row in table(blocks, "budget")}
    assert (by_budget["day"]["largest"], by_budget["day"]["held"].tone) == ("0.48 %", "good")
    assert by_budget["week"]["spent now"] == "0.78 %"


def test_exposures_show_the_newest_session_only():
    factors = rows(
        "exposures",
        {"session": day(0), "factor": "market", "exposure": 0.9, "variance_share": 0.9},
        {"session": day(1), "factor": "market", "exposure": 0.02, "variance_share": 0.25},
        {"session": day(1), "factor": "specific", "exposure": 0.2, "variance_share": 0.75},
    )
    names = rows(
        "attribution",
        {"session": day(1), "symbol": "AAA", "variance_share": 0.6, "gross_pnl": 12.0, "cost": 1.0, "alpha": 3.0},
        {"session": day(1), "symbol": "BBB", "variance_share": 0.7, "gross_pnl": -5.0, "cost": 0.0, "alpha": 1.0},
    )
    blocks = exposures(account((10.0, 1.0, 0.1, 0.0), (5.0, 1.0, 0.1, 0.0)), factors, names, BookSettings())
    found = facts(blocks)
    assert found["specific risk"][0] == "75 %"
    assert found["net"] == ("1.00 %", "limit 2.2 % of NAV")
    assert found["gross"] == ("20.00 %", "cap 22 % of NAV")
    assert found["forecast volatility"] == (f"{100 * 0.001 * 252**0.5:.2f} %", "target 0.8 % a year")
    assert [row["name"] for row in table(blocks, "name")] == ["BBB", "AAA"]
    assert "90" not in "".join(row["exposure, % of NAV"] for row in table(blocks, "factor"))


def test_factors_are_drawn_by_the_size_of_their_share(monkeypatch):
    shares = {"market": 0.2, "Energy": -0.3, "size": 0.1, "specific": 0.9}
    factors = rows("exposures", *({"factor": name, "variance_share": share} for name, share in shares.items()))
    saved = figures(monkeypatch)
    exposures(account((10.0, 1.0, 0.1, 0.0)), factors, empty("attribution"), BookSettings())
    left, right = saved[0].axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["size", "market", "Energy"]
    assert [bar.get_width() for bar in right.patches] == [0.1, 0.2, -0.3]


def test_capacity_names_the_capital_that_earns_most_and_the_command_that_is_missing():
    assert absent(capacity(None)).command == "aurora book capacity"
    line = {"gross_return": 0.03, "cost": 0.01, "sharpe": 1.0, "turnover_per_session": 0.02, "utilisation": 0.2}
    curve = [
        {"at": 1e6, "net_return": 0.02, "net_usd": 2e4, **line},
        {"at": 1e7, "net_return": 0.015, "net_usd": 1.5e5, **line},
        {"at": 1e9, "net_return": None, "net_usd": None, **line, "gross_return": None, "sharpe": None},
    ]
    blocks = capacity({"title": "synthetic market tiny", "capacity": curve, "stress": curve[:2]})
    assert facts(blocks)["most dollars"] == ("150,000 USD", "at 10,000,000 USD of capital")
    assert table(blocks, "capital, USD")[2]["net"] == "–"
    idle = [row | {"net_return": None, "net_usd": None} for row in curve]
    assert "nothing was traded" in absent(capacity({"title": "t", "capacity": idle, "stress": idle})).why


def test_one_session_is_drawn_as_points_and_not_as_frames_of_years():
    one = account((10.0, 1.0, 0.01, 0.0))
    factors = rows("exposures", {"session": day(0), "factor": "market", "exposure": 0.02, "variance_share": 1.0})
    blocks = profit_and_loss(one, 1)
    assert facts(blocks)["NAV"] == ("1,009 USD", f"1 session since {day(0)}")
    assert facts(blocks)["volatility, a year"] == ("–", "takes two sessions")
    assert facts(blocks)["largest drawdown"][1] == ""
    for panel in (
        blocks,
        turnover(one, BookSettings()),
        exposures(one, factors, empty("attribution"), BookSettings()),
    ):
        drawing = charts(panel)[-1]
        assert f"{day(0):%d %b %y}" in drawing
        assert "Jan" not in drawing
        assert re.search(r'<g clip-path="[^"]*">\s*<use ', drawing)
        assert not re.search(r">[-−]0[.0]*( %)?<", drawing)


@pytest.mark.parametrize(
    ("gross_pnl", "shares", "value", "says"),
    [(-5.0, 10.0, "−250.0 bps", "loss"), (5.0, 10.0, "250.0 bps", "used up"), (5.0, 0.0, "–", "nothing was traded")],
)
def test_the_break_even_cost_says_what_it_means(gross_pnl, shares, value, says):
    fills = rows("fills", {"order_id": "a", "shares": shares, "price": 20.0})
    made = costs_and_alpha(account((gross_pnl, 1.0, 0.1, 0.0)), fills, empty("alpha_forgone"), 1)
    shown, note = facts(made)["break-even cost"]
    assert shown == value
    assert says in note


def test_costs_of_many_years_are_one_bar_a_year_with_names_that_can_be_read():
    moments = [datetime(year, month, 16, 21, 0, tzinfo=UTC) for year in range(2007, 2027) for month in range(1, 13)]
    held = [
        {
            "book": "live", "session": at.date(), "decision_time": at, "nav": 1000.0, "gross": 0.2, "gross_pnl": 1.0,
            "cost": 0.1, "spread_cost": 0.1, "turnover": 0.1,
        }
        for at in moments
    ]  # fmt: skip
    fills = rows("fills", {"order_id": "a", "shares": 10.0, "price": 20.0})
    blocks = costs_and_alpha(rows("portfolio", *held), fills, empty("alpha_forgone"), 1)
    (drawing,) = charts(blocks)
    dates = [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing) if text.startswith("20")]
    assert dates == [str(year) for year in range(2007, 2027, 2)]
    assert "bps of NAV in the year" in drawing
