from datetime import date, timedelta

import polars as pl
import pytest

from aurora_pipeline.contracts import validated
from aurora_pipeline.market.rules import Rule, judged
from aurora_pipeline.market.validation import FeedContext, validate_feed
from aurora_pipeline_tests.market.tiny import CALENDAR, daily_rows, feed_rows, moment, sessions_from, universe

DAYS = sessions_from("2025-03-03", 5)
KNOWN = moment("2025-03-05 21:30")


def context(*, future=False, symbols=None):
    return FeedContext(CALENDAR, (DAYS[0], DAYS[-1]), universe("AAA", "BBB") if symbols is None else symbols, future)


def refused(feed, rows, **options):
    """Reason by position of the row, for a feed given as dicts."""
    raw = rows if isinstance(rows, pl.DataFrame) else feed_rows(feed, rows)
    accepted, quarantine = validate_feed(feed, raw, context(**options))
    assert accepted.height + quarantine.height == raw.height, "no row is lost"
    validated("quarantine", quarantine)
    return sorted(quarantine["reason"].to_list())


DAILY = {"symbol": "AAA", "session": DAYS[0], "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 5.0}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"symbol": None}, "null_key"),
        ({"symbol": "ZZZ"}, "unknown_symbol"),
        ({"session": date(2025, 3, 8)}, "not_a_session"),
        ({"open": None}, "null_price"),
        ({"close": float("nan")}, "not_finite_price"),
        ({"high": float("inf")}, "not_finite_price"),
        ({"high": 1.7976931348623157e308}, "not_finite_price"),
        ({"volume": 2.0**63}, "wrong_volume"),
        ({"low": -9.0}, "not_positive_price"),
        ({"low": 0.0}, "not_positive_price"),
        ({"volume": -1.0}, "wrong_volume"),
        ({"volume": None}, "wrong_volume"),
        ({"high": 8.0}, "high_below_low"),
        ({"open": 8.99}, "below_low"),
        ({"close": 11.01}, "above_high"),
        ({"open": 9.0 * (1 - 1e-12)}, None),
        ({"volume": 0.0}, "moved_without_volume"),
        ({"open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0, "volume": 0.0}, None),
        ({"known_at": moment("2025-03-03 20:59")}, "known_before_event"),
        ({"known_at": moment("2025-03-03 21:00")}, None),
        ({"known_at": moment("2025-03-04 12:00")}, None),
        ({"known_at": moment("2199-03-04 12:00")}, "known_after_calendar"),
    ],
)
def test_daily_bars(change, reason):
    assert refused("daily_bars", [DAILY | change]) == ([reason] if reason else [])


def test_future_daily_bars_only_where_they_decide():
    row = DAILY | {"session": date(2025, 3, 10)}
    assert refused("daily_bars", [row]) == []
    assert refused("daily_bars", [row], future=True) == ["future_bar"]


def test_daily_bar_outside_the_symbols_interval():
    symbols = universe("AAA", valid_from=[DAYS[1]], valid_to=[DAYS[3]])
    rows = daily_rows("AAA", DAYS, [10.0] * 5)
    _, quarantine = validate_feed("daily_bars", rows, context(symbols=symbols))
    assert sorted(quarantine["session"]) == [DAYS[0], DAYS[3], DAYS[4]]
    assert set(quarantine["reason"]) == {"outside_validity"}


def test_daily_bars_are_known_at_the_close_unless_later():
    late = moment("2025-03-04 12:00")
    accepted, _ = validate_feed(
        "daily_bars", feed_rows("daily_bars", [DAILY, DAILY | {"symbol": "BBB", "known_at": late}]), context()
    )
    assert accepted["known_at"].to_list() == [CALENDAR.close(DAYS[0]), late]


def test_identical_duplicates_keep_one_different_ones_none_corrections_all():
    correction = {"known_at": moment("2025-03-04 12:00"), "close": 10.6}
    assert refused("daily_bars", [DAILY] * 3) == ["duplicate", "duplicate"]
    assert refused("daily_bars", [DAILY, DAILY | {"close": 10.6}]) == ["conflicting_duplicate"] * 2
    assert refused("daily_bars", [DAILY, DAILY | correction]) == []


@pytest.mark.parametrize(
    ("later", "reasons"),
    [
        ([{"kind": "spinoff"}, {"kind": "Split"}], ["unknown_kind"] * 2),
        ([{"amount": 0.2}, {"amount": 0.3}], ["conflicting_duplicate"] * 2),
        ([{"amount": 0.2}] * 3, ["duplicate"] * 2),
    ],
)
def test_faults_that_are_all_in_a_later_row_group(later, reasons):
    sound = {"symbol": "AAA", "ex_date": DAYS[0], "kind": "dividend", "amount": 0.1, "known_at": KNOWN}
    wrong = [sound | {"ex_date": DAYS[1]} | change for change in later]
    groups = [feed_rows("corporate_actions", rows) for rows in ([sound], wrong)]
    assert refused("corporate_actions", pl.concat(groups, rechunk=False)) == reasons


def test_a_faulty_twin_does_not_take_the_sound_row_along():
    assert refused("daily_bars", [DAILY, DAILY | {"high": 8.0}]) == ["high_below_low"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "split", "ratio": 2.0}, None),
        ({"kind": "split", "ratio": -2.0}, "wrong_ratio"),
        ({"kind": "split", "ratio": 1e9}, "wrong_ratio"),
        ({"kind": "split", "ratio": 1e-9}, "wrong_ratio"),
        ({"kind": "split", "ratio": float("nan")}, "wrong_ratio"),
        ({"kind": "split"}, "wrong_ratio"),
        ({"kind": "split", "ratio": 0.0}, "wrong_ratio"),
        ({"kind": "split", "ratio": float("inf")}, "wrong_ratio"),
        ({"kind": "dividend", "amount": 0.1}, None),
        ({"kind": "dividend"}, "wrong_amount"),
        ({"kind": "dividend", "amount": 0.0}, None),
        ({"kind": "dividend", "amount": -0.1}, "wrong_amount"),
        ({"kind": "delist"}, None),
        ({"kind": "delist", "amount": -0.1}, "wrong_amount"),
        ({"kind": "delist", "amount": float("inf")}, "wrong_amount"),
        ({"kind": "rename", "new_symbol": "BBB"}, None),
        ({"kind": "rename", "new_symbol": "ZZZ"}, "wrong_new_symbol"),
        ({"kind": "rename"}, "wrong_new_symbol"),
        ({"kind": "rename", "new_symbol": "AAA"}, "wrong_new_symbol"),
        ({"kind": "spin"}, "unknown_kind"),
        ({"kind": None}, "null_key"),
    ],
)
def test_corporate_actions(change, reason):
    row = {"symbol": "AAA", "ex_date": DAYS[4], "known_at": KNOWN} | change
    assert refused("corporate_actions", [row]) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("feed", "row", "reason"),
    [
        ("earnings", {"known_at": KNOWN, "eps_actual": 1.0}, None),
        ("earnings", {"known_at": None, "eps_actual": 1.0}, "null_key"),
        ("earnings", {"known_at": KNOWN, "eps_actual": float("inf")}, "not_finite"),
        ("earnings", {"known_at": KNOWN, "fiscal_period_end": date(2025, 3, 31)}, "known_before_event"),
        ("fundamentals", {"known_at": KNOWN, "revenue": 1e9}, None),
        ("fundamentals", {"known_at": KNOWN}, "empty_row"),
        ("fundamentals", {"known_at": KNOWN, "revenue": -1.0}, "negative_revenue"),
        ("fundamentals", {"known_at": KNOWN, "net_income": -1.0}, None),
        ("fundamentals", {"known_at": KNOWN, "shares_outstanding": -1.0}, "negative_shares_outstanding"),
        ("short_interest", {"known_at": KNOWN, "settlement_date": DAYS[0], "shares_short": 5.0}, None),
        (
            "short_interest",
            {"known_at": KNOWN, "settlement_date": DAYS[0], "shares_short": -5.0},
            "negative_shares_short",
        ),
        (
            "short_interest",
            {"known_at": KNOWN, "settlement_date": DAYS[0], "shares_short": 0.0, "avg_daily_volume": 0.0},
            None,
        ),
        (
            "short_interest",
            {"known_at": KNOWN, "settlement_date": DAYS[0], "shares_short": 5.0, "avg_daily_volume": -1.0},
            "negative_avg_daily_volume",
        ),
        ("short_interest", {"known_at": KNOWN, "settlement_date": DAYS[0]}, "null_value"),
        ("short_interest", {"known_at": KNOWN, "settlement_date": DAYS[4], "shares_short": 5.0}, "known_before_event"),
        ("etf_flows", {"known_at": KNOWN, "date": DAYS[0], "net_flow_usd": -5.0}, None),
        ("etf_flows", {"known_at": KNOWN, "date": DAYS[0], "net_flow_usd": float("nan")}, "not_finite"),
        ("etf_flows", {"known_at": KNOWN, "date": DAYS[0], "net_flow_usd": 1.0, "nav": 0.0}, "not_positive_nav"),
        *(
            (
                "etf_flows",
                {"known_at": KNOWN, "date": DAYS[0], "net_flow_usd": flow, "nav": 8.0, "shares_outstanding": 100.0},
                code,
            )
            for flow, code in (
                (-800.0, None),
                (800.0, None),
                (-801.0, "flow_beyond_assets"),
                (801.0, "flow_beyond_assets"),
            )
        ),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "iv_30d": 0.3}, None),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "iv_30d": 40.0}, "implied_volatility_out_of_range"),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "iv_put_25d": 0.001}, "implied_volatility_out_of_range"),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "iv_30d": 5.0, "iv_put_25d": 0.01, "put_volume": 0.0}, None),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "iv_30d": 5.01}, "implied_volatility_out_of_range"),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "iv_call_25d": 0.0099}, "implied_volatility_out_of_range"),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "hv_30d": -0.1}, "negative_hv_30d"),
        ("options", {"known_at": KNOWN, "date": DAYS[0], "put_volume": -1.0}, "negative_put_volume"),
        ("options", {"known_at": KNOWN, "date": DAYS[0]}, "empty_row"),
        ("options", {"known_at": moment("2025-03-03 00:00"), "date": DAYS[0], "iv_30d": 0.3}, None),
        ("borrow", {"known_at": KNOWN, "rate": None}, None),
        ("borrow", {"known_at": KNOWN, "rate": 0.0}, None),
        ("borrow", {"known_at": KNOWN, "rate": -0.1}, "negative_rate"),
        ("borrow", {"known_at": KNOWN, "rate": float("nan")}, "not_finite"),
    ],
)
def test_other_feeds(feed, row, reason):
    assert refused(feed, [{"symbol": "AAA"} | row]) == ([reason] if reason else [])


