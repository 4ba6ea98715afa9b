import polars as pl
import pytest

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.dashboard.attention import ITEM
from aurora_pipeline.monitoring.dashboard.data_panels import TICKS
from aurora_pipeline.monitoring.dashboard.panel import Absent
from aurora_pipeline.monitoring.dashboard.period_panels import period_panels
from aurora_pipeline.monitoring.dashboard.period_result import Period
from aurora_pipeline.monitoring.dashboard.usual_result import account
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import absent, charts, day, facts, rows, table
from aurora_pipeline_tests.monitoring.dashboard.test_result_panels import account as book


def period(this, before, unit="session", **given):
    tables = {
        "portfolio": book(*((gain, 1.0, 0.01, 0.0) for gain in (3.0, 5.0, 2.0, 11.0, -4.0, 6.0))),
        "fills": empty("fills"),
        "attribution": empty("attribution"),
        "weights": empty("ensemble_weights"),
        "states": empty("model_states"),
        "data_quality": empty("data_quality"),
        "ticks": pl.DataFrame(schema=TICKS),
        "closes": {},
        "attention": pl.DataFrame(schema=ITEM),
    }
    return Period(tuple(map(day, this)), tuple(map(day, before)), unit, **(tables | given))


def blocks_of(made, key):
    return next(blocks for _, panels in period_panels(made) for panel, blocks in panels if panel.key == key)


def test_an_account_by_hand():
    first = account(book((3.0, 1.0, 0.01, 0.0))).row(0, named=True)
    assert (first["opening"], first["nav"]) == (1000.0, 1002.0)
    assert first["gross"] == pytest.approx(0.003)
    assert first["net"] == pytest.approx(0.002)


def test_a_day_stands_beside_the_day_before():
    blocks = blocks_of(period([1], [0]), "result")
    by_name = {row["of NAV"]: row for row in table(blocks, "of NAV")}
    assert by_name["net return"]["this session"] == f"{1e4 * 4 / 1002:.2f} bps"
    assert by_name["net return"]["before"] == "20.00 bps"
    assert by_name["net return"]["change"] == f"{1e4 * 4 / 1002 - 20:.2f} bps"
    assert facts(blocks)["against what is usual"] == ("4.0 sd", "of the forecast; 1 session before: too few")
    assert "through" in next(block.shows for block in blocks if hasattr(block, "shows"))
    assert len(charts(blocks)) == 1


def test_a_week_sums_its_sessions_and_is_held_against_what_is_usual():
    made = period([5], [0, 1, 2, 3, 4], unit="week")
    blocks = blocks_of(made, "result")
    by_name = {row["of NAV"]: row for row in table(blocks, "of NAV")}
    assert by_name["turnover"]["before"] == "5.00 %"
    assert facts(blocks)["against what is usual"][1] == "of the forecast; 5 sessions before: too few"
    long = book(*((gain, 1.0, 0.01, 0.0) for gain in (3.0, 1.0) * 35))
    blocks = blocks_of(period([66, 67], [64, 65], unit="week", portfolio=long), "result")
    assert facts(blocks)["against what is usual"] == ("1.4 sd", "of 63 sessions before")


def test_a_week_earns_the_dollars_its_sessions_booked():
    swinging = book((500.0, 0.0, 0.0, 0.0), (-900.0, 0.0, 0.0, 0.0), (300.0, 0.0, 0.0, 0.0))
    found = facts(blocks_of(period([0, 1, 2], [], unit="week", portfolio=swinging), "result"))
    assert found["net"][1] == "−100 USD"
    assert found["NAV"][0] == "900 USD"


def test_the_first_session_has_nothing_before_it():
    by_name = {row["of NAV"]: row for row in table(blocks_of(period([0], []), "result"), "of NAV")}
    assert by_name["net return"]["before"] == by_name["net return"]["change"] == "–"


def test_a_period_the_book_does_not_have_is_absent():
    assert absent(blocks_of(period([9], [8]), "result")).command == "aurora run"
    assert absent(blocks_of(period([9], [8]), "names")).why


def test_a_session_of_the_warm_up_names_the_first_decision_and_no_command():
    made = period([0], [], portfolio=empty("portfolio"), first_decision=day(3), begins=day(3))
    for key in ("result", "models", "names", "trades", "ticks"):
        said = absent(blocks_of(made, key))
        assert (said.why, said.command) == (f"warm-up: the first decision is of {day(3)}", "")
    later = period([4], [3], portfolio=empty("portfolio"), first_decision=day(3), begins=day(3))
    assert absent(blocks_of(later, "result")).command == "aurora run"


def test_a_session_before_the_book_names_its_first():
    made = period([1], [0], portfolio=empty("portfolio"), first_decision=day(0), begins=day(3))
    for key in ("result", "names", "trades"):
        assert absent(blocks_of(made, key)) == Absent(f"the book begins with {day(3)}")
    assert absent(blocks_of(made, "models")).command == "aurora close"


def test_names_trades_models_and_data_say_what_changed():
    made = period(
        [1], [0],
        attribution=rows(
            "attribution",
            {"session": day(1), "symbol": "A", "gross_pnl": 10.0, "cost": 1.0},
            {"session": day(1), "symbol": "B", "gross_pnl": -3.0, "cost": 0.5},
        ),
        fills=rows(
            "fills",
            {"session": day(1), "order_id": "1", "symbol": "A", "side": "buy", "shares": 5.0, "price": 10.0, "fee_cost": 0.01},
            {"session": day(0), "order_id": "0", "symbol": "B", "side": "sell", "shares": 5.0, "price": 10.0},
        ),
        states=rows(
            "model_states",
            {"session": day(0), "model": "ridge", "state": "champion"},
            {"session": day(1), "model": "ridge", "state": "probation", "reason": "evidence"},
            {"session": day(1), "model": "new", "state": "shadow"},
        ),
        weights=rows(
            "ensemble_weights",
            {"session": day(0), "model": "ridge", "weight": 0.5},
            {"session": day(1), "model": "ridge", "weight": 0.3},
        ),
        data_quality=rows(
            "data_quality",
            {"session": day(0), "symbol": "A", "expected_bars": 78, "missing_bars": 3},
            {"session": day(1), "symbol": "A", "expected_bars": 78, "missing_bars": 1},
        ),
    )  # fmt: skip
    assert [row["net, USD"] for row in table(blocks_of(made, "names"), "name")] == ["9", "−4"]
    assert facts(blocks_of(made, "trades"))["cost"][0] == "2.00 bps"
    assert facts(blocks_of(made, "trades"))["traded"] == ("50 USD", "1 fill; 1 before")
    by_model = {row["model"]: row for row in table(blocks_of(made, "models"), "model")}
    assert (by_model["ridge"]["state"], by_model["ridge"]["change"]) == ("champion → probation", "−20.00 %")
    assert by_model["new"]["state"] == "new → shadow"
    assert facts(blocks_of(made, "models"))["changed state"] == ("2", "of 2")
    missing = next(row for row in table(blocks_of(made, "data"), "bars") if row["bars"] == "missing bars")
    assert (missing["this session"], missing["before"], missing["change"]) == ("1", "3", "−2")
