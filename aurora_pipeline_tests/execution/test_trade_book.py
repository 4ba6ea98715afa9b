from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.contracts import BOOK_TABLES, validated
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.execution.corporate_events import CorporateEvent, RefusedSplit
from aurora_pipeline.execution.limits import limit_violations
from aurora_pipeline.execution.nav_identity import nav_identity_violations
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline_tests.execution.tiny_market import bar_end, day, session_inputs, settings

RULES = settings()
NAN = float("nan")
TABLES = BOOK_TABLES


def run(inputs, state=None, rules=RULES):
    result = run_session(state, inputs.session, inputs, rules, book="tiny")
    assert nav_identity_violations(result).is_empty()
    assert limit_violations(result, inputs, rules).is_empty()
    for name in TABLES:
        validated(name, getattr(result, name))
    return result


def holding(shares=392.0, price=100.0, cash=960_800.0, **changes):
    """A book that holds shares of A, at the end of session 0."""
    state = BookState(
        book="tiny",
        session=day(0),
        complete=True,
        cash=cash,
        nav=cash + shares * price,
        peak_nav=cash + shares * price,
        shares={"A": shares} if shares else {},
        prices={"A": price},
        sessions=1,
    )
    return replace(state, **changes)


def column(frame, name):
    return frame.get_column(name).to_list()


def test_a_buy_is_decided_at_a_close_and_filled_in_the_next_bar():
    result = run(
        session_inputs(0, [100.0, 102.0, 101.5], fill=[[100.0], [101.0], [101.5]], alpha=[[0.05], [0.0], [0.0]])
    )
    # 39,200 USD at the close of 100 are 392 shares, bought at 101: 39,592 USD, half-spread 39.592, fees 3.9592.
    assert result.targets.row(0, named=True)["target_weight"] == pytest.approx(0.0392)
    assert column(result.targets, "reason") == ["enter", "hold", "hold"]
    order, fill = result.orders.row(0, named=True), result.fills.row(0, named=True)
    assert (order["side"], order["shares"], order["reference_price"], order["status"]) == (
        "buy",
        392.0,
        100.0,
        "filled",
    )
    assert (order["decision_time"], order["execute_by"]) == (bar_end(0, 0), bar_end(0, 1))
    assert (fill["shares"], fill["price"], fill["fill_time"]) == (392.0, 101.0, bar_end(0, 1))
    assert fill["spread_cost"] == pytest.approx(39.592)
    assert fill["fee_cost"] == pytest.approx(3.9592)
    first, second, third = result.portfolio.iter_rows(named=True)
    assert (first["nav"], first["turnover"]) == (1_000_000.0, 0.0)
    assert second["cash"] == pytest.approx(1_000_000 - 39_592 - 43.5512)
    assert second["nav"] == pytest.approx(1_000_000 + 392 - 43.5512)
    assert second["gross_pnl"] == pytest.approx(392.0)
    assert second["turnover"] == pytest.approx(39_592 / 2 / 1_000_000)
    assert third["nav"] - second["nav"] == pytest.approx(-196.0)
    assert third["cost"] == 0.0
    assert column(result.positions, "shares") == [392.0, 392.0]


def test_drift_over_the_name_cap_is_reduced_at_the_next_decision():
    result = run(session_inputs(1, [100.0, 103.0, 103.0], alpha=0.05), holding())
    # 392 * 103 / 1,001,176 = 4.03 % of NAV, above the cap of 4 %: back to 3.92 %, 10.97 shares less
    assert column(result.orders, "reason") == ["name_cap"]
    assert column(result.targets, "target_weight")[1] == pytest.approx(0.0392)
    assert result.fills.row(0, named=True)["shares"] == 10.0


def test_impact_is_charged_on_the_trade():
    rules = settings("costs.impact_coefficient=0.7")
    inputs = session_inputs(0, [100.0, 100.0], alpha=[[0.05], [0.0]], average_value=np.array([3.92e7]))
    fill = run(inputs, rules=rules).fills.row(0, named=True)
    # 39,200 / 39,200,000 = 0.001; 0.7 * 0.02 * sqrt(0.001) of 39,200 USD
    assert fill["impact_cost"] == pytest.approx(0.014 * 0.001**0.5 * 39_200)


