"""Daily history as it was known, with corporate actions in the returns."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from aurora_pipeline.features.session_panel import session_panels
from aurora_pipeline_tests.features.tiny_market import (
    BENCHMARK,
    CALENDAR,
    action,
    bars_of,
    daily_of,
    make_inputs,
    stock_universe,
)

ASKED = CALENDAR.sessions(date(2025, 3, 18), date(2025, 3, 20))
HISTORY = CALENDAR.sessions(date(2025, 3, 11), date(2025, 3, 19))  # 7 sessions
CLOSES = [100.0, 110.0, 55.0, 55.0, 66.0, 66.0, 66.0]


def inputs_of(daily, asked=ASKED, bars=None, universe=None, **feeds):
    if bars is None:
        bars = pl.concat([bars_of(day, {"AAA": [66.0], BENCHMARK: [400.0]}) for day in ASKED])
    return make_inputs(
        asked, bars, daily, universe=universe if universe is not None else stock_universe(asked), **feeds
    )


def panel_of(inputs):
    groups = list(session_panels(inputs))
    assert len(groups) == 1
    return groups[0][1]


def returns(panel, symbol, rows=7):
    return panel.total_return[-rows:, panel.column(symbol)]


def test_return_of_each_session():
    panel = panel_of(inputs_of(daily_of(HISTORY, {"AAA": CLOSES})))
    assert panel.sessions[-7:] == HISTORY
    assert_allclose(returns(panel, "AAA"), [np.nan, 0.1, -0.5, 0.0, 0.2, 0.0, 0.0], atol=1e-15)


def test_split_and_dividend_enter_the_return_not_the_close():
    actions = pl.concat(
        [action("AAA", HISTORY[2], "split", ratio=2.0), action("AAA", HISTORY[4], "dividend", amount=5.0)]
    )
    panel = panel_of(inputs_of(daily_of(HISTORY, {"AAA": CLOSES}), corporate_actions=actions))
    assert_allclose(returns(panel, "AAA"), [np.nan, 0.1, 0.0, 0.0, 66.0 / 50.0 - 1.0, 0.0, 0.0], atol=1e-15)
    assert_allclose(panel.close[-7:, panel.column("AAA")], CLOSES)


def test_a_moved_split_counts_on_its_old_date_until_the_new_one_is_known():
    told_again = CALENDAR.close(ASKED[0])
    actions = pl.concat(
        [
            action("AAA", HISTORY[1], "split", ratio=2.0),
            action("AAA", HISTORY[2], "split", ratio=2.0, known_at=told_again),
        ]
    )
    before, after = session_panels(inputs_of(daily_of(HISTORY, {"AAA": CLOSES}), corporate_actions=actions))
    assert (before[0], after[0]) == (ASKED[:1], ASKED[1:])
    assert_allclose(returns(before[1], "AAA", 5), [np.nan, 1.2, -0.5, 0.0, 0.2], atol=1e-15)
    assert_allclose(returns(after[1], "AAA"), [np.nan, 0.1, 0.0, 0.0, 0.2, 0.0, 0.0], atol=1e-15)


def test_a_split_withdrawn_once_it_has_passed_starts_a_new_group():
    actions = pl.concat(
        [
            action("AAA", HISTORY[5], "split", ratio=2.0),
            action("AAA", date(2025, 3, 25), "split", ratio=2.0, known_at=CALENDAR.close(ASKED[1])),
        ]
    )
    groups = session_panels(inputs_of(daily_of(HISTORY, {"AAA": CLOSES}), corporate_actions=actions))
    assert [group for group, _ in groups] == [ASKED[:2], ASKED[2:]]
    assert [returns(panel, "AAA", 1)[0] for _, panel in groups] == [1.0, 0.0]


def test_a_dividend_on_the_day_of_a_split_is_paid_on_the_shares_after_it():
    actions = pl.concat(
        [action("AAA", HISTORY[2], "split", ratio=2.0), action("AAA", HISTORY[2], "dividend", amount=5.0)]
    )
    panel = panel_of(inputs_of(daily_of(HISTORY, {"AAA": CLOSES}), corporate_actions=actions))
    # One share at 110 became two at 55, each paid 5 with the price at 55: the old price compares at 50.
    assert_allclose(returns(panel, "AAA")[2], 55.0 / 50.0 - 1.0, atol=1e-15)


def test_return_over_a_missing_session_spans_it():
    panel = panel_of(inputs_of(daily_of(HISTORY, {"AAA": [100.0, None, 121.0, 121.0, 121.0, 121.0, 121.0]})))
    assert_allclose(returns(panel, "AAA")[:3], [np.nan, np.nan, 0.21])


def test_bars_stand_in_where_the_feed_has_no_row():
    daily = daily_of(HISTORY[:5], {"AAA": CLOSES[:5]})
    bars = pl.concat([bars_of(day, {"AAA": [60.0, 72.6]}) for day in ASKED])
    panel = panel_of(inputs_of(daily, bars=bars))
    row = panel.row(ASKED[0])
    assert panel.close[row, panel.column("AAA")] == 72.6
    assert panel.total_return[row, panel.column("AAA")] == pytest.approx(0.1)
    assert panel.bar_dollar_volume[row, panel.column("AAA")] == pytest.approx(72.6 * 200.0)


def test_correction_known_late_starts_a_new_group():
    daily = daily_of(HISTORY, {"AAA": CLOSES})
    known = CALENDAR.open(ASKED[2]) - timedelta(hours=1)
    fixed = daily.filter(pl.col("session") == HISTORY[1]).with_columns(
        pl.lit(120.0).alias("close"), pl.lit(known).cast(pl.Datetime("us", "UTC")).alias("known_at")
    )
    groups = list(session_panels(inputs_of(pl.concat([daily, fixed]))))
    assert [sessions for sessions, _ in groups] == [ASKED[:2], ASKED[2:]]
    first, second = (panel for _, panel in groups)
    row = HISTORY[1]
    assert first.total_return[first.row(row), first.column("AAA")] == pytest.approx(0.1)
    assert second.total_return[second.row(row), second.column("AAA")] == pytest.approx(0.2)


def test_split_known_after_its_ex_date_counts_from_then_on():
    known = CALENDAR.close(ASKED[0])
    late = action("AAA", HISTORY[2], "split", ratio=2.0, known_at=known)
    groups = list(session_panels(inputs_of(daily_of(HISTORY, {"AAA": CLOSES}), corporate_actions=late)))
    assert [sessions for sessions, _ in groups] == [ASKED[:1], ASKED[1:]]
    found = [panel.total_return[panel.row(HISTORY[2]), panel.column("AAA")] for _, panel in groups]
    assert found == pytest.approx([-0.5, 0.0])


def test_change_of_sector_starts_a_new_group():
    moved = pl.concat([stock_universe(ASKED[:1]), stock_universe(ASKED[1:], {"AAA": "Energy"})])
    groups = list(session_panels(inputs_of(daily_of(HISTORY, {"AAA": CLOSES}), universe=moved)))
    assert [sessions for sessions, _ in groups] == [ASKED[:1], ASKED[1:]]
    assert [panel.sectors["AAA"] for _, panel in groups] == ["Tech", "Energy"]


def test_panel_ends_with_the_session_before():
    panel = panel_of(inputs_of(daily_of(HISTORY, {"AAA": CLOSES}), asked=ASKED[:1]))
    assert panel.sessions[-1] == CALENDAR.shift(ASKED[0], -1)
