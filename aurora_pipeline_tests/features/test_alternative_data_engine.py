"""Alternative features: worked by hand, then lags, expiry, splits, fallbacks, adjustment and parity."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.features import panel_builder
from aurora_pipeline.features.alternative_data_engine import ALTERNATIVE_FEATURES, compute_alternative_features
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.panel_builder import compute_view
from aurora_pipeline.settings import Settings
from aurora_pipeline_tests.features.feed_market import (
    CALENDAR,
    CLOSES,
    SESSIONS,
    STOCKS,
    TODAY,
    VOLUMES,
    at,
    daily_bars,
    decision_rows,
    feed,
    last_value,
    market,
)
from aurora_pipeline_tests.features.test_fundamental_engine import earnings_rows, split

SHORT = {"AAA": 30.0, "BBB": 20.0, "CCC": 20.0, "DDD": 20.0}
SKEWS = {"AAA": 0.06, "BBB": 0.02, "CCC": 0.02, "DDD": 0.02}
FLOWS = [10.0] * 95 + [20.0] * 15 + [40.0] * 5
"""USD a session of the fund, the newest last; its assets are 1,000 USD."""


def short_rows() -> list[dict[str, Any]]:
    rows = []
    for settled, published, scale in (
        (date(2024, 5, 31), date(2024, 6, 11), 0.5),
        (date(2024, 6, 14), date(2024, 6, 26), 1.0),
    ):
        rows += [
            {
                "symbol": name,
                "settlement_date": settled,
                "known_at": at(published),
                "shares_short": scale * SHORT[name],
                "avg_daily_volume": 7.0,
            }
            for name in STOCKS
        ]
    return rows


def option_rows() -> list[dict[str, Any]]:
    rows = []
    for number, day in enumerate(SESSIONS[-21:-1]):
        rows += [
            {
                "symbol": name,
                "date": day,
                "known_at": at(day),
                "iv_30d": 0.3 + 0.01 * number,
                "iv_call_25d": 0.25,
                "iv_put_25d": 0.25 + SKEWS[name] + 0.01 * number,
                "put_volume": 99.0,
                "call_volume": 9.0 + 10.0 * number,
                "put_open_interest": 199.0,
                "call_open_interest": 99.0 + 10.0 * number,
            }
            for name in STOCKS
        ]
    return rows


def flow_rows() -> list[dict[str, Any]]:
    days = SESSIONS[-1 - len(FLOWS) : -1]
    return [
        {
            "symbol": "XTF",
            "date": day,
            "known_at": at(CALENDAR.shift(day, 1), 12),
            "net_flow_usd": flow,
            "shares_outstanding": 25.0,
            "nav": 40.0,
        }
        for day, flow in zip(days, FLOWS, strict=True)
    ]


def filings() -> pl.DataFrame:
    rows = [
        {
            "symbol": name,
            "known_at": at(date(2024, 5, 15)),
            "fiscal_period_end": date(2024, 3, 31),
            "shares_outstanding": 1_000.0,
        }
        for name in STOCKS
    ]
    return feed("fundamentals", rows)


def positioning(**changes: Any) -> FeatureInputs:
    announced = [row for name in STOCKS for row in earnings_rows(name)]
    for row in announced:
        if row["symbol"] != "AAA" and row["fiscal_period_end"] == date(2024, 3, 31):
            row["eps_actual"] = 1.0
    frames = {
        "short_interest": feed("short_interest", short_rows()),
        "options": feed("options", option_rows()),
        "etf_flows": feed("etf_flows", flow_rows()),
        "earnings": feed("earnings", announced),
        "fundamentals": filings(),
    }
    return market(**(frames | changes))


def computed(inputs: FeatureInputs) -> pl.DataFrame:
    return compute_alternative_features(inputs, decision_rows(inputs))


def test_short_interest_surprise_by_hand() -> None:
    settled = [date(2024, 3, 15), date(2024, 3, 28), date(2024, 4, 15), date(2024, 4, 30), date(2024, 5, 15)]
    settled += [date(2024, 5, 31), date(2024, 6, 14)]
    levels = [8.0, 16.0, 8.0, 16.0, 8.0, 16.0, 64.0]  # six that average log 8 * sqrt 2, then log 64
    rows = [
        {"symbol": "AAA", "settlement_date": day, "known_at": at(day + timedelta(days=11)), "shares_short": level}
        for day, level in zip(settled, levels, strict=True)
    ]
    value = last_value(computed(positioning(short_interest=feed("short_interest", rows))), "short_interest_surprise")
    assert value == pytest.approx(np.log(64.0) - np.log(8.0) - np.log(2.0) / 2.0, rel=1e-6)
    fewer = computed(positioning(short_interest=feed("short_interest", rows[1:])))
    assert last_value(fewer, "short_interest_surprise") is None
    assert last_value(fewer, "short_interest_change") == pytest.approx(np.log(4.0), rel=1e-6)


def announced_on(moment: datetime) -> pl.DataFrame:
    return feed(
        "earnings",
        [
            row | {"known_at": moment} if row["fiscal_period_end"] == date(2024, 3, 31) else row
            for row in earnings_rows()
        ],
    )


def test_implied_volatility_over_news_by_hand() -> None:
    """Summaries of 2024-06-06 to 07-05, 0.30 rising by 0.01 each; the announcement comes on Tuesday 06-18 in the evening.

    Markets are closed on 06-19. Known at 21:00 of the 18th: its summary, the ninth, 0.38; four days later: that of Friday
    the 21st.
    """
    days = SESSIONS[-21:-1]
    assert days[8] == date(2024, 6, 18)
    assert days[10] == date(2024, 6, 21)
    value = last_value(
        computed(positioning(earnings=announced_on(at(date(2024, 6, 18), 21)))), "implied_volatility_over_news"
    )
    assert value == pytest.approx(np.log(0.40 / 0.38), rel=1e-5)


def test_implied_volatility_over_news_is_missing_until_a_summary_follows() -> None:
    sessions = CALENDAR.sessions(date(2024, 6, 18), date(2024, 6, 24))
    inputs = positioning(sessions=sessions, earnings=announced_on(at(date(2024, 6, 18), 22)))
    features = computed(inputs).filter(pl.col("symbol") == "AAA")
    by_day = features.group_by("session", maintain_order=True).agg(pl.col("implied_volatility_over_news").unique())
    found = dict(by_day.iter_rows())
    assert found[date(2024, 6, 18)] == [None]
    assert found[date(2024, 6, 20)] == [None]
    assert found[date(2024, 6, 21)] == pytest.approx([np.log(0.39 / 0.38)])
    assert found[date(2024, 6, 24)] == pytest.approx([np.log(0.40 / 0.38)])


def size_standing() -> float:
    """AAA trades 100,000 USD a day, BBB 200,000, CCC 400,000, DDD 800,000: -1.5, -0.5, 0.5, 1.5 steps of log 2."""
    return -1.5 / np.sqrt((1.5**2 + 0.5**2) * 2 / 3)


ODD_ONE_OUT = 0.75 / np.sqrt((0.75**2 + 3 * 0.25**2) / 3)
"""Standing of one value among four of which the other three are equal."""


def by_hand() -> dict[str, float]:
    flow = 5 * 40.0
    pressure = flow / 1_000.0 * size_standing()
    return {
        "short_interest_ratio": 30.0 / 1_000.0,
        "days_to_cover": 30.0 / 1_000.0,
        "short_interest_change": np.log(2.0),
        "short_interest_missing": 0.0,
        "option_skew": (0.06 + 0.19) / 0.49,
        "option_skew_change": (0.06 + 0.19) / 0.49 - (0.06 + 0.14) / 0.44,
        "put_call_volume": np.log(100.0 / 200.0),
        "put_call_volume_change": np.log(100.0 / 200.0) - np.log(100.0 / 150.0),
        "put_call_open_interest": np.log(200.0 / 290.0),
        "put_call_open_interest_change": np.log(200.0 / 290.0) - np.log(200.0 / 240.0),
        "implied_volatility": 0.49,
        "implied_volatility_change": np.log(0.49 / 0.44),
        "volatility_spread": 0.49,
        "options_missing": 0.0,
        "sector_flow": flow / 1_000.0,
        "flow_pressure": pressure,
        "flow_to_volume_pressure": 40.0 / 200_000.0 * size_standing(),
        "flow_momentum_pressure": (40 * 10.0 + 15 * 20.0 + 5 * 40.0) / 1_000.0 * size_standing(),
        "flow_acceleration_pressure": (40.0 - 25.0) / 1_000.0 * size_standing(),
        "etf_flows_missing": 0.0,
        "surprise_times_short_interest": ODD_ONE_OUT * ODD_ONE_OUT,
        "skew_times_flow_pressure": ODD_ONE_OUT * pressure,
    }


@pytest.mark.parametrize("name", sorted(by_hand()))
def test_feature_by_hand(name: str) -> None:
    assert last_value(computed(positioning()), name) == pytest.approx(by_hand()[name], rel=1e-5)


def wavy_bars() -> pl.DataFrame:
    """Closes that alternate between 1 and 1.01 times their level, so that returns have a deviation."""
    days = pl.Series(SESSIONS)
    odd = days.filter(pl.Series(range(len(days))) % 2 == 1)
    return daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(pl.col("session").is_in(odd.implode())).then(pl.col("close") * 1.01).otherwise("close").alias("close")
    )


def test_volatility_spread_takes_off_what_was_realised() -> None:
    steps = np.array([0.01, 1 / 1.01 - 1] * 10)
    value = last_value(computed(positioning(daily_bars=wavy_bars())), "volatility_spread")
    assert value == pytest.approx(0.49 - steps.std(ddof=1) * np.sqrt(252), rel=1e-5)


def test_flow_price_divergence_by_hand() -> None:
    bars = wavy_bars()
    closes = (
        bars.filter(pl.col("symbol") == "XTF", pl.col("session") < TODAY).sort("session").get_column("close").to_numpy()
    )
    returns = closes[1:] / closes[:-1] - 1
    move = closes[-1] / closes[-6] - 1
    flow = 200.0 / (np.sqrt((15 * 20.0**2 + 5 * 40.0**2) / 20) * np.sqrt(5))
    expected = (flow - move / (returns[-60:].std(ddof=1) * np.sqrt(5))) * size_standing()
    value = last_value(computed(positioning(daily_bars=bars)), "flow_price_divergence_pressure")
    assert value == pytest.approx(expected, rel=0.01)  # sizes differ a little: volumes are constant in shares


def test_columns_and_order_are_those_of_the_rows() -> None:
    inputs = positioning()
    rows = decision_rows(inputs).sample(fraction=1.0, shuffle=True, seed=5)
    features = compute_alternative_features(inputs, rows)
    assert features.select("session", "symbol", "decision_time").equals(
        rows.select("session", "symbol", "decision_time")
    )
    assert features.columns[3:] == [spec.name for spec in ALTERNATIVE_FEATURES]
    assert set(features.dtypes[3:]) == {pl.Float32}


@pytest.mark.parametrize(
    ("absent", "flag"),
    [("short_interest", "short_interest_missing"), ("options", "options_missing"), ("etf_flows", "etf_flows_missing")],
)
def test_absent_feed_is_missing_and_flagged(absent: str, flag: str) -> None:
    features = computed(positioning(**{absent: feed(absent, [])}))
    for spec in ALTERNATIVE_FEATURES:
        column = features.get_column(spec.name)
        needs = any(name.startswith(f"{absent}.") for name in spec.columns)
        if spec.name == flag:
            assert column.to_list() == [1.0] * features.height
        elif needs:
            assert column.null_count() == features.height, spec.name
        elif spec.name in by_hand():
            assert last_value(features, spec.name) == pytest.approx(by_hand()[spec.name], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "feature", "age"),
    [("short_interest", "days_to_cover", 6), ("options", "option_skew", 5), ("etf_flows", "sector_flow", 6)],
)
def test_stale_feed_expires(name: str, feature: str, age: int) -> None:
    """The feeds stop on 2024-06-27; what came that evening is first used on 06-28, 5 sessions before 07-08."""
    sound = positioning()
    ended = {name: getattr(sound, name).filter(pl.col("known_at") < at(date(2024, 6, 28), 0))}
    for expiry, present in ((age, True), (age - 1, False)):
        settings = Settings.model_validate({"features": {f"{name}_expiry_sessions": expiry}})
        features = computed(sound.with_frames(settings=settings, **ended))
        assert (last_value(features, feature) is not None) is present, expiry


def test_none_sold_short_is_a_level_of_zero_and_no_change() -> None:
    rows = short_rows()
    for row in rows:
        if (row["symbol"], row["settlement_date"]) == ("AAA", date(2024, 6, 14)):
            row["shares_short"] = 0.0
    features = computed(positioning(short_interest=feed("short_interest", rows)))
    names = ["short_interest_ratio", "days_to_cover", "short_interest_change", "surprise_times_short_interest"]
    assert [last_value(features, name) for name in names] == [0.0, 0.0, None, None]
    assert last_value(features, "short_interest_missing") == 0.0
    peer = features.filter(pl.col("symbol") == "BBB").get_column("surprise_times_short_interest")
    assert peer.is_finite().all()


def test_publication_lag_is_respected() -> None:
    published = date(2024, 6, 26)
    sessions = CALENDAR.sessions(date(2024, 6, 14), TODAY)
    features = computed(positioning(sessions=sessions)).filter(pl.col("symbol") == "AAA")
    ratio = features.group_by("session", maintain_order=True).agg(pl.col("short_interest_ratio").unique())
    assert ratio.get_column("session").to_list() == sessions
    for day, values in ratio.iter_rows():
        assert values == pytest.approx([0.015 if day <= published else 0.03]), day


def test_publication_in_the_session_counts_from_its_moment() -> None:
    moved = feed("short_interest", short_rows()).with_columns(
        pl.when(pl.col("settlement_date") == date(2024, 6, 14))
        .then(pl.lit(at(TODAY, 15)).cast(pl.Datetime("us", "UTC")))
        .otherwise("known_at")
        .alias("known_at")
    )
    features = computed(positioning(short_interest=moved)).filter(pl.col("symbol") == "AAA")
    seen = pl.col("decision_time") >= at(TODAY, 15)
    assert features.filter(seen).get_column("short_interest_ratio").to_list() == pytest.approx([0.03] * 61)
    assert features.filter(~seen).get_column("short_interest_ratio").to_list() == pytest.approx([0.015] * 17)


def test_restated_publication_replaces_from_its_own_moment() -> None:
    rows = short_rows()
    rows.append(rows[4] | {"known_at": at(TODAY, 16), "shares_short": 60.0})
    features = computed(positioning(short_interest=feed("short_interest", rows))).filter(pl.col("symbol") == "AAA")
    seen = pl.col("decision_time") >= at(TODAY, 16)
    assert features.filter(~seen).get_column("short_interest_change").to_list() == pytest.approx([np.log(2.0)] * 29)
    assert features.filter(seen).get_column("short_interest_change").to_list() == pytest.approx([np.log(4.0)] * 49)


def test_split_between_settlement_and_today_changes_no_value() -> None:
    ex_date = date(2024, 6, 10)  # between the two settlements; filing and first settlement lie before it
    rows = short_rows()
    for row in rows:
        if row["symbol"] == "AAA" and row["settlement_date"] > ex_date:
            row["shares_short"] *= 2.0
    own = pl.col("symbol") == "AAA"
    bars = daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(own, pl.col("session") >= ex_date).then(pl.col("close") / 2).otherwise("close").alias("close"),
        pl.when(own, pl.col("session") >= ex_date).then(pl.col("volume") * 2).otherwise("volume").alias("volume"),
    )
    features = computed(
        positioning(short_interest=feed("short_interest", rows), daily_bars=bars, corporate_actions=split(ex_date))
    )
    for name in ("short_interest_ratio", "days_to_cover", "short_interest_change", "flow_pressure"):
        assert last_value(features, name) == pytest.approx(by_hand()[name], rel=1e-5), name


def test_adjusted_bars_use_the_published_volume() -> None:
    features = computed(positioning(manifest={"price_adjustment": "split"}))
    assert last_value(features, "days_to_cover") == pytest.approx(30.0 / 7.0)
    assert last_value(features, "short_interest_ratio") is None


def test_columns_that_are_not_point_in_time_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_builder, "decision_rows", decision_rows)  # this market has daily bars only
    barred = "fundamentals.shares_outstanding"
    features = compute_view("alternative", positioning(manifest={"not_point_in_time": [barred]}))
    for spec in ALTERNATIVE_FEATURES:
        if spec.name in by_hand():
            assert (last_value(features, spec.name) is None) is (barred in spec.columns), spec.name


def test_funds_without_published_assets_still_have_flows_over_volume() -> None:
    flows = feed("etf_flows", [row | {"nav": None, "shares_outstanding": None} for row in flow_rows()])
    features = computed(positioning(etf_flows=flows))
    assert last_value(features, "flow_pressure") is None
    assert last_value(features, "flow_to_volume_pressure") == pytest.approx(
        by_hand()["flow_to_volume_pressure"], rel=1e-5
    )


def test_sector_without_a_fund_has_no_flow() -> None:
    features = computed(positioning(manifest={"sector_etfs": {}}))
    assert last_value(features, "sector_flow") is None
    assert last_value(features, "etf_flows_missing") == 1.0
    assert last_value(features, "option_skew") == pytest.approx(by_hand()["option_skew"])


def test_a_missing_flow_leaves_the_sum_missing() -> None:
    rows = [row for row in flow_rows() if row["date"] not in SESSIONS[-6:-3]]
    assert last_value(computed(positioning(etf_flows=feed("etf_flows", rows))), "sector_flow") == pytest.approx(0.14)
    sparse = [row for row in flow_rows() if row["date"] not in SESSIONS[-12:-3]]
    assert last_value(computed(positioning(etf_flows=feed("etf_flows", sparse))), "sector_flow") is None


def test_rows_known_later_change_nothing_before() -> None:
    sessions = CALENDAR.sessions(date(2024, 6, 24), TODAY)
    cut = at(date(2024, 7, 1), 16)
    sound = positioning(sessions=sessions)

    def garbage(frame: pl.DataFrame) -> pl.DataFrame:
        numbers = [name for name, kind in frame.schema.items() if kind == pl.Float64]
        late = pl.col("known_at") > cut
        changed = frame.with_columns(
            pl.when(late).then(pl.col(name) * 5.0 + 2.0).otherwise(name).alias(name) for name in numbers
        )
        restated = frame.filter(~late).with_columns(
            (pl.lit(cut) + pl.duration(minutes=1)).cast(frame.schema["known_at"]).alias("known_at"),
            *(pl.col(name) * 7.0 + 3.0 for name in numbers),
        )
        return pl.concat([changed, restated])

    names = ("short_interest", "options", "etf_flows", "earnings", "fundamentals")
    bars = sound.daily_bars.with_columns(
        pl.when(pl.col("session") >= date(2024, 7, 1))
        .then(pl.col("volume") * 9.0 + 1e5)
        .otherwise("volume")
        .alias("volume")
    )
    poisoned = sound.with_frames(**{name: garbage(getattr(sound, name)) for name in names}, daily_bars=bars)
    upto = pl.col("decision_time") <= cut
    before, after = computed(sound), computed(poisoned)
    assert before.filter(upto).equals(after.filter(upto))
    later = after.filter(~upto)
    for name in ("short_interest_ratio", "option_skew", "flow_pressure", "surprise_times_short_interest"):
        assert not before.filter(~upto).get_column(name).equals(later.get_column(name)), name


def test_one_session_alone_equals_the_range() -> None:
    sessions = CALENDAR.sessions(date(2024, 6, 17), TODAY)
    whole = computed(positioning(sessions=sessions, daily_bars=wavy_bars()))
    for day in sessions:
        alone = computed(positioning(sessions=[day], daily_bars=wavy_bars()))
        assert alone.equals(whole.filter(pl.col("session") == day)), day


def test_rows_asked_for_together_do_not_matter() -> None:
    inputs = positioning(daily_bars=wavy_bars())
    whole = computed(inputs)
    newest = decision_rows(inputs, ["AAA", "CCC"]).filter(pl.col("decision_time") == at(TODAY, 18))
    alone = compute_alternative_features(inputs, newest)
    chosen = whole.filter(pl.col("decision_time") == at(TODAY, 18), pl.col("symbol").is_in(["AAA", "CCC"]))
    assert alone.equals(chosen)


@pytest.mark.parametrize("factor", [4.0, 0.37])
def test_scale_of_the_share_changes_nothing(factor: float) -> None:
    plain = positioning(daily_bars=wavy_bars())
    own = pl.col("symbol").is_in(["AAA", "XTF"])

    def scaled(frame: pl.DataFrame, up: tuple[str, ...], down: tuple[str, ...]) -> pl.DataFrame:
        return frame.with_columns(
            *(pl.when(own).then(pl.col(name) * factor).otherwise(name).alias(name) for name in up),
            *(pl.when(own).then(pl.col(name) / factor).otherwise(name).alias(name) for name in down),
        )

    other = plain.with_frames(
        daily_bars=scaled(plain.daily_bars, ("open", "high", "low", "close"), ("volume",)),
        short_interest=scaled(plain.short_interest, (), ("shares_short", "avg_daily_volume")),
        earnings=scaled(plain.earnings, ("eps_estimate", "eps_actual"), ()),
        fundamentals=scaled(plain.fundamentals, (), ("shares_outstanding",)),
        etf_flows=scaled(plain.etf_flows, ("nav",), ("shares_outstanding",)),
    )
    one, two = computed(plain), computed(other)
    for spec in ALTERNATIVE_FEATURES:
        expected, found = last_value(one, spec.name), last_value(two, spec.name)
        assert found == (None if expected is None else pytest.approx(expected, rel=1e-5, abs=1e-9)), spec.name


def test_no_rows_give_no_rows() -> None:
    inputs = positioning()
    assert compute_alternative_features(inputs, decision_rows(inputs).clear()).height == 0


def test_split_after_the_newest_settlement_changes_no_value() -> None:
    ex_date = date(2024, 6, 20)
    own, since = pl.col("symbol") == "AAA", pl.col("session") >= ex_date
    bars = daily_bars(CLOSES, VOLUMES).with_columns(
        pl.when(own, since).then(pl.col("close") / 2).otherwise("close").alias("close"),
        pl.when(own, since).then(pl.col("volume") * 2).otherwise("volume").alias("volume"),
    )
    features = computed(positioning(daily_bars=bars, corporate_actions=split(ex_date)))
    for name in ("short_interest_ratio", "days_to_cover", "short_interest_change"):
        assert last_value(features, name) == pytest.approx(by_hand()[name], rel=1e-5), name


def test_change_needs_the_publication_before() -> None:
    rows = short_rows()
    for row in rows[:4]:
        row["settlement_date"] = date(2024, 5, 15)
    features = computed(positioning(short_interest=feed("short_interest", rows)))
    assert last_value(features, "short_interest_change") is None
    assert last_value(features, "short_interest_ratio") == pytest.approx(0.03)


def test_change_needs_a_summary_of_the_week_before() -> None:
    rows = [row for row in option_rows() if row["date"] not in SESSIONS[-11:-3]]
    features = computed(positioning(options=feed("options", rows)))
    assert last_value(features, "option_skew_change") is None
    assert last_value(features, "option_skew") == pytest.approx(by_hand()["option_skew"])


def test_shares_of_an_expired_filing_are_not_used() -> None:
    settings = Settings.model_validate({"features": {"fundamentals_expiry_sessions": 20}})
    features = computed(positioning(settings=settings))
    assert last_value(features, "short_interest_ratio") is None
    assert last_value(features, "days_to_cover") == pytest.approx(0.03)
