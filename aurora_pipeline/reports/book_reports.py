"""Reports on a book by hand: its state and quality, and its result at other amounts of capital and other costs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.zoo import tradable_universe
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.atomic import atomic_bytes, atomic_text
from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.book_state import BookState
from aurora_pipeline.execution.session_inputs import SessionInputs, prepare_session_inputs
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.lookback import RISK_LOOKBACK
from aurora_pipeline.monitoring.book_quality import (
    by_confidence,
    costs_by_term,
    events_counted,
    forgone_by_limit,
    risk_quality,
    step_evidence,
    turnover_used,
)
from aurora_pipeline.monitoring.performance import book_performance
from aurora_pipeline.policy.capital_schedule import gates
from aurora_pipeline.policy.holding_period import WINDOW_SESSIONS, closing_scores
from aurora_pipeline.policy.session_returns import session_returns
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import book_name

LOOK_BACK = max(RISK_LOOKBACK, WINDOW_SESSIONS) + 5
"""Sessions before a session that its inputs look back over."""
CAPITALS = (1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9)
STRESSES = (1.0, 2.0, 3.0)
CURVE = {
    "at": pl.Float64,
    "gross_return": pl.Float64,
    "cost": pl.Float64,
    "net_return": pl.Float64,
    "net_usd": pl.Float64,
    "sharpe": pl.Float64,
    "turnover_per_session": pl.Float64,
    "utilisation": pl.Float64,
}


@dataclass(frozen=True)
class CapacityReport:
    """Result of the same signals at other capital and other costs.

    Attributes
    ----------
    capacity, stress : polars.DataFrame
        One row per amount of capital (USD), and per multiple of the costs.
    page, plot, data : Path
        Where it is written up, and the tables as JSON.
    """

    capacity: pl.DataFrame
    stress: pl.DataFrame
    page: Path
    plot: Path
    data: Path


def book_status(home: Home, overrides: Sequence[str] = ()) -> dict[str, pl.DataFrame]:
    """Tables on the backtest book of the settings in force, by title.

    Raises
    ------
    BookError
        The lake holds nothing of that book.
    """
    settings = home.settings(overrides)
    name, lake = book_name(settings), home.lake
    portfolio = lake.read("portfolio", book=name)
    if portfolio.is_empty():
        raise BookError(f"home {home.path} holds nothing of book {name}; start with `aurora run`")
    events, exposures = lake.read("events", book=name), lake.read("exposures", book=name)
    fills = lake.read("fills", book=name)
    moves = lake.read(
        "residual_returns",
        portfolio.sort("session").get_column("session")[0],
        None,
        ["session", "bar_end", "market_return"],
    )
    bars = moves.group_by("session", "bar_end", maintain_order=True).agg(pl.col("market_return").median())
    market = bars.group_by("session", maintain_order=True).agg(pl.col("market_return").sum().alias("return"))
    last = exposures.filter(pl.col("session") == pl.col("session").max())
    switch = FileSwitch(home.kill_switch_file).state(datetime.now(tz=UTC))
    evidence = step_evidence(portfolio, events, fills, settings.book)
    return {
        "switch": pl.DataFrame(
            [(switch.mode, switch.reason, str(switch.since or ""))], ["mode", "reason", "since"], orient="row"
        ),
        "risk": risk_quality(portfolio, market),
        "exposures at the end": last.select("factor", "exposure", "variance_share"),
        "risk and result by confidence": by_confidence(lake.read("attribution", book=name)),
        "turnover against budgets": turnover_used(portfolio, settings.book),
        "costs": costs_by_term(portfolio, fills),
        "alpha forgone to each limit": forgone_by_limit(lake.read("alpha_forgone", book=name)),
        "events": events_counted(events),
        "gates of the next capital step": pl.DataFrame(
            [(gate.name, gate.asks, gate.found, gate.passed) for gate in gates(evidence, settings.book)],
            ["gate", "asks_for", "found", "holds"],
            orient="row",
        ),
    }


def stored_inputs(home: Home, settings: Settings, signals: pl.DataFrame | None = None) -> Iterator[SessionInputs]:
    """Inputs of every session with signals, in time order; parameters as in the asset of the book.

    Parameters
    ----------
    home : Home
        The installation.
    settings : Settings
        Horizon and cost bounds.
    signals : polars.DataFrame, optional
        Table `signals`; what the lake holds by default.
    """
    lake = home.lake
    signals = lake.read("signals") if signals is None else signals
    days = signals.get_column("session").unique().sort().to_list()
    if not days:
        raise BookError(f"home {home.path} has no signals; start with `aurora run`")
    sessions = home.sessions(settings)
    first = sessions[max(0, sessions.index(days[0]) - LOOK_BACK)]
    back = {name: lake.read(name, first, days[-1]) for name in ("residual_returns", "session_bars", "daily_bars")}
    back |= {"residual_returns": session_returns(back["residual_returns"]), "scores": closing_scores(signals)}
    universe, states = lake.read("universe", days[0], days[-1]), lake.read("model_states", days[0], days[-1])
    of_day = {"signals": _by_session(signals), "universe": _by_session(tradable_universe(universe, states))}
    actions, borrow, manifest = lake.read("corporate_actions"), lake.read("borrow"), home.folder().manifest
    for done, day in enumerate(days, start=1):
        start = sessions[max(0, sessions.index(day) - LOOK_BACK)]
        window = {name: frame.filter(pl.col("session").is_between(start, day)) for name, frame in back.items()}
        yield prepare_session_inputs(
            day,
            home.calendar,
            home.frequency,
            manifest,
            settings,
            bars=lake.read("bars", day, day),
            signals=of_day["signals"][day],
            universe=of_day["universe"][day],
            returns=window["residual_returns"],
            session_bars=window["session_bars"],
            daily_bars=window["daily_bars"],
            corporate_actions=actions,
            scores=window["scores"],
            borrow=borrow,
        )
        report("inputs", done, len(days))


def _by_session(frame: pl.DataFrame) -> dict[Any, pl.DataFrame]:
    return {key[0]: part for key, part in frame.partition_by("session", as_dict=True).items()}


def replayed_book(inputs: Iterable[SessionInputs], settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables `portfolio` and `positions` of a book that runs through prepared sessions from flat."""
    state: BookState | None = None
    portfolios, positions = [], []
    for session in inputs:
        result = run_session(state, session.session, session, settings)
        state = result.state
        portfolios.append(result.portfolio)
        positions.append(result.positions)
    return pl.concat(portfolios), pl.concat(positions)