def test_a_short_pays_borrow_for_the_night():
    rules = settings("costs.borrow_rate=0.0252")
    result = run(session_inputs(1, [100.0, 100.0], alpha=-0.05), holding(-392.0, cash=1_039_200.0), rules)
    # 39,200 * 0.0252 / 252 = 3.92 USD, once a session
    assert column(result.portfolio, "borrow_cost") == pytest.approx([3.92, 0.0])


@pytest.mark.parametrize("event", [CorporateEvent("A", "delist", 0.0, 50.0), CorporateEvent("A", "split", 1.0 / 500.0)])
def test_a_short_that_an_action_ends_pays_for_its_last_night(event):
    rules = settings("costs.borrow_rate=0.0252")
    opening = holding(-392.0, cash=1_039_200.0)
    result = run(session_inputs(1, [NAN, NAN], events=(event,)), opening, rules)
    assert column(result.portfolio, "borrow_cost") == pytest.approx([3.92, 0.0])
    assert column(result.attribution, "cost") == pytest.approx([3.92])


def test_a_split_changes_shares_but_not_value():
    event = CorporateEvent("A", "split", 2.0)
    result = run(session_inputs(1, [50.0], alpha=0.05, events=(event,)), holding())
    assert column(result.positions, "shares") == [784.0]
    row = result.portfolio.row(0, named=True)
    assert (row["nav"], row["gross_pnl"], row["turnover"]) == (1_000_000.0, 0.0, 0.0)


def opened(number, price, *events):
    """A session of five-minute bars at its first one."""
    return session_inputs(number, [price], alpha=0.05, events=events, full_session_bars=78)


def test_a_split_the_price_knows_nothing_of_is_refused_and_booked_once_the_price_shows_it():
    event = CorporateEvent("A", "split", 2.0)
    refused = run(opened(1, 101.0, event), holding())
    assert column(refused.positions, "shares") == [392.0]
    assert column(refused.portfolio, "gross_pnl") == [392.0]
    assert column(refused.events.filter(pl.col("event") == "split_refused"), "name") == ["A"]
    state = BookState.from_json(refused.state.to_json())
    assert state.refused_splits == (RefusedSplit("A", 2.0, day(1).isoformat()),)
    still = run(opened(2, 102.0), state)
    assert column(still.positions, "shares") == [392.0]
    shown = run(opened(3, 51.0), still.state)
    assert column(shown.positions, "shares") == [784.0]
    assert column(shown.portfolio, "gross_pnl") == [0.0]
    assert shown.state.refused_splits == ()
    again = run(opened(3, 51.0, event), still.state)
    assert column(again.positions, "shares") == [784.0]


def test_a_refused_split_is_forgotten_after_ten_days():
    state = replace(holding(), refused_splits=(RefusedSplit("A", 2.0, "2020-01-02"),))
    result = run(opened(1, 50.0), state)
    assert column(result.positions, "shares") == [392.0]
    assert result.state.refused_splits == ()


@pytest.mark.parametrize(
    ("event", "price"),
    [
        (CorporateEvent("A", "split", 2.0), 80.0),  # ... and +60 %
        (CorporateEvent("A", "split", 2.0), 30.0),  # ... and -40 %
        (CorporateEvent("A", "split", 2.0), NAN),
        (CorporateEvent("A", "split", 1.5), 100.0),  # ... and +50 %
        (CorporateEvent("A", "split", 0.1), 600.0),  # ... and -40 %
        (CorporateEvent("A", "split", 2.0, overnight=False), 100.0),  # told late, in the prices since its day
    ],
)
def test_a_split_that_a_move_could_hide_is_booked(event, price):
    result = run(opened(1, price, event), holding())
    assert column(result.positions, "shares") == [np.trunc(392.0 * event.value)]
    assert result.state.refused_splits == ()


def test_at_one_bar_a_session_no_price_contradicts_a_split():
    event = CorporateEvent("A", "split", 2.0)
    result = run(session_inputs(1, [100.0], alpha=0.05, events=(event,)), holding())
    assert column(result.positions, "shares") == [784.0]


def test_a_fraction_of_a_share_is_paid_out_at_the_new_price():
    event = CorporateEvent("A", "split", 1.0 / 3.0)
    result = run(session_inputs(1, [300.0], alpha=0.05, events=(event,)), holding())
    assert column(result.positions, "shares") == [130.0]
    assert column(result.portfolio, "cash") == pytest.approx([960_800 + 392 * 100 - 130 * 300])
    assert column(result.portfolio, "nav") == pytest.approx([1_000_000.0])


