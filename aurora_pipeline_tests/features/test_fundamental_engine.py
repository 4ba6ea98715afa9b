"""Fundamental features: worked by hand, then restatements, expiry, lags, splits, adjustment and parity."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.features import panel_builder
from aurora_pipeline.features.earnings_surprise import surprise_streak
from aurora_pipeline.features.fundamental_engine import FUNDAMENTAL_FEATURES, compute_fundamental_features
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.panel_builder import compute_view
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.features.feed_market import (
    CALENDAR,
    CLOSES,
    TODAY,
    VOLUMES,
    at,
    daily_bars,
    decision_rows,
    feed,
    last_value,
    market,
)

QUARTERS = [date(2021, 3, 31), date(2021, 6, 30), date(2021, 9, 30), date(2021, 12, 31)]
QUARTERS += [day.replace(year=2022) for day in QUARTERS] + [day.replace(year=2023) for day in QUARTERS]
QUARTERS += [date(2024, 3, 31)]
SURPRISES = [0.1, -0.1, 0.3, -0.3, 0.1, -0.1, 0.3, -0.3, 0.1, -0.1, 0.3, -0.3, 0.5]
"""The eight before the last have mean 0 and sample deviation sqrt(0.4 / 7)."""
FADE = 0.5 ** (42 / 20)
"""The last announcement, on 2024-05-05, a Sunday, is first used on 05-06, 42 sessions before 07-08."""


def earnings_rows(symbol: str = "AAA") -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "known_at": at(end + timedelta(days=35)),
            "fiscal_period_end": end,
            "eps_estimate": 1.0,
            "eps_actual": 1.0 + surprise,
        }
        for end, surprise in zip(QUARTERS, SURPRISES, strict=True)
    ]


def filing_rows(symbol: str = "AAA") -> list[dict[str, Any]]:
    rows = []
    for number, end in enumerate(QUARTERS[-6:]):
        rows.append(
            {
                "symbol": symbol,
                "known_at": at(end + timedelta(days=45)),
                "fiscal_period_end": end,
                "revenue": 100.0 + 10.0 * number,
                "gross_profit": 40.0 + number,
                "operating_income": 20.0 + number,
                "net_income": 10.0 + number,
                "total_assets": 1_000.0 + 100.0 * number,
                "total_debt": 300.0,
                "stockholders_equity": 500.0,
                "operating_cash_flow": 12.0 + number,
                "capital_expenditure": 4.0,
                "shares_outstanding": 10.0 + number,
            }
        )
    return rows


def reports(**changes: Any) -> FeatureInputs:
    return market(
        **(
            {"earnings": feed("earnings", earnings_rows()), "fundamentals": feed("fundamentals", filing_rows())}
            | changes
        )
    )


def computed(inputs: FeatureInputs) -> pl.DataFrame:
    return compute_fundamental_features(inputs, decision_rows(inputs))


def by_hand() -> dict[str, float]:
    """Filed on 2024-05-15."""
    own = np.sqrt(0.4 / 7)
    market_value = 15.0 * 100.0
    return {
        "surprise_to_price_decayed": 0.5 / 100.0 * FADE,
        "standardised_surprise_decayed": 0.5 / own * FADE,
        "surprise_streak": 1.0,
        "announcement_return": 0.0,
        "sessions_since_announcement": 42.0,
        "announcement_missing": 0.0,
        "earnings_yield": (12 + 13 + 14 + 15) / market_value,
        "book_yield": 500.0 / market_value,
        "free_cash_flow_yield": (14 + 15 + 16 + 17 - 16) / market_value,
        "gross_profitability": (42 + 43 + 44 + 45) / 1_500.0,
        "gross_profitability_quarter": 45.0 / 1_500.0,
        "operating_profitability": (22 + 23 + 24 + 25) / 1_500.0,
        "return_on_equity": (12 + 13 + 14 + 15) / 500.0,
        "return_on_assets": (12 + 13 + 14 + 15) / 1_500.0,
        "revenue_growth": 150.0 / 110.0 - 1.0,
        "revenue_growth_acceleration": 150.0 / 110.0 - 140.0 / 100.0,
        "gross_margin": (42 + 43 + 44 + 45) / (120 + 130 + 140 + 150),
        "net_margin": (12 + 13 + 14 + 15) / (120 + 130 + 140 + 150),
        "gross_margin_change": 45 / 150 - 41 / 110,
        "operating_margin_change": 25 / 150 - 21 / 110,
        "asset_growth": 1_500.0 / 1_100.0 - 1.0,
        "accruals": -8.0 / 1_500.0,
        "leverage": 300.0 / 1_500.0,
        "share_issuance": round(float(np.log(15.0 / 11.0)), 4),
        "turnover_20": 1_000.0 / 15.0,
        "filing_missing": 0.0,
    }


@pytest.mark.parametrize("name", sorted(by_hand()))
def test_feature_by_hand(name: str) -> None:
    assert last_value(computed(reports()), name) == pytest.approx(by_hand()[name], rel=1e-6, abs=1e-12)


def test_seasonal_surprise_by_hand() -> None:
    rows = earnings_rows()
    # Changes over a year: 1 in the newest quarter, then 1, -1, 1, -1, 1, -1, 1, -1 going back.
    actual = [4.0, 4.0, 4.0, 4.0]
    for change in (-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0):
        actual.append(actual[len(actual) - 4] + change)
    for row, value in zip(rows, actual, strict=True):
        row["eps_actual"] = value
    value = last_value(computed(reports(earnings=feed("earnings", rows))), "seasonal_surprise_decayed")
    assert value == pytest.approx(1.0 / np.sqrt(8 / 7) * 0.5 ** (42 / 20), rel=1e-6)


@pytest.mark.parametrize(
    ("surprises", "streak"),
    [
        ([0.5, 0.1, 0.2, -0.1], 3.0),
        ([-0.5, -0.1, np.nan, -0.1], -2.0),
        ([0.0, 0.1, 0.1, 0.1], 0.0),
        ([0.1, 0.0, 0.1, 0.1], 1.0),
    ],
)
def test_streak_ends_where_the_side_changes_or_is_not_known(surprises: list[float], streak: float) -> None:
    assert surprise_streak(np.array([surprises])).tolist() == [streak]
    assert np.isnan(surprise_streak(np.array([[np.nan, *surprises]]))).all()


def shocked_bars() -> pl.DataFrame:
    """AAA rises by 10 % on 2024-05-06 and by another 10 % on 05-07."""
    steps = (pl.col("session") >= date(2024, 5, 6)).cast(pl.Int64) + (pl.col("session") >= date(2024, 5, 7))
    return daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(pl.col("symbol") == "AAA").then(pl.col("close") * 1.1**steps).otherwise("close").alias("close")
    )


@pytest.mark.parametrize(
    ("moment", "total"),
    [
        (at(date(2024, 5, 5)), 0.2),  # on the Sunday: 05-06 and 05-07 react
        (at(date(2024, 5, 6), 12), 0.2),  # before the open
        (at(date(2024, 5, 6), 17), 0.2),  # in the session
        (at(date(2024, 5, 6), 21), 0.1),  # after the close: 05-07 and 05-08
        (at(date(2024, 5, 7), 21), 0.0),
    ],
)
def test_announcement_return_is_of_the_two_sessions_that_can_react(moment: datetime, total: float) -> None:
    rows = earnings_rows()
    rows[-1]["known_at"] = moment
    features = computed(reports(earnings=feed("earnings", rows), daily_bars=shocked_bars()))
    # Four other names stood still: their mean takes a fifth of the move.
    assert last_value(features, "announcement_return") == pytest.approx(total * 0.8, abs=1e-7)


def test_announcement_return_waits_for_both_sessions() -> None:
    sessions = CALENDAR.sessions(date(2024, 5, 6), date(2024, 5, 9))
    features = computed(reports(sessions=sessions, daily_bars=shocked_bars())).filter(pl.col("symbol") == "AAA")
    by_day = features.group_by("session", maintain_order=True).agg(pl.col("announcement_return").unique())
    values = [value for (value,) in by_day.get_column("announcement_return")]
    assert values[:2] == [None, None]
    assert values[2:] == pytest.approx([0.16, 0.16])


def test_columns_and_order_are_those_of_the_rows() -> None:
    inputs = reports()
    rows = decision_rows(inputs).sample(fraction=1.0, shuffle=True, seed=3)
    features = compute_fundamental_features(inputs, rows)
    assert features.select("session", "symbol", "decision_time").equals(
        rows.select("session", "symbol", "decision_time")
    )
    assert features.columns[3:] == [spec.name for spec in FUNDAMENTAL_FEATURES]
    assert set(features.dtypes[3:]) == {pl.Float32}


def test_stock_without_reports_is_missing_and_flagged() -> None:
    other = computed(reports()).filter(pl.col("symbol") == "BBB")
    for spec in FUNDAMENTAL_FEATURES:
        column = other.get_column(spec.name)
        if spec.unit == "flag":
            assert column.to_list() == [1.0] * other.height
        else:
            assert column.null_count() == other.height


def test_announcement_counts_from_its_moment_on() -> None:
    rows = earnings_rows()
    rows[-1]["known_at"] = at(TODAY, 15)  # 15:00 UTC: 11:00 in New York
    features = computed(reports(earnings=feed("earnings", rows))).filter(pl.col("symbol") == "AAA")
    before = features.filter(pl.col("decision_time") < at(TODAY, 15)).get_column("surprise_to_price_decayed")
    after = features.filter(pl.col("decision_time") >= at(TODAY, 15)).get_column("surprise_to_price_decayed")
    assert before.null_count() == before.len() == 17  # the announcement of 2024-02-04 has expired: 106 sessions
    assert after.to_list() == pytest.approx([0.005] * 61)


def test_restatement_replaces_from_its_own_moment_and_keeps_the_age() -> None:
    rows = filing_rows()
    rows.append(rows[-1] | {"known_at": at(TODAY, 15), "gross_profit": 60.0})
    rows.append(rows[-3] | {"known_at": at(TODAY, 17), "gross_profit": 1.0})  # an older quarter, later still
    features = computed(reports(fundamentals=feed("fundamentals", rows))).filter(pl.col("symbol") == "AAA")

    def value(name: str, hour: int) -> float:
        return float(features.filter(pl.col("decision_time") == at(TODAY, hour)).get_column(name)[0])

    assert value("gross_profitability_quarter", 14) == pytest.approx(45 / 1_500)
    assert value("gross_profitability_quarter", 15) == pytest.approx(60 / 1_500)
    assert value("gross_profitability_quarter", 18) == pytest.approx(60 / 1_500)
    assert value("gross_profitability", 14) == pytest.approx(174 / 1_500)
    assert value("gross_profitability", 16) == pytest.approx(189 / 1_500)
    assert value("gross_profitability", 18) == pytest.approx((189 - 44 + 1) / 1_500)


def test_restated_announcement_does_not_start_a_new_drift() -> None:
    rows = earnings_rows()
    rows.append(rows[-1] | {"known_at": at(CALENDAR.shift(TODAY, -1)), "eps_actual": 1.4})
    features = computed(reports(earnings=feed("earnings", rows)))
    assert last_value(features, "surprise_to_price_decayed") == pytest.approx(0.004 * FADE)
    assert last_value(features, "sessions_since_announcement") == 42.0


@pytest.mark.parametrize(("expiry", "present"), [(42, True), (41, False)])
def test_expiry(expiry: int, present: bool) -> None:
    settings = Settings.model_validate({"features": {"earnings_expiry_sessions": expiry}})
    features = computed(reports(settings=settings))
    assert (last_value(features, "surprise_to_price_decayed") is not None) is present
    assert last_value(features, "announcement_missing") == (0.0 if present else 1.0)
    assert last_value(features, "book_yield") is not None


def test_gap_in_the_quarters_leaves_sums_missing() -> None:
    rows = [row for row in filing_rows() if row["fiscal_period_end"] != date(2023, 9, 30)]
    features = computed(reports(fundamentals=feed("fundamentals", rows)))
    assert last_value(features, "gross_profitability") is None
    assert last_value(features, "gross_profitability_quarter") == pytest.approx(0.03)
    assert last_value(features, "revenue_growth") == pytest.approx(150.0 / 110.0 - 1.0)


def split(day: date, ratio: float = 2.0, **changes: Any) -> pl.DataFrame:
    row = {"symbol": "AAA", "ex_date": day, "kind": "split", "known_at": at(date(2024, 4, 1)), "ratio": ratio}
    return feed("corporate_actions", [row | changes])


def test_split_after_the_filing_changes_no_value() -> None:
    ex_date = date(2024, 6, 3)
    halved = daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(pl.col("symbol") == "AAA", pl.col("session") >= ex_date)
        .then(pl.col("close") / 2)
        .otherwise("close")
        .alias("close")
    )
    features = computed(reports(daily_bars=halved, corporate_actions=split(ex_date)))
    for name in ("surprise_to_price_decayed", "standardised_surprise_decayed", "book_yield", "share_issuance"):
        assert last_value(features, name) == pytest.approx(by_hand()[name], rel=1e-6), name


def test_split_between_reports_puts_them_on_one_basis() -> None:
    ex_date = date(2024, 4, 15)  # before the last announcement and filing, after all others
    after = date(2024, 4, 30)
    announced, filed = earnings_rows(), filing_rows()
    announced[-1] |= {"eps_estimate": 0.5, "eps_actual": 0.75}
    filed[-1]["shares_outstanding"] = 30.0
    assert announced[-2]["known_at"] < at(ex_date) < at(after) < announced[-1]["known_at"]
    halved = daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(pl.col("symbol") == "AAA", pl.col("session") >= ex_date)
        .then(pl.col("close") / 2)
        .otherwise("close")
        .alias("close")
    )
    features = computed(
        reports(
            earnings=feed("earnings", announced),
            fundamentals=feed("fundamentals", filed),
            daily_bars=halved,
            corporate_actions=split(ex_date),
        )
    )
    for name in (
        "surprise_to_price_decayed",
        "standardised_surprise_decayed",
        "earnings_yield",
        "share_issuance",
    ):
        assert last_value(features, name) == pytest.approx(by_hand()[name], rel=1e-6), name


def test_split_not_yet_known_does_not_count() -> None:
    late = split(date(2024, 6, 3), known_at=at(TODAY + timedelta(days=3)))
    assert last_value(computed(reports(corporate_actions=late)), "book_yield") == pytest.approx(500 / 1_500)


def test_rebased_earnings_with_raw_prices_are_used_only_against_their_own_history() -> None:
    rebased = {"rebased_for_later_splits": ["earnings.eps_estimate", "earnings.eps_actual"]}
    features = computed(reports(manifest=rebased, corporate_actions=split(date(2024, 3, 1))))
    assert last_value(features, "surprise_to_price_decayed") is None
    expected = by_hand()["standardised_surprise_decayed"]
    assert last_value(features, "standardised_surprise_decayed") == pytest.approx(expected, rel=1e-6)
    equally = computed(reports(manifest=rebased | {"price_adjustment": "split"}))
    assert last_value(equally, "surprise_to_price_decayed") == pytest.approx(0.005 * FADE)


def test_adjusted_prices_do_not_meet_reported_shares() -> None:
    features = computed(reports(manifest={"price_adjustment": "split"}))
    for name in ("earnings_yield", "book_yield", "free_cash_flow_yield", "turnover_20", "surprise_to_price_decayed"):
        assert last_value(features, name) is None
    assert last_value(features, "return_on_equity") is not None


def test_columns_that_are_not_point_in_time_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_builder, "decision_rows", decision_rows)  # this market has daily bars only
    barred = "fundamentals.shares_outstanding"
    features = compute_view("fundamental", reports(manifest={"not_point_in_time": [barred]}))
    for name in by_hand():
        spec = next(spec for spec in FUNDAMENTAL_FEATURES if spec.name == name)
        assert (last_value(features, name) is None) is (barred in spec.columns), name


def test_rows_known_later_change_nothing_before() -> None:
    sessions = CALENDAR.sessions(date(2024, 6, 24), TODAY)
    cut = at(date(2024, 7, 1), 16)
    sound = reports(sessions=sessions)

    def garbage(frame: pl.DataFrame) -> pl.DataFrame:
        numbers = [name for name, kind in frame.schema.items() if kind == pl.Float64]
        moved = frame.with_columns(
            (pl.lit(cut) + pl.duration(minutes=1)).cast(frame.schema["known_at"]).alias("known_at"),
            *(pl.col(name) * 7.0 + 3.0 for name in numbers),
        )
        return pl.concat([frame, moved])

    late_bars = sound.daily_bars.with_columns(
        pl.when(pl.col("session") >= date(2024, 7, 1)).then(pl.col("close") * 9.0).otherwise("close").alias("close")
    )
    poisoned = sound.with_frames(
        earnings=garbage(sound.earnings), fundamentals=garbage(sound.fundamentals), daily_bars=late_bars
    )
    upto = pl.col("decision_time") <= cut
    before, after = computed(sound), computed(poisoned)
    assert before.filter(upto).equals(after.filter(upto))
    assert not before.filter(~upto).equals(after.filter(~upto))


def test_one_session_alone_equals_the_range() -> None:
    sessions = CALENDAR.sessions(date(2024, 4, 29), date(2024, 5, 20))
    whole = computed(reports(sessions=sessions))
    for day in sessions:
        alone = computed(reports(sessions=[day]))
        assert alone.equals(whole.filter(pl.col("session") == day)), day


def test_up_to_the_newest_bar_equals_the_whole_session() -> None:
    rows = earnings_rows()
    rows[-1]["known_at"] = at(TODAY, 15)
    inputs = reports(earnings=feed("earnings", rows))
    whole = computed(inputs)
    for moment in (at(TODAY, 14), at(TODAY, 15), at(TODAY, 20)):
        newest = decision_rows(inputs).filter(pl.col("decision_time") == moment)
        assert compute_fundamental_features(inputs, newest).equals(whole.filter(pl.col("decision_time") == moment))


@pytest.mark.parametrize("factor", [4.0, 0.37])
def test_scale_of_the_share_changes_nothing(factor: float) -> None:
    plain = reports()
    per_share = (pl.col("eps_estimate") * factor, pl.col("eps_actual") * factor)
    scaled = plain.with_frames(
        earnings=plain.earnings.with_columns(*per_share),
        fundamentals=plain.fundamentals.with_columns(pl.col("shares_outstanding") / factor),
        daily_bars=plain.daily_bars.with_columns(
            *(pl.col(name) * factor for name in ("open", "high", "low", "close")), pl.col("volume") / factor
        ),
    )
    one, other = computed(plain), computed(scaled)
    for spec in FUNDAMENTAL_FEATURES:
        expected, found = last_value(one, spec.name), last_value(other, spec.name)
        assert found == (None if expected is None else pytest.approx(expected, rel=1e-5, abs=1e-9)), spec.name


def test_no_rows_give_no_rows() -> None:
    inputs = reports()
    features = compute_fundamental_features(inputs, decision_rows(inputs).clear())
    assert features.height == 0
    assert features.columns[3:] == [spec.name for spec in FUNDAMENTAL_FEATURES]


@pytest.mark.parametrize(("frequency", "close"), [("5min", 100.0), ("session", 200.0)])
def test_newest_close_is_of_the_session_only_at_its_end(frequency: str, close: float) -> None:
    doubled = daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(pl.col("session") == TODAY).then(pl.col("close") * 2.0).otherwise("close").alias("close")
    )
    features = computed(reports(manifest={"frequency": frequency}, daily_bars=doubled))
    assert last_value(features, "book_yield") == pytest.approx(500.0 / (15.0 * close))


def test_announcement_on_the_ex_date_is_set_against_the_price_on_its_own_basis() -> None:
    ex_date = date(2024, 5, 6)
    rows = earnings_rows()
    rows[-1] |= {"known_at": at(ex_date, 12), "eps_estimate": 0.5, "eps_actual": 0.75}
    features = computed(reports(earnings=feed("earnings", rows), corporate_actions=split(ex_date)))
    assert last_value(features, "surprise_to_price_decayed") == pytest.approx(0.25 / 50.0 * FADE)


def test_price_before_the_announcement_is_untouched_by_it() -> None:
    rows = earnings_rows()
    rows[-1]["known_at"] = at(date(2024, 5, 7), 12)
    moved = daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(pl.col("session") >= date(2024, 5, 7)).then(pl.col("close") * 3.0).otherwise("close").alias("close")
    )
    features = computed(reports(earnings=feed("earnings", rows), daily_bars=moved))
    assert last_value(features, "surprise_to_price_decayed") == pytest.approx(0.5 / 100.0 * 0.5 ** (41 / 20))


def test_growth_needs_the_same_quarter_of_the_year_before() -> None:
    rows = [row for row in filing_rows() if row["fiscal_period_end"] != date(2023, 3, 31)]
    features = computed(reports(fundamentals=feed("fundamentals", rows)))
    assert last_value(features, "revenue_growth") is None
    assert last_value(features, "return_on_assets") == pytest.approx(by_hand()["return_on_assets"])