def capacity_report(home: Home, overrides: Sequence[str], capitals: Sequence[float]) -> CapacityReport:
    """Run the stored signals at several amounts of capital and multiples of the costs; writes page, plot and JSON."""
    settings = home.settings(overrides)
    inputs = list(stored_inputs(home, settings))
    amounts = tuple(capitals) or CAPITALS
    total = len(amounts) + len(STRESSES)
    capacity_rows, stress_rows = [], []
    for done, nav in enumerate(amounts, start=1):
        capacity_rows.append(_outcome(nav, inputs, _with(settings, book={"nav": nav})))
        report("book runs", done, total)
    for done, times in enumerate(STRESSES, start=len(amounts) + 1):
        stress_rows.append(_outcome(times, inputs, _with(settings, costs={"stress": times})))
        report("book runs", done, total)
    capacity, stress = (pl.DataFrame(rows, schema=CURVE, orient="row") for rows in (capacity_rows, stress_rows))
    kind = "synthetic market" if home.folder().synthetic else "market"
    title = f"{kind} {home.market().name}, {inputs[0].session} to {inputs[-1].session}"
    page, plot, data = (home.reports / f"capacity.{ending}" for ending in ("md", "png", "json"))
    content = {
        "title": title,
        "market": home.market().name,
        "synthetic": kind == "synthetic market",
        "first": f"{inputs[0].session}",
        "last": f"{inputs[-1].session}",
        "capacity": capacity.to_dicts(),
        "stress": stress.to_dicts(),
    }
    atomic_text(page, _markdown(capacity, stress, title, plot.name))
    atomic_bytes(plot, _plot(capacity, stress, title))
    atomic_text(data, json.dumps(content, indent=1) + "\n")
    return CapacityReport(capacity, stress, page, plot, data)


def _outcome(at: float, inputs: Sequence[SessionInputs], settings: Settings) -> tuple[float | None, ...]:
    portfolio, _ = replayed_book(inputs, settings)
    found = book_performance(portfolio, settings.seed)
    gross, net = found["gross_return"], found["net_return"]
    spent = None if gross is None else gross - net
    earned = None if net is None else net * settings.book.nav
    return (at, gross, spent, net, earned, found["sharpe"], found["turnover_per_session"], found["utilisation"])


def _with(settings: Settings, **sections: dict[str, float]) -> Settings:
    changed = {name: getattr(settings, name).model_copy(update=values) for name, values in sections.items()}
    return settings.model_copy(update=changed)


def _markdown(capacity: pl.DataFrame, stress: pl.DataFrame, title: str, plot: str) -> str:
    from aurora_pipeline.monitoring.text_table import markdown_table

    lines = [f"# Capacity and cost stress: {title}", "", f"![net result]({plot})", ""]
    for name, frame in (("Capital, USD", capacity), ("Multiple of the costs", stress)):
        columns = [name, *(column.replace("_", " ") for column in frame.columns[1:])]
        lines += [*markdown_table(columns, frame.iter_rows()), ""]
    return "\n".join(lines)


def _plot(capacity: pl.DataFrame, stress: pl.DataFrame, title: str) -> bytes:
    """Net and gross result against capital, and against the multiple of the costs; PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, frame, label in ((left, capacity, "capital, USD"), (right, stress, "multiple of the costs")):
        for column, colour in (("gross_return", "#999999"), ("net_return", "#1b7837")):
            axes.plot(
                frame.get_column("at"),
                100.0 * frame.get_column(column),
                "o-",
                color=colour,
                label=column.replace("_", " "),
            )
        axes.axhline(0.0, color="black", linewidth=0.6)
        axes.set_xlabel(label)
        axes.set_ylabel("% of NAV over the span")
    left.set_xlim(0.8 * capacity.get_column("at").min(), 1.25 * capacity.get_column("at").max())  # type: ignore[operator]
    left.set_xscale("log")
    left.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