@pytest.mark.parametrize(("shares", "cash", "pnl"), [(392.0, 960_800.0, 196.0), (-392.0, 1_039_200.0, -196.0)])
def test_a_dividend_is_received_on_longs_and_owed_on_shorts(shares, cash, pnl):
    event = CorporateEvent("A", "dividend", 0.5)
    result = run(session_inputs(1, [100.0], alpha=np.sign(shares) * 0.05, events=(event,)), holding(shares, cash=cash))
    row = result.portfolio.row(0, named=True)
    assert row["gross_pnl"] == pytest.approx(pnl)
    assert row["nav"] == pytest.approx(1_000_000 + pnl)


def test_a_dividend_of_the_whole_price_is_a_fault_and_not_paid():
    split = CorporateEvent("A", "split", 2.0)
    for amount, paid in ((49.5, 784 * 49.5), (50.0, 0.0), (1e6, 0.0)):
        events = (split, CorporateEvent("A", "dividend", amount))
        result = run(session_inputs(1, [50.0], alpha=0.05, events=events), holding())
        assert column(result.portfolio, "gross_pnl") == pytest.approx([paid])
        assert ("dividend_refused" in column(result.events, "event")) is (paid == 0.0)


def test_a_delisting_turns_the_position_into_cash_at_the_last_price():
    event = CorporateEvent("A", "delist", 0.0)
    result = run(session_inputs(1, [NAN], names=("B",), events=(event,)), holding())
    assert result.positions.is_empty()
    row = result.portfolio.row(0, named=True)
    assert (row["cash"], row["nav"], row["gross_pnl"], row["turnover"]) == (1_000_000.0, 1_000_000.0, 0.0, 0.0)
    assert result.state.shares == {}


@pytest.mark.parametrize(
    ("shares", "pays", "pnl"), [(1_000.0, 112.5, 12_500.0), (1_000.0, 0.0, -100_000.0), (-1_000.0, 0.0, 100_000.0)]
)
def test_a_delisting_pays_what_it_says(shares, pays, pnl):
    event = CorporateEvent("A", "delist", 0.0, pays)
    result = run(
        session_inputs(1, [NAN], names=("B",), events=(event,)), holding(shares, cash=1_000_000.0 - 100.0 * shares)
    )
    row = result.portfolio.row(0, named=True)
    assert (row["gross_pnl"], row["nav"]) == (pytest.approx(pnl), pytest.approx(1_000_000.0 + pnl))
    assert nav_identity_violations(result).is_empty()


def test_a_rename_changes_the_label_only():
    result = run(session_inputs(1, [100.0], alpha=0.05, symbols=("NEW",)), holding())
    assert column(result.positions, "symbol") == ["NEW"]
    assert column(result.positions, "instrument_id") == ["A"]
    assert result.fills.is_empty()


def test_crossing_zero_is_a_sale_and_a_short():
    result = run(session_inputs(1, [100.0, 100.0], alpha=[[-0.05], [-0.05]]), holding())
    assert result.orders.select("side", "shares", "reason").rows() == [("sell", 392.0, "flip")] * 2
    assert column(result.positions, "shares") == [392.0, -392.0]


def test_participation_makes_a_fill_partial():
    rules = settings("book.participation=0.1")
    inputs = session_inputs(0, [100.0, 100.0], alpha=0.05, volume=np.array([[1e6], [1_000.0]]))
    result = run(inputs, rules=rules)
    order = result.orders.row(0, named=True)
    assert (order["shares"], order["status"], order["reason"]) == (392.0, "partial", "participation")
    assert column(result.fills, "shares") == [100.0]


def test_a_trade_is_planned_within_what_a_bar_is_expected_to_take():
    rules = settings("book.participation=0.1")
    inputs = session_inputs(0, [100.0, 100.0], alpha=0.05, average_value=np.array([400_000.0]))
    # 400,000 over two bars, a tenth of one: 20,000 USD
    assert run(inputs, rules=rules).targets.row(0, named=True)["target_weight"] == pytest.approx(0.02)


