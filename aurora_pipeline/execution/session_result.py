"""The rows a session adds to the book's tables, collected while it runs and laid out once at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.contracts import empty
from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import BookState, PendingOrder
from aurora_pipeline.execution.broker import ExecutedOrder
from aurora_pipeline.execution.decision import Decision
from aurora_pipeline.execution.events import EventLog
from aurora_pipeline.execution.ledger import Ledger
from aurora_pipeline.execution.session_inputs import SessionInputs
from aurora_pipeline.policy.alpha_forgone import alpha_forgone
from aurora_pipeline.policy.cost_aware_sizer import SizingResult
from aurora_pipeline.policy.cost_model import TradeCost
from aurora_pipeline.policy.turnover_manager import TurnoverHistory


@dataclass(frozen=True)
class SessionResult:
    """A session of a book.

    Attributes
    ----------
    state : BookState
        To continue from.
    targets, orders, fills, positions, portfolio, exposures, attribution, alpha_forgone, events : polars.DataFrame
        Rows of the tables of these names, `book` included.
    opening_nav : float
        NAV before the session, USD.
    opening_turnover : TurnoverHistory
        Budgeted turnover of the sessions before.
    """

    state: BookState
    targets: pl.DataFrame
    orders: pl.DataFrame
    fills: pl.DataFrame
    positions: pl.DataFrame
    portfolio: pl.DataFrame
    exposures: pl.DataFrame
    attribution: pl.DataFrame
    alpha_forgone: pl.DataFrame
    events: pl.DataFrame
    opening_nav: float
    opening_turnover: TurnoverHistory


@dataclass
class SessionRecord:
    """Collector of one session's rows; `book` and `inputs` name them."""

    book: str
    inputs: SessionInputs
    targets: list[tuple[int, np.ndarray[Any, Any], Floats, Floats, np.ndarray[Any, Any]]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    positions: list[tuple[int, np.ndarray[Any, Any], Floats, Floats, Floats]] = field(default_factory=list)
    portfolio: list[dict[str, Any]] = field(default_factory=list)
    exposures: list[dict[str, Any]] = field(default_factory=list)
    attribution: list[dict[str, Any]] = field(default_factory=list)
    alpha_forgone: list[dict[str, Any]] = field(default_factory=list)
    events: EventLog = field(default_factory=EventLog)

    def add_decision(self, bar: int, held: Floats, sizing: SizingResult) -> None:
        """Record what was wanted for every eligible or held name."""
        rows = np.flatnonzero(self.inputs.eligible | (held != 0.0) | (sizing.target != 0.0))
        self.targets.append((bar, rows, held[rows], sizing.target[rows], sizing.reasons[rows]))

    def add_executed(self, executed: Sequence[ExecutedOrder]) -> None:
        """Record orders with what became of them."""
        self.orders.extend(_order_row(item.order, item.status, item.reason) for item in executed)

    def add_rejected(self, rejected: Sequence[tuple[PendingOrder, str]]) -> None:
        """Record orders the gate refused."""
        self.orders.extend(_order_row(order, "rejected", code) for order, code in rejected)

    def add_fills(self, filled: Sequence[ExecutedOrder], cost: TradeCost, time: datetime) -> None:
        """Record fills with their costs."""
        for position, item in enumerate(filled):
            symbol = self.inputs.symbols[self.inputs.instruments.index(item.order.instrument)]
            self.fills.append(
                {
                    "order_id": item.order.order_id,
                    "symbol": symbol,
                    "instrument_id": item.order.instrument,
                    "decision_time": item.order.decision_time,
                    "fill_time": time,
                    "side": item.order.side,
                    "shares": item.shares,
                    "price": item.price,
                    "spread_cost": float(cost.spread[position]),
                    "impact_cost": float(cost.impact[position]),
                    "fee_cost": float(cost.fee[position]),
                    "reference_price": item.order.reference_price,
                    **_forecast(item),
                }
            )

    def add_close(self, bar: int, weights: Floats, ledger: Ledger, alpha: Floats) -> None:
        """Record exposures and attribution at the end of what was handled of the session.

        Parameters
        ----------
        bar : int
            Last bar.
        weights : ndarray of shape (n_names,)
            Held at its end.
        ledger : Ledger
            With P&L and cost by name.
        alpha : ndarray of shape (n_names,)
            Expected P&L by name, USD.
        """
        inputs, risk = self.inputs, self.inputs.risk
        shares = np.nan_to_num(risk.factor_shares(weights))
        held = bool((weights != 0.0).any())
        names = (*risk.factors, "specific")
        exposure = (*risk.exposures(weights), np.abs(weights).sum())
        variance = (*shares, 1.0 - shares.sum() if held else 0.0)
        time = inputs.decision_times[bar]
        self.exposures = [
            {"decision_time": time, "factor": name, "exposure": float(value), "variance_share": float(share)}
            for name, value, share in zip(names, exposure, variance, strict=True)
        ]
        active = np.flatnonzero(
            (ledger.name_pnl != 0.0) | (ledger.name_cost != 0.0) | (alpha != 0.0) | (weights != 0.0)
        )
        risk_share = np.nan_to_num(risk.contributions(weights))
        span = np.sqrt(risk.specific_variance * inputs.horizon_sessions)
        confidence = np.nan_to_num(np.abs(inputs.expected_return[bar]) / np.where(span > 0.0, span, np.nan))
        self.attribution = [
            {
                "symbol": inputs.symbols[index],
                "instrument_id": inputs.instruments[index],
                "gross_pnl": float(ledger.name_pnl[index]),
                "alpha": float(alpha[index]),
                "cost": float(ledger.name_cost[index]),
                "residual": float(ledger.name_pnl[index] - alpha[index]),
                "variance_share": float(risk_share[index]),
                "confidence": float(confidence[index]),
            }
            for index in active.tolist()
        ]

    def add_forgone(self, bar: int, decision: Decision) -> None:
        """Record what each limit withheld at a decision."""
        self.alpha_forgone = [
            {
                "decision_time": self.inputs.decision_times[bar],
                "limit": limit,
                "forgone": value,
                "holding_sessions": decision.request.holding_sessions,
            }
            for limit, value in alpha_forgone(decision.request, decision.sizing)
        ]

    def add_positions(self, bar: int, shares: Floats, price: Floats, weights: Floats) -> None:
        """Record what is held at the end of a bar."""
        rows = np.flatnonzero(shares)
        self.positions.append((bar, rows, shares[rows], price[rows], weights[rows]))

    def result(self, state: BookState, opening_nav: float, opening_turnover: TurnoverHistory) -> SessionResult:
        """Lay the rows out as frames of the contracts' columns."""
        return SessionResult(
            state=state,
            targets=self._targets(),
            orders=self._frame("orders", pl.DataFrame(self.orders, schema=_schema("orders"))),
            fills=self._frame("fills", pl.DataFrame(self.fills, schema=_schema("fills"))),
            positions=self._positions(),
            portfolio=self._frame("portfolio", pl.DataFrame(self.portfolio, schema=_schema("portfolio"))),
            exposures=self._frame("exposures", pl.DataFrame(self.exposures, schema=_schema("exposures"))),
            attribution=self._frame("attribution", pl.DataFrame(self.attribution, schema=_schema("attribution"))),
            alpha_forgone=self._frame(
                "alpha_forgone", pl.DataFrame(self.alpha_forgone, schema=_schema("alpha_forgone"))
            ),
            events=self._frame("events", pl.DataFrame(self._events(), schema=_schema("events"))),
            opening_nav=opening_nav,
            opening_turnover=opening_turnover,
        )

    def _events(self) -> list[dict[str, Any]]:
        return [
            {
                "decision_time": moment,
                "event": event.event,
                "name": event.name,
                "times": count,
                "action": event.action,
                "detail": event.detail,
            }
            for moment, event, count in self.events.rows()
        ]

    def _targets(self) -> pl.DataFrame:
        rows = _joined([item[1] for item in self.targets], np.int64)
        expected = [self.inputs.expected_return[bar, names] for bar, names, *_ in self.targets]
        frame = pl.DataFrame(
            {
                "symbol": pl.Series(self.inputs.symbols, dtype=pl.String).gather(rows),
                "decision_time": self._times([(item[0], item[1].size) for item in self.targets]),
                "current_weight": _joined([item[2] for item in self.targets], np.float64),
                "target_weight": _joined([item[3] for item in self.targets], np.float64),
                "expected_return": pl.Series(_joined(expected, np.float64), nan_to_null=True),
                "reason": pl.Series(_joined([item[4] for item in self.targets], object).tolist(), dtype=pl.String),
            }
        )
        return self._frame("targets", frame)

    def _positions(self) -> pl.DataFrame:
        rows = _joined([item[1] for item in self.positions], np.int64)
        frame = pl.DataFrame(
            {
                "symbol": pl.Series(self.inputs.symbols, dtype=pl.String).gather(rows),
                "instrument_id": pl.Series(self.inputs.instruments, dtype=pl.String).gather(rows),
                "decision_time": self._times([(item[0], item[1].size) for item in self.positions]),
                "shares": _joined([item[2] for item in self.positions], np.float64),
                "price": _joined([item[3] for item in self.positions], np.float64),
                "weight": _joined([item[4] for item in self.positions], np.float64),
            }
        )
        return self._frame("positions", frame)

    def _times(self, counts: list[tuple[int, int]]) -> pl.Series:
        bars = np.repeat([bar for bar, _ in counts], [count for _, count in counts]).astype(np.int64)
        return pl.Series(self.inputs.decision_times, dtype=pl.Datetime("us", "UTC")).gather(bars)

    def _frame(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        schema = empty(table).schema
        named = rows.with_columns(
            pl.lit(self.book, pl.String).alias("book"), pl.lit(self.inputs.session, pl.Date).alias("session")
        )
        return named.select(pl.col(column).cast(dtype) for column, dtype in schema.items())


def _forecast(item: ExecutedOrder) -> dict[str, float]:
    """Expected cost of what was filled, USD at the reference price."""
    value, forecast = item.shares * item.order.reference_price, item.order.forecast
    return {
        "forecast_spread": value * forecast.spread,
        "forecast_impact": value * forecast.impact,
        "forecast_fee": value * forecast.fee,
        "forecast_drift": value * forecast.drift,
    }


def _order_row(order: PendingOrder, status: str, reason: str) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "symbol": order.symbol,
        "instrument_id": order.instrument,
        "decision_time": order.decision_time,
        "execute_by": order.execute_by,
        "side": order.side,
        "shares": order.shares,
        "reference_price": order.reference_price,
        "status": status,
        "reason": reason,
    }


def _schema(table: str) -> dict[str, pl.DataType]:
    return {name: dtype for name, dtype in empty(table).schema.items() if name not in {"book", "session"}}


def _joined(parts: list[Any], dtype: Any) -> np.ndarray[Any, Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
