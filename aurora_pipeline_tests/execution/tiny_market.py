"""Sessions of a few bars and names, written down by hand."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.policy.risk_model import RiskModel
from aurora_pipeline.settings import Settings, load_settings

FIRST = date(2026, 1, 5)
FREE = (
    "book.nav=1000000",
    "book.name_cap=0.04",
    "book.sector_cap=1.0",
    "book.net_cap=1.0",
    "book.utilisation_cap=1.0",
    "book.volatility_target=1.0",
    "book.turnover_day=1.0",
    "book.turnover_week=1.0",
    "book.turnover_month=1.0",
    "book.build_sessions=1",
    "book.participation=1.0",
    "book.risk_aversion=0.001",
    "book.holding_horizons=1.0",
    "costs.half_spread_floor=0.0",
    "costs.fee_rate=0.0001",
    "costs.impact_coefficient=0.0",
    "costs.borrow_rate=0.0",
)


def settings(*changes: str) -> Settings:
    """Limits so wide that only the name cap binds: 4 % of 1 M USD, planned with 2 % room: 39,200 USD."""
    return load_settings(overrides=(*FREE, *changes), environment={})


def day(number: int) -> date:
    """Sessions of the tiny calendar are consecutive days."""
    return FIRST + timedelta(days=number)


def bar_end(number: int, bar: int) -> datetime:
    return datetime(2026, 1, 5, 14, 35, tzinfo=UTC) + timedelta(days=number, minutes=5 * bar)


def session_inputs(number, mark, *, names=("A",), alpha=0.0, fill=None, volume=1e6, bars=None, **changes):
    """Inputs of one session.

    `mark`, `fill`, `alpha` and `volume` are broadcast to (bars, names); NaN in `fill` means that nobody traded.
    """
    n = len(names)
    mark = np.array(mark, dtype=float).reshape(-1, 1) * np.ones(n) if np.ndim(mark) < 2 else np.array(mark, dtype=float)
    shape = mark.shape
    fill_price = mark.copy() if fill is None else np.broadcast_to(np.array(fill, dtype=float), shape).copy()
    count = bars or shape[0]
    values = {
        "session": day(number),
        "previous_session": day(number - 1),
        "decision_times": tuple(bar_end(number, bar) for bar in range(shape[0])),
        "bar_count": count,
        "full_session_bars": count,
        "next_bar_end": tuple(
            bar_end(number, bar + 1) if bar + 1 < count else bar_end(number + 1, 0) for bar in range(shape[0])
        ),
        "instruments": tuple(names),
        "symbols": tuple(names),
        "sectors": np.zeros(n, dtype=np.int64),
        "sector_names": ("Tech",),
        "eligible": np.ones(n, dtype=bool),
        "mark": mark,
        "fresh": np.isfinite(fill_price),
        "fill_price": fill_price,
        "fill_volume": np.where(np.isfinite(fill_price), volume, 0.0),
        "expected_return": np.broadcast_to(np.array(alpha, dtype=float), shape).copy(),
        "calibrated": np.ones(shape, dtype=bool),
        "risk": RiskModel(("market", "Tech"), np.zeros((n, 2)), np.zeros((2, 2)), np.full(n, 0.0004), np.full(n, 0.02)),
        "half_spread": np.full(n, 0.001),
        "average_value": np.full(n, 1e9),
        "events": (),
        "horizon_sessions": 1.0,
    }
    return SessionInputs(**(values | changes))