SOUND = {
    "earnings": {"known_at": KNOWN, "eps_actual": 1.0},
    "fundamentals": {"known_at": KNOWN, "revenue": 1e9},
    "short_interest": {"known_at": KNOWN, "settlement_date": DAYS[0], "shares_short": 5.0},
    "etf_flows": {"known_at": KNOWN, "date": DAYS[0], "net_flow_usd": -5.0},
    "options": {"known_at": KNOWN, "date": DAYS[0], "iv_30d": 0.3},
}


@pytest.mark.parametrize("feed", sorted(SOUND))
def test_duplicates_of_every_feed(feed):
    row = {"symbol": "AAA"} | SOUND[feed]
    value = list(row)[-1]
    assert refused(feed, [row] * 3) == ["duplicate", "duplicate"]
    assert refused(feed, [row, row | {value: row[value] * 1.1}]) == ["conflicting_duplicate"] * 2
    assert refused(feed, [row, row | {value: row[value] * 1.1, "known_at": KNOWN + timedelta(days=1)}]) == []


@pytest.mark.parametrize("feed", ["earnings", "fundamentals"])
def test_periods_reported_at_one_moment_are_facts_of_their_own(feed):
    row = {"symbol": "AAA"} | SOUND[feed]
    ends = [None, date(2024, 6, 30), date(2024, 9, 30)]
    assert refused(feed, [row | {"fiscal_period_end": end} for end in ends]) == []
    assert refused(feed, [row | {"fiscal_period_end": end} for end in (ends[1], ends[2], ends[1])]) == ["duplicate"]


