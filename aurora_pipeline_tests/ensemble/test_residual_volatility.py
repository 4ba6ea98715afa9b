from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP, session_calendar
from aurora_pipeline.ensemble.residual_volatility import bars_per_session, residual_volatility
from aurora_pipeline.settings import CalibrationSettings

CALENDAR = session_calendar()
DAYS = CALENDAR.sessions(date(2025, 1, 2), date(2025, 3, 31))
OPENS = {day: CALENDAR.open(day) for day in DAYS}
SPAN = 3.0  # decay 0.5, window 12


def session_returns(values: list[float], symbol: str = "A", instrument: str | None = None) -> pl.DataFrame:
    closes = [CALENDAR.close(day) for day in DAYS[: len(values)]]
    return pl.DataFrame(
        {
            "symbol": symbol,
            "instrument_id": instrument or symbol,
            "session": DAYS[: len(values)],
            "bar_end": pl.Series(closes, dtype=TIMESTAMP),
            "known_at": pl.Series(closes, dtype=TIMESTAMP),
            "residual_return": values,
        }
    )


def forecast(frame: pl.DataFrame, day: int, horizon: int = 1, span: float = SPAN) -> float:
    found = residual_volatility([DAYS[day]], OPENS, frame, span, horizon)
    assert found.height == 1
    return float(found.get_column("volatility")[0])


def test_it_is_the_weighted_mean_variance_of_the_sessions_before() -> None:
    frame = session_returns([0.01, 0.02, 0.03, 0.04, 0.05, 9.0])
    squares = np.array([0.05, 0.04, 0.03, 0.02, 0.01]) ** 2
    weights = 0.5 ** np.arange(5)
    assert forecast(frame, 5) == pytest.approx(np.sqrt((squares * weights).sum() / weights.sum()), rel=1e-14)


def test_it_scales_with_the_horizon_in_bars() -> None:
    frame = session_returns([0.02] * 8)
    assert forecast(frame, 7, horizon=4) == pytest.approx(0.04)


def test_intraday_squares_add_up_within_a_session() -> None:
    rows = [(day, end) for day in DAYS[:6] for end in CALENDAR.bar_ends(day)]
    frame = pl.DataFrame(rows, schema={"session": pl.Date, "bar_end": TIMESTAMP}, orient="row").with_columns(
        pl.lit("A").alias("symbol"),
        pl.lit("A").alias("instrument_id"),
        pl.col("bar_end").alias("known_at"),
        pl.lit(0.001).alias("residual_return"),
    )
    assert forecast(frame, 6, horizon=78) == pytest.approx(0.001 * 78**0.5)
    assert forecast(frame, 6, horizon=39) == pytest.approx(0.001 * 39**0.5)


def test_the_window_is_finite() -> None:
    calm = session_returns([0.01] * 20)
    wild_before = session_returns([5.0] * 7 + [0.01] * 13)
    assert forecast(wild_before, 19) == forecast(calm, 19)
    edge = session_returns([5.0] * 8 + [0.01] * 12)  # session 7 is the twelfth before session 19
    assert forecast(edge, 19) > forecast(calm, 19)


def test_too_few_sessions_give_no_row() -> None:
    assert residual_volatility([DAYS[4]], OPENS, session_returns([0.01] * 4), SPAN, 1).is_empty()
    assert residual_volatility([DAYS[4]], OPENS, session_returns([]), SPAN, 1).is_empty()


def test_a_correction_counts_from_the_session_after_it() -> None:
    frame = session_returns([0.01] * 10)
    corrected = frame.row(4, named=True) | {"residual_return": 0.5, "known_at": OPENS[DAYS[8]]}
    both = pl.concat([frame, pl.DataFrame([corrected], schema=frame.schema)])
    assert forecast(both, 8) == forecast(frame, 8)
    assert forecast(both, 9) > 3 * forecast(frame, 9)


def test_the_session_itself_and_later_change_nothing() -> None:
    frame = session_returns([0.01 * (k % 4 + 1) for k in range(12)])
    poisoned = frame.with_columns(
        pl.when(pl.col("session") >= DAYS[9]).then(1e6).otherwise("residual_return").alias("residual_return")
    )
    assert forecast(poisoned, 9) == forecast(frame, 9) == forecast(frame.head(9), 9)