def test_a_halt_expires_the_order_and_freezes_the_position():
    inputs = session_inputs(0, [100.0, 100.0, 110.0], fill=[[100.0], [NAN], [110.0]], alpha=0.05)
    result = run(inputs)
    assert result.orders.row(0, named=True)["status"] == "expired"
    assert result.orders.row(0, named=True)["reason"] == "no_bar"
    assert column(result.targets, "reason") == ["enter", "no_price", "enter"]
    assert result.fills.is_empty()
    assert len(result.state.pending) == 1


def test_the_last_bars_order_fills_in_the_next_session():
    first = run(session_inputs(0, [100.0], alpha=0.05))
    assert first.orders.is_empty()
    order = first.state.pending[0]
    assert (order.decision_time, order.execute_by) == (bar_end(0, 0), bar_end(1, 0))
    second = run(session_inputs(1, [101.0], alpha=0.0), BookState.from_json(first.state.to_json()))
    assert second.fills.row(0, named=True)["decision_time"] == bar_end(0, 0)
    assert column(second.positions, "shares") == [392.0]
    assert column(second.orders, "session") == [day(1)]


def test_an_order_that_waits_over_a_split_is_in_new_shares():
    first = run(session_inputs(0, [100.0], alpha=0.05))
    inputs = session_inputs(1, [50.0], alpha=0.05, events=(CorporateEvent("A", "split", 2.0),))
    second = run(inputs, first.state)
    fill, order = second.fills.row(0, named=True), second.orders.row(0, named=True)
    assert (fill["shares"], order["reference_price"]) == (784.0, 50.0)


@pytest.mark.parametrize(
    ("shares", "event"), [(392.0, CorporateEvent("A", "delist", 0.0)), (-392.0, CorporateEvent("A", "split", 0.002))]
)
def test_an_order_that_a_corporate_action_leaves_nothing_of_is_cancelled_and_recorded(shares, event):
    first = run(
        session_inputs(1, [100.0], eligible=np.array([False])), holding(shares, cash=1_000_000.0 - 100.0 * shares)
    )
    assert [order.reason for order in first.state.pending] == ["left_universe"]
    second = run(session_inputs(2, [100.0], eligible=np.array([False]), events=(event,)), first.state)
    assert second.orders.select("status", "reason", "shares").rows() == [("cancelled", "corporate_action", 392.0)]
    assert second.positions.is_empty()


def test_an_order_that_closes_still_closes_after_a_split_that_rounds():
    first = run(session_inputs(1, [100.0], eligible=np.array([False])), holding(100.0, cash=990_000.0))
    split = CorporateEvent("A", "split", 1.15)  # 100 * 1.15 is 114.99999999999999
    second = run(session_inputs(2, [100.0], eligible=np.array([False]), events=(split,)), first.state)
    assert column(second.fills, "shares") == [115.0]
    assert second.positions.is_empty()


@pytest.mark.parametrize("lowered", ["book.name_cap=0.02", "book.turnover_day=0.01"])
def test_an_order_of_the_evening_that_a_lowered_limit_no_longer_allows_is_taken_back(lowered):
    inputs = session_inputs(0, [100.0], names=("A", "B"), alpha=[[0.05, 0.01]])
    first = run(inputs, rules=settings("book.turnover_day=0.03"))
    assert [order.shares for order in first.state.pending] == [392.0, 196.0]
    second = run(
        session_inputs(1, [100.0], names=("A", "B"), alpha=0.0),
        first.state,
        settings("book.turnover_day=0.03", lowered),
    )
    found = second.orders.sort("symbol").select("symbol", "status", "reason").rows()
    reason = lowered.removeprefix("book.").partition("=")[0].replace("turnover_day", "turnover_budget")
    assert found == [("A", "rejected", reason), ("B", "filled", "enter")]
    assert ("order_refused", "A") in second.events.select("event", "name").rows()


def test_a_price_that_runs_away_cannot_spend_more_turnover_than_was_set_aside():
    rules = settings("book.turnover_day=0.02")
    first = run(session_inputs(0, [100.0], alpha=0.05), rules=rules)
    assert first.state.pending[0].shares == 392.0
    second = run(session_inputs(1, [140.0], alpha=0.0), first.state, rules)
    assert second.orders.row(0, named=True)["reason"] == "turnover_budget"
    assert second.portfolio.row(0, named=True)["turnover"] == 285 * 140 / 2 / 1_000_000


