"""What a book carries from one session to the next, as JSON that gives every float back to the last bit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import date, datetime

from aurora_pipeline.errors import BookError
from aurora_pipeline.execution.corporate_events import RefusedSplit
from aurora_pipeline.policy.cost_fit import NO_EVIDENCE, CostEvidence
from aurora_pipeline.policy.turnover_manager import TurnoverHistory


@dataclass(frozen=True)
class CostForecast:
    """What a decision expected an order to cost, fractions of its value at the reference price.

    Attributes
    ----------
    spread, impact, fee : float
        The cost model's rates for the whole trade in the name.
    drift : float
        Cost of waiting: by how much the signal expects the price to have moved against the order by the middle of the bar it
        fills in; negative where the price is expected to come towards it.
    """

    spread: float
    impact: float
    fee: float
    drift: float


NO_FORECAST = CostForecast(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class PendingOrder:
    """An order sent for a decision, valid for the next bar only.

    Attributes
    ----------
    order_id : str
        See :func:`aurora_pipeline.execution.order_planning.client_order_id`.
    instrument, symbol : str
        Permanent name and symbol at the decision.
    decision_time, execute_by : datetime
        Bar end it was decided at, and end of the bar it may fill in.
    side : str
        ``buy`` or ``sell``.
    shares : float
        Whole shares.
    reference_price : float
        Close at the decision, USD/share.
    exempt_shares : float
        Leading part that reduces risk by force and needs no turnover budget.
    budget_value : float
        Most the remaining part may be worth when it fills, USD: what the turnover budget has set aside.
    reason : str
        Why it was sent.
    forecast : CostForecast
        What the decision expected it to cost.
    """

    order_id: str
    instrument: str
    symbol: str
    decision_time: datetime
    execute_by: datetime
    side: str
    shares: float
    reference_price: float
    exempt_shares: float
    budget_value: float
    reason: str
    forecast: CostForecast = NO_FORECAST

    @property
    def sign(self) -> float:
        """+1 for a buy, -1 for a sell."""
        return 1.0 if self.side == "buy" else -1.0


@dataclass(frozen=True)
class BookState:
    """A book at the end of a session.

    Attributes
    ----------
    book : str
        `live` or `backtest-<settings hash>`.
    session : date or None
        Last session handled; None before the first.
    complete : bool
        Whether that session was handled to its last bar. A running session's state is not continued: the session is
        done again from the state before it.
    cash, nav, peak_nav : float
        USD.
    shares, prices : dict of str to float
        Holdings by instrument, and the last known price of each.
    sessions : int
        Sessions handled.
    turnover : TurnoverHistory
        Budgeted turnover of the newest sessions.
    pending : tuple of PendingOrder
        Orders of the last bar.
    flat_sessions : int
        Sessions in a row at whose end the drawdown throttle left no exposure.
    halted : str
        Moment trading was halted by a difference to the broker, "" while it goes on.
    expected : dict of str to float
        Expected residual return per bar of what is held, as the last decision saw it: the alpha of the night.
    turnover_price : float or None
        See :mod:`aurora_pipeline.policy.turnover_price`.
    cost_evidence : CostEvidence
        What own fills have shown of costs, see :mod:`aurora_pipeline.policy.cost_fit`.
    refused_splits : tuple of RefusedSplit
        Splits the price contradicted, which it may still show.
    """

    book: str
    session: date | None
    complete: bool
    cash: float
    nav: float
    peak_nav: float
    shares: dict[str, float] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)
    sessions: int = 0
    turnover: TurnoverHistory = field(default_factory=TurnoverHistory)
    pending: tuple[PendingOrder, ...] = ()
    flat_sessions: int = 0
    halted: str = ""
    expected: dict[str, float] = field(default_factory=dict)
    turnover_price: float | None = None
    cost_evidence: CostEvidence = NO_EVIDENCE
    refused_splits: tuple[RefusedSplit, ...] = ()

    @classmethod
    def flat(cls, book: str, nav: float) -> BookState:
        """Return a book that holds nothing but cash."""
        return cls(book=book, session=None, complete=True, cash=nav, nav=nav, peak_nav=nav)

    def to_json(self) -> str:
        """Return JSON with sorted keys: equal states give equal text."""
        content = asdict(self)
        content["session"] = self.session.isoformat() if self.session else None
        content["turnover"] = list(self.turnover.spent)
        for order in content["pending"]:
            order["decision_time"] = order["decision_time"].isoformat()
            order["execute_by"] = order["execute_by"].isoformat()
        return json.dumps(content, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> BookState:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        BookError
            The text is not a book's state.
        """
        try:
            content = json.loads(text)
            content["session"] = date.fromisoformat(content["session"]) if content["session"] else None
            content["turnover"] = TurnoverHistory(tuple(content["turnover"]))
            content["pending"] = tuple(read_order(order) for order in content["pending"])
            content["cost_evidence"] = CostEvidence(**content.get("cost_evidence", {}))
            content["refused_splits"] = tuple(RefusedSplit(**split) for split in content.get("refused_splits", ()))
            return cls(**content)
        except (ValueError, KeyError, TypeError) as error:
            raise BookError(f"stored state of a book is not readable ({error}); rebuild the book") from error


def read_order(content: dict[str, object]) -> PendingOrder:
    """Return an order from its JSON content."""
    times = {name: datetime.fromisoformat(str(content[name])) for name in ("decision_time", "execute_by")}
    forecast = content.get("forecast")
    expected = CostForecast(**forecast) if isinstance(forecast, dict) else NO_FORECAST
    return PendingOrder(**{**content, **times, "forecast": expected})  # type: ignore[arg-type]