@pytest.mark.parametrize("feed", sorted(SOUND))
def test_symbol_of_no_universe_in_every_feed(feed):
    assert refused(feed, [{"symbol": "ZZZ"} | SOUND[feed]]) == ["unknown_symbol"]


def filings(values, column="revenue"):
    return [
        {"symbol": "AAA", "known_at": moment("2020-01-31") + timedelta(days=91 * index), column: value}
        for index, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([1e9, 1e9, 1e9, 1e9, 1e6], 0),
        ([1e9, 1e9, 1e9, 1e9, 0.99e6], 1),
        ([1e9, 1e9, 1e9, 1e9, 1.01e12], 1),
        ([1e9, 1e9, 1e9, 1.0], 0),
        ([1.0, 1e9, 1e9, 1e9, 1e9, 1e9], 0),
    ],
)
def test_fundamental_units_against_earlier_filings_only(values, count):
    assert refused("fundamentals", filings(values)) == ["unit_error"] * count


def test_income_may_be_near_zero_but_not_a_thousand_times_too_large():
    assert refused("fundamentals", filings([1e9, -1e9, 1e9, 1e9, 5.0], "net_income")) == []
    assert refused("fundamentals", filings([1e9, -1e9, 1e9, 1e9, -2e12], "net_income")) == ["unit_error"]