def test_a_name_that_left_the_universe_is_closed():
    result = run(session_inputs(1, [100.0, 100.0], alpha=0.05, eligible=np.array([False])), holding())
    assert column(result.targets, "reason") == ["left_universe"]
    assert column(result.orders, "reason") == ["left_universe"]
    assert column(result.positions, "shares") == [392.0]
    row = result.portfolio.row(1, named=True)
    assert row["turnover"] == row["exempt_turnover"] == pytest.approx(0.0196)
    assert result.state.turnover.spent == (0.0,)


def test_a_held_name_without_any_row_stays_where_it_is():
    result = run(session_inputs(1, [50.0, 50.0], names=("B",), alpha=0.0), holding())
    assert column(result.positions, "instrument_id") == ["A", "A"]
    assert result.portfolio.row(1, named=True)["nav"] == 1_000_000.0
    assert "no_price" in column(result.targets, "reason")


def test_a_held_name_without_any_row_does_not_share_a_symbol_with_who_bears_it_now():
    inputs = session_inputs(1, [50.0, 50.0], names=("A.2",), alpha=0.05, symbols=("A",))
    result = run(inputs, holding())
    assert set(result.positions.select("instrument_id", "symbol").rows()) == {("A", "A.1"), ("A.2", "A")}


@pytest.mark.parametrize(("shares", "cash"), [(0.0, 1_000_000.0), (392.0, 960_800.0)])
def test_an_uncalibrated_signal_trades_nothing_unless_told(shares, cash):
    inputs = session_inputs(1, [100.0, 100.0], alpha=-0.05, calibrated=np.zeros((2, 1), dtype=bool))
    state = holding(shares, cash=cash)
    result = run(inputs, state)
    assert result.orders.is_empty()
    assert set(column(result.targets, "reason")) == {"uncalibrated"}
    assert run(inputs, state, settings("book.trade_uncalibrated=true")).fills.height == 1 + (shares != 0.0)


def test_a_missing_signal_opens_nothing():
    result = run(session_inputs(0, [100.0, 100.0], alpha=NAN))
    assert result.orders.is_empty()
    assert set(column(result.targets, "reason")) == {"no_signal"}
    assert column(result.targets, "expected_return") == [None, None]


def test_the_initial_build_is_spread_over_sessions():
    rules = settings("book.build_sessions=10", "book.utilisation_cap=0.2")
    result = run(session_inputs(0, [100.0, 100.0], alpha=0.05), rules=rules)
    assert column(result.targets, "target_weight") == pytest.approx([0.0196, 0.0196], rel=1e-4)


def random_sessions(count, names=("A", "B", "C"), bars=4):
    random = np.random.default_rng(5)
    price = 100.0 * np.exp(np.cumsum(random.normal(0, 0.01, (count * bars, len(names))), axis=0))
    alpha = random.normal(0, 0.02, price.shape)
    return [
        session_inputs(
            number,
            price[number * bars : (number + 1) * bars],
            names=names,
            alpha=alpha[number * bars : (number + 1) * bars],
        )
        for number in range(count)
    ]


def test_a_restart_from_any_stored_session_gives_the_same_bits():
    sessions, rules = random_sessions(5), settings("book.turnover_month=0.6", "book.risk_aversion=5")
    through, state = [], None
    for inputs in sessions:
        result = run(inputs, state, rules)
        through.append(result)
        state = result.state
    assert sum(result.fills.height for result in through) > 10
    for start in range(1, 5):
        state = BookState.from_json(through[start - 1].state.to_json())
        assert state == through[start - 1].state
        for number in range(start, 5):
            result = run(sessions[number], state, rules)
            state = result.state
            assert state.to_json() == through[number].state.to_json()
            for name in TABLES:
                assert getattr(result, name).equals(getattr(through[number], name))


def test_a_running_session_gives_the_rows_of_the_whole_one():
    whole_inputs = random_sessions(1, bars=6)[0]
    whole = run(whole_inputs)
    for bars in range(1, 6):
        part_inputs = replace(
            whole_inputs,
            decision_times=whole_inputs.decision_times[:bars],
            next_bar_end=whole_inputs.next_bar_end[:bars],
            **{
                name: getattr(whole_inputs, name)[:bars]
                for name in ("mark", "fresh", "fill_price", "fill_volume", "expected_return", "calibrated")
            },
        )
        part = run(part_inputs)
        assert not part.state.complete
        newest = part_inputs.decision_times[-1]
        for name in ("targets", "positions", "portfolio"):
            expected = getattr(whole, name).filter(pl.col("decision_time") <= newest)
            assert getattr(part, name).equals(expected)
        assert part.fills.equals(whole.fills.filter(pl.col("fill_time") <= newest))


