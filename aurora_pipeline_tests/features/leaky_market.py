"""A market in which every kind of look-ahead would show: much changes right after the cut.

After it a filing is restated, short interest of an earlier date is published, a split is announced, a stock stops trading and
another one changes its sector the next day.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from aurora_pipeline_tests.features.feed_market import at, feed
from aurora_pipeline_tests.features.tiny_market import CALENDAR, SECTORS, action, random_inputs, with_residuals

QUARTERS = ("2023-09-30", "2023-12-31", "2024-03-31", "2024-06-30", "2024-09-30", "2024-12-31")
CUT_BAR = 30


def cut_of(inputs):
    """The decision time after which all of it happens: in the middle session at 5min, its close at `session`."""
    return CALENDAR.bar_ends(inputs.sessions[1], inputs.frequency)[CUT_BAR if inputs.frequency == "5min" else 0]


def leaky_inputs(frequency="5min"):
    """Three sessions; see the module."""
    inputs = random_inputs(seed=4, sessions=3, frequency=frequency)
    session, last = inputs.sessions[1:]
    cut = cut_of(inputs)
    soon = cut + timedelta(minutes=10)
    dead = (pl.col("symbol") == "GGG") & (pl.col("known_at") > cut)
    moved = (pl.col("session") == last) & (pl.col("symbol") == "AAA")
    sector = pl.when(moved).then(pl.lit("Energy")).otherwise(pl.col("sector"))
    return with_residuals(
        inputs.with_frames(
            bars=inputs.bars.filter(~dead),
            universe=inputs.universe.with_columns(sector.alias("sector")),
            fundamentals=_filings(soon),
            short_interest=_short_interest(session, soon),
            corporate_actions=action("BBB", last, "split", ratio=2.0).with_columns(
                pl.lit(soon, pl.Datetime("us", "UTC")).alias("known_at")
            ),
        )
    )


def _filings(restated):
    rows = []
    for place, symbol in enumerate(SECTORS):
        for number, end in enumerate(QUARTERS):
            day = pl.Series([end]).str.to_date().item()
            level = 100.0 + 7.0 * place + 3.0 * number * (place + 1)
            numbers = {
                "revenue": level,
                "net_income": 0.1 * level + number,
                "total_assets": 10.0 * level,
                "stockholders_equity": 4.0 * level,
                "shares_outstanding": 1000.0 + place,
            }
            row = {"symbol": symbol, "fiscal_period_end": day, **numbers}
            rows.append(row | {"known_at": at(day + timedelta(days=40))})
            if symbol == "AAA" and number == len(QUARTERS) - 1:
                rows.append(row | {"known_at": restated, "net_income": 99.0})
    return feed("fundamentals", rows)


def _short_interest(session, published):
    settled = session - timedelta(days=10)
    earlier = session - timedelta(days=24)
    rows = []
    for place, symbol in enumerate(SECTORS):
        rows.append(
            {
                "symbol": symbol,
                "settlement_date": earlier,
                "shares_short": 50.0 + 3.0 * place,
                "known_at": at(earlier + timedelta(days=9)),
            }
        )
        rows.append(
            {
                "symbol": symbol,
                "settlement_date": settled,
                "shares_short": 90.0 - 7.0 * place * (place - 2),
                "known_at": published,
            }
        )
    return feed("short_interest", rows)
