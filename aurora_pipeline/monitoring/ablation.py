"""The plan's progression, measured: what each phase adds to the one before, on the same sessions.

Every phase is a set of settings; each takes over those before it. A difference is that of two series over the same sessions,
resampled together (stationary bootstrap of the paired difference), so what both share cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.monitoring.bootstrap_interval import bootstrap_interval
from aurora_pipeline.monitoring.performance import book_performance, book_returns

ASSUMED_IC = 0.05
BPS = 1e4
TABLE = {
    "phase": pl.String,
    "adds": pl.String,
    "sessions": pl.Int64,
    "rank_ic": pl.Float64,
    "ic_gain": pl.Float64,
    "ic_gain_lower": pl.Float64,
    "ic_gain_upper": pl.Float64,
    "net_bps": pl.Float64,
    "net_gain_bps": pl.Float64,
    "net_gain_lower": pl.Float64,
    "net_gain_upper": pl.Float64,
    "sharpe": pl.Float64,
    "max_drawdown": pl.Float64,
    "max_drawdown_at_10pct_volatility": pl.Float64,
    "utilisation": pl.Float64,
    "turnover_per_session": pl.Float64,
    "cost_bps": pl.Float64,
}
"""Columns of the progression; `net_bps` and `cost_bps` are means per session, bps of NAV."""


@dataclass(frozen=True)
class Phase:
    """One phase.

    Attributes
    ----------
    name, adds : str
        Short name, and what is new.
    settings : mapping of str to object
        Dotted keys with their value; a value of None takes the key's value of the settings in force.
    """

    name: str
    adds: str
    settings: Mapping[str, Any]


PHASES = (
    Phase(
        "baseline",
        "one xgboost on the price view, weights proportional to the signal, no budgets or calibration",
        {
            "models.families": ["xgboost"],
            "models.views": ["price"],
            "ensemble.shrinkage": 1.0,
            "book.sizing": "proportional",
            "book.assumed_ic": ASSUMED_IC,
            "book.sector_cap": 1.0,
            "book.turnover_day": 1.0,
            "book.turnover_week": 1.0,
            "book.turnover_month": 1.0,
            "book.volatility_target": 1.0,
        },
    ),
    Phase(
        "sector neutral",
        "the sector view, and the cap on a sector's net weight",
        {"models.views": ["price", "sector"], "book.sector_cap": None},
    ),
    Phase("zoo", "every model family, weighted equally", {"models.families": None}),
    Phase("cost-aware", "sizing that weighs edge against cost", {"book.sizing": None}),
    Phase("fundamentals", "the fundamental view", {"models.views": ["price", "sector", "fundamental"]}),
    Phase("ensemble", "weights from matured IC instead of equal ones", {"ensemble.shrinkage": None}),
    Phase("calibration", "expected returns from the measured IC instead of an assumed 0.05", {"book.assumed_ic": None}),
    Phase(
        "turnover budget",
        "day, week and month budgets, paced",
        {"book.turnover_day": None, "book.turnover_week": None, "book.turnover_month": None},
    ),
    Phase("risk budget", "volatility target and drawdown throttle", {"book.volatility_target": None}),
    Phase("alternative data", "the microstructure and alternative views", {"models.views": None}),
)
"""In the plan's order. Labels are residual returns in every phase."""


@dataclass(frozen=True)
class PhaseResult:
    """What a phase gave.

    Attributes
    ----------
    phase : Phase
        What was run.
    portfolio : polars.DataFrame
        Table `portfolio` of its book.
    session_ic : polars.DataFrame
        `session` and `ic`: mean rank correlation of the ensemble's score with the label.
    """

    phase: Phase
    portfolio: pl.DataFrame
    session_ic: pl.DataFrame


def phase_settings(in_force: Mapping[str, Any], phases: Sequence[Phase] = PHASES) -> list[dict[str, Any]]:
    """Settings of each phase with those before it, every key of any phase given in each.

    Parameters
    ----------
    in_force : mapping of str to object
        Value of every key in the settings in force: where the progression ends.
    phases : sequence of Phase
        In order.
    """
    current: dict[str, Any] = {}
    found = []
    for phase in phases:
        for key, value in phase.settings.items():
            current[key] = in_force[key] if value is None else value
        found.append(dict(current))
    return found


def progression(results: Sequence[PhaseResult], seed: int) -> pl.DataFrame:
    """Table of the phases with the gain of each over the one before, 95 % intervals; columns :data:`TABLE`.

    A book that holds nothing in a session earns nothing there: its net return is 0, so that all phases have the same
    sessions. A gain without an interval (fewer than 20 sessions, or no difference) has null bounds.
    """
    rows = []
    before: tuple[pl.DataFrame, pl.DataFrame] | None = None
    for result in results:
        performance = book_performance(result.portfolio, seed)
        net = _net(result.portfolio)
        now = (result.session_ic.rename({"ic": "value"}), net.select("session", pl.col("net").alias("value")))
        gains = (
            [_gain(earlier, later, seed) for earlier, later in zip(before, now, strict=True)] if before else [_NONE] * 2
        )
        ic_gain, net_gain = gains
        rows.append(
            (
                result.phase.name,
                result.phase.adds,
                net.height,
                result.session_ic.get_column("ic").mean(),
                *ic_gain,
                BPS * float(np.mean(net.get_column("net").to_numpy())),
                *(None if value is None else BPS * value for value in net_gain),
                performance["sharpe"],
                performance["max_drawdown"],
                performance["max_drawdown_at_10pct_volatility"],
                performance["utilisation"],
                performance["turnover_per_session"],
                BPS * float(np.mean(net.get_column("cost").to_numpy())),
            )
        )
        before = now
    return pl.DataFrame(rows, schema=TABLE, orient="row")


_NONE: tuple[float | None, float | None, float | None] = (None, None, None)


def _net(portfolio: pl.DataFrame) -> pl.DataFrame:
    """Net return and cost of every session, 0 before the first position."""
    sessions = portfolio.select("session").unique().sort("session")
    return sessions.join(book_returns(portfolio), on="session", how="left").select(
        "session", pl.col("net", "cost").fill_null(0.0)
    )


def _gain(before: pl.DataFrame, after: pl.DataFrame, seed: int) -> tuple[float | None, float | None, float | None]:
    both = before.join(after, on="session", suffix="_after").sort("session").drop_nulls()
    difference = (both.get_column("value_after") - both.get_column("value")).to_numpy()
    if not difference.size:
        return _NONE
    interval = bootstrap_interval(difference, seed)
    bounds = (interval.lower, interval.upper) if interval else (None, None)
    return (float(difference.mean()), *bounds)