def test_the_turnover_state_comes_back_from_the_portfolio_table():
    sessions, state, rows = random_sessions(4), None, []
    for inputs in sessions:
        result = run(inputs, state)
        state = result.state
        rows.append(result.portfolio)
    spent = {}
    for row in pl.concat(rows).sort("decision_time").iter_rows(named=True):
        spent[row["session"]] = spent.get(row["session"], 0.0) + (row["turnover"] - row["exempt_turnover"])
    assert state.turnover.spent == tuple(spent.values())
    assert all(spent.values())


def test_a_gap_between_sessions_is_refused():
    with pytest.raises(BookError, match="ends with 2026-01-05, so it cannot go on with 2026-01-07"):
        run_session(holding(), day(2), session_inputs(2, [100.0]), RULES)


def test_a_running_sessions_state_is_not_continued():
    with pytest.raises(BookError, match="from within 2026-01-05"):
        run_session(holding(complete=False), day(1), session_inputs(1, [100.0]), RULES)


def test_inputs_of_another_session_are_refused():
    with pytest.raises(BookError, match="inputs are of 2026-01-06, expected 2026-01-07"):
        run_session(None, day(2), session_inputs(1, [100.0]), RULES)


def test_a_book_without_capital_stops():
    with pytest.raises(BookError, match="NAV is"):
        run_session(holding(-392.0, cash=39_300.0), day(1), session_inputs(1, [200.0]), RULES)


def test_a_damaged_state_is_refused():
    with pytest.raises(BookError, match="not readable"):
        BookState.from_json('{"book": "tiny"}')


def test_the_last_bars_order_is_charged_to_the_session_it_fills_in():
    rules = settings("book.turnover_day=0.02", "book.name_cap=0.0396")
    # The first session's day budget is all but spent by its first order; the last bar's order has the next day's.
    inputs = session_inputs(0, [100.0, 100.0], alpha=[[0.05], [-0.05]])
    first = run(inputs, rules=rules)
    assert first.state.turnover.spent[-1] > 0.019
    assert [order.side for order in first.state.pending] == ["sell", "sell"]
    second = run(session_inputs(1, [100.0], alpha=-0.05), first.state, rules)
    assert second.state.turnover.spent[-1] > 0.019


def test_a_deep_drawdown_flattens_the_book():
    rules = settings("book.volatility_target=0.01", "book.drawdown_start=2", "book.drawdown_flat=5")
    result = run(session_inputs(1, [100.0, 100.0], alpha=0.05), holding(peak_nav=1_060_000.0), rules)
    assert column(result.orders, "reason") == ["drawdown"]
    assert result.state.shares == {}
    assert result.state.turnover.spent == (0.0,)


def test_the_peak_is_the_highest_nav_of_any_bar():
    result = run(session_inputs(1, [100.0, 101.0, 99.0], alpha=0.05), holding())
    assert result.state.peak_nav == pytest.approx(1_000_392.0)
    assert result.state.nav == pytest.approx(999_608.0)


@pytest.mark.parametrize(("hurdle", "orders"), [(0.0, True), (1.0, False)])
def test_an_edge_below_what_turnover_was_worth_in_the_session_before_leaves_the_budget_alone(hurdle, orders):
    rules = settings(f"book.turnover_hurdle={hurdle}", "book.turnover_day=0.002", "book.risk_aversion=5")
    rich, poor = [[0.05, -0.04, 0.03]], [[0.004, -0.004, 0.004]]  # both above the cost of 11 bps
    first = run(session_inputs(0, [100.0], names=("A", "B", "C"), alpha=rich), None, rules)
    state = BookState.from_json(first.state.to_json())
    assert state == first.state
    assert state.turnover_price > 0.005
    second = run(session_inputs(1, [100.0], names=("A", "B", "C"), alpha=poor), state, rules)
    assert bool(second.state.pending) is orders
    assert second.state.turnover_price <= state.turnover_price * (1.0 + 1e-6)