@pytest.mark.parametrize(
    ("feed", "column", "usual", "wrong", "fixed"),
    [
        ("earnings", "eps_actual", 0.8, 900.0, {}),
        ("earnings", "eps_estimate", 0.001, 51.0, {}),
        ("short_interest", "shares_short", 5e6, 5.1e9, {}),
        ("short_interest", "avg_daily_volume", 1e6, 1.1e9, {"shares_short": 5e6}),
        ("etf_flows", "nav", 40.0, 0.039, {"net_flow_usd": 1.0}),
        ("etf_flows", "shares_outstanding", 1e6, 1.1e9, {"net_flow_usd": 1.0}),
        ("options", "put_volume", 3.0, 100_001.0, {}),
        ("options", "call_open_interest", 4_000.0, 4.1e6, {}),
    ],
)
def test_values_a_thousand_times_off_their_own_history(feed, column, usual, wrong, fixed):
    period = {"short_interest": "settlement_date", "etf_flows": "date", "options": "date"}.get(feed)
    rows = [
        {"symbol": name, "known_at": moment("2024-01-31") + timedelta(days=15 * index), column: value} | fixed
        for name in ("AAA", "BBB")
        for index, value in enumerate([usual] * 4 + [wrong if name == "AAA" else usual, usual])
    ]
    if period:
        rows = [row | {period: row["known_at"].date()} for row in rows]
    accepted, quarantine = validate_feed(feed, feed_rows(feed, rows), context())
    assert quarantine["reason"].to_list() == ["off_own_history"]
    assert quarantine["symbol"].to_list() == ["AAA"]
    assert column in quarantine["detail"][0]
    assert accepted.height == 11


@pytest.mark.parametrize("feed", ["earnings", "short_interest", "etf_flows", "options"])
def test_the_order_of_a_feeds_rows_changes_no_verdict(feed):
    values = {"earnings": "eps_actual", "short_interest": "shares_short", "etf_flows": "nav", "options": "put_volume"}
    period = {"short_interest": "settlement_date", "etf_flows": "date", "options": "date"}.get(feed)
    rows = []
    for index, value in enumerate([500.0, 500.0, 500.0, 500.0, 5e8, 500.0, 500.0]):
        known = moment("2024-01-31") + timedelta(days=15 * index)
        rows.append({"symbol": "AAA", "known_at": known, values[feed]: value})
        rows[-1] |= {period: known.date()} if period else {}
        rows[-1] |= {"net_flow_usd": 1.0} if feed == "etf_flows" else {}
    rows.append(rows[1])  # a duplicate
    in_order = validate_feed(feed, feed_rows(feed, rows), context())
    turned = validate_feed(feed, feed_rows(feed, rows[::-1]), context())
    assert sorted(in_order[1]["reason"]) == sorted(turned[1]["reason"]) == ["duplicate", "off_own_history"]
    assert in_order[0].sort("known_at").equals(turned[0].sort("known_at"))


def test_a_later_filing_changes_no_earlier_verdict():
    values = [1e9, 1e9, 1e9, 1e9, 1e5, 1e9, 1e5, 1e5, 1e5, 1e5]
    whole, _ = validate_feed("fundamentals", feed_rows("fundamentals", filings(values)), context())
    for count in range(1, len(values)):
        part, _ = validate_feed("fundamentals", feed_rows("fundamentals", filings(values[:count])), context())
        last = part["known_at"].max()
        assert part.equals(whole.filter(pl.col("known_at") <= last))


def test_quarantine_keeps_the_raw_row_its_session_and_a_stable_identity():
    rows = feed_rows("daily_bars", [DAILY | {"high": 8.0}, DAILY | {"high": 8.0}, DAILY])
    _, first = validate_feed("daily_bars", rows, context())
    _, again = validate_feed("daily_bars", rows.reverse(), context())
    assert first.equals(again)
    assert first["row_id"].n_unique() == 2, "equal rows are told apart"
    row = first.row(0, named=True)
    assert row["session"] == DAYS[0]
    assert '"high":8.0' in row["row"]
    assert '"known_at":null' in row["row"], "the row as the file has it"
    assert "high 8" in row["detail"]


def test_rows_outside_the_span_are_filed_under_its_edges():
    early = {"symbol": "ZZZ", "known_at": moment("2001-05-05"), "eps_actual": 1.0}
    late = early | {"known_at": moment("2026-05-05")}
    _, quarantine = validate_feed("earnings", feed_rows("earnings", [early, late]), context())
    assert sorted(quarantine["session"]) == [DAYS[0], DAYS[-1]]


def test_refused_rows_of_a_feed_that_arrived_bit_by_bit_are_quoted():
    told = [(["A"] * 40, [True] * 40), (["B"], [False]), (["C"], [False])]
    rows = pl.concat(
        [
            pl.DataFrame({"name": names, "sound": sound}).with_columns(ratio=pl.lit(None, pl.Float64))
            for names, sound in told
        ],
        rechunk=False,
    )
    rules = [
        Rule("other", pl.col("name") == "Z", "another name", ("ratio",)),
        Rule("wrong", ~pl.col("sound"), "a name", ("name",)),
    ]
    assert judged(rows, rules)["detail"].drop_nulls().to_list() == [
        "name B, expected a name",
        "name C, expected a name",
    ]