def test_one_session_alone_equals_the_range() -> None:
    generator = np.random.default_rng(1)
    frame = pl.concat([session_returns(generator.normal(0, 0.02, 40).tolist(), s) for s in "ABC"])
    together = residual_volatility(DAYS[:40], OPENS, frame, SPAN, 1)
    alone = pl.concat([residual_volatility([day], OPENS, frame, SPAN, 1) for day in DAYS[:40]])
    assert alone.equals(together)


def test_a_rename_keeps_the_history() -> None:
    frame = session_returns([0.02] * 12).with_columns(
        pl.when(pl.col("session") >= DAYS[8]).then(pl.lit("NEW")).otherwise("symbol").alias("symbol")
    )
    found = residual_volatility(DAYS[7:10], OPENS, frame, SPAN, 1)
    assert found.get_column("symbol").to_list() == ["A", "NEW", "NEW"]
    assert found.get_column("volatility").to_list() == pytest.approx([0.02] * 3)


def test_a_missing_session_is_skipped_and_still_ages() -> None:
    frame = pl.concat(
        [
            session_returns([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07]).filter(pl.col("session") != DAYS[5]),
            session_returns([0.5] * 7, "B"),
        ]
    )
    found = residual_volatility([DAYS[7]], OPENS, frame, SPAN, 1).filter(symbol="A")
    squares = np.array([0.07, 0.05, 0.04, 0.03, 0.02, 0.01]) ** 2
    weights = 0.5 ** np.array([0, 2, 3, 4, 5, 6])
    assert found.get_column("volatility")[0] == pytest.approx(np.sqrt((squares * weights).sum() / weights.sum()))


def test_forecasts_are_drawn_towards_the_median_name() -> None:
    frame = pl.concat([session_returns([level] * 8, name) for name, level in (("A", 0.01), ("B", 0.02), ("C", 0.03))])
    found = residual_volatility([DAYS[7]], OPENS, frame, SPAN, 1, shrinkage=0.25)
    expected = np.sqrt(0.75 * np.array([1.0, 4.0, 9.0]) + 0.25 * 4.0) / 100
    assert found.get_column("volatility").to_list() == pytest.approx(expected.tolist())


def test_bars_known_after_the_open_are_not_used() -> None:
    frame = session_returns([0.01] * 10)
    late = frame.with_columns(
        pl.when(pl.col("session") == DAYS[7])
        .then(OPENS[DAYS[8]] + timedelta(hours=1))
        .otherwise("known_at")
        .alias("known_at")
    ).cast({"known_at": TIMESTAMP})
    loud = late.with_columns(
        pl.when(pl.col("session") == DAYS[7]).then(9.0).otherwise("residual_return").alias("residual_return")
    )
    assert forecast(loud, 8) == forecast(late, 8)


def test_the_defaults_follow_the_bars_of_a_session() -> None:
    settings = CalibrationSettings()
    daily = session_returns([0.01] * 3)
    intraday = pl.concat([daily, daily.with_columns(pl.col("bar_end") - timedelta(minutes=5))])
    assert [bars_per_session(frame) for frame in (daily, intraday, daily.clear())] == [1, 2, 1]
    assert (settings.volatility_span(1), settings.volatility_pull(1)) == (60.0, 0.3)
    assert (settings.volatility_span(78), settings.volatility_pull(78)) == (20.0, 0.1)
    chosen = CalibrationSettings(volatility_span_sessions=5.0, volatility_shrinkage=0.0)
    assert (chosen.volatility_span(1), chosen.volatility_pull(78)) == (5.0, 0.0)


def test_a_withdrawn_bar_counts_before_its_verdict_only() -> None:
    frame = session_returns([0.01] * 7 + [1.0] + [0.01] * 2)
    verdict = CALENDAR.open(DAYS[8])
    gone = pl.when(pl.col("session") == DAYS[7]).then(pl.lit(verdict, TIMESTAMP))
    withdrawn = frame.with_columns(gone.alias("quarantined_at"))
    absent = frame.filter(pl.col("session") != DAYS[7])
    assert forecast(withdrawn, 8) == forecast(frame, 8)  # what becomes known at the open is not known before it
    assert forecast(withdrawn, 9, span=3.0) == pytest.approx(0.01)
    assert forecast(absent, 9) == pytest.approx(0.01)
