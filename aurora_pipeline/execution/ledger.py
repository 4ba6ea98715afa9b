"""Positions and cash of a book during a session.

NAV is cash plus market value. Gross P&L is counted on its own, position by position: price moves on what was held,
fills against the bar's close, dividends. That the two agree is checked by :mod:`.nav_identity`. The same P&L and the
costs are kept by name for the session's attribution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.corporate_events import CorporateEvent, shares_after


class Ledger:
    """Holdings while a session runs.

    Parameters
    ----------
    instruments : sequence of str
        Names, one position of the arrays each.
    shares, prices : dict of str to float
        Holdings and last known prices at the start.
    cash : float
        USD.

    Attributes
    ----------
    shares : ndarray of shape (n_names,)
        Negative when short.
    price : ndarray of shape (n_names,)
        Last known price, USD/share; NaN where never seen.
    cash : float
        USD, negative when borrowed.
    gross_pnl : float
        Since the last :meth:`take_pnl`, USD.
    name_pnl, name_cost : ndarray of shape (n_names,)
        Gross P&L and costs of the session by name, USD.
    """

    def __init__(
        self, instruments: Sequence[str], shares: dict[str, float], prices: dict[str, float], cash: float
    ) -> None:
        self.instruments = tuple(instruments)
        self.column = {name: index for index, name in enumerate(self.instruments)}
        self.shares = np.array([shares.get(name, 0.0) for name in self.instruments])
        self.price = np.array([prices.get(name, np.nan) for name in self.instruments])
        self.cash = cash
        self.gross_pnl = 0.0
        self.name_pnl = np.zeros(len(self.instruments))
        self.name_cost = np.zeros(len(self.instruments))

    def apply(self, event: CorporateEvent) -> None:
        """Book a corporate action.

        A split multiplies shares and divides the price; a fraction of a share is paid out at the new price. A dividend
        is paid on longs and owed on shorts. A delisting turns the position into cash at what it pays, or at the last price.
        """
        index = self.column.get(event.instrument)
        if index is None:
            return
        if event.kind == "split":
            self.price[index] /= event.value
            scaled = self.shares[index] * event.value
            whole = shares_after(float(self.shares[index]), event)
            if scaled != whole:
                self.cash += (scaled - whole) * self.price[index]
            self.shares[index] = whole
        elif event.kind == "dividend":
            amount = self.shares[index] * event.value
            self.cash += amount
            self._earn(index, amount)
        elif self.shares[index] != 0.0:
            paid = self.price[index] if event.pays is None else event.pays
            self._earn(index, float(self.shares[index] * (paid - self.price[index])))
            self.cash += self.shares[index] * paid
            self.shares[index] = 0.0

    def last_price(self, instrument: str) -> float:
        """Last known price of an instrument, USD/share; NaN where none was seen."""
        index = self.column.get(instrument)
        return np.nan if index is None else float(self.price[index])

    def mark(self, prices: Floats) -> None:
        """Move to new prices, shape (n_names,); NaN keeps the last one."""
        new = np.where(np.isfinite(prices), prices, self.price)
        held = self.shares != 0.0
        moves = self.shares[held] * (new[held] - self.price[held])
        self.gross_pnl += float(moves.sum())
        self.name_pnl[held] += moves
        self.price = new

    def fill(self, index: int, signed_shares: float, price: float) -> None:
        """Book a fill before costs; the name must have been marked in this bar."""
        self.shares[index] += signed_shares
        self.cash -= signed_shares * price
        self._earn(index, float(signed_shares * (self.price[index] - price)))

    def adopt(self, index: int, shares: float) -> None:
        """Take over what the broker holds, at the last known price; the difference is gross P&L."""
        self._earn(index, float((shares - self.shares[index]) * self.price[index]))
        self.shares[index] = shares

    def pay(self, index: int, cost: float) -> None:
        """Pay a cost for a name, USD."""
        self.cash -= cost
        self.name_cost[index] += cost

    def _earn(self, index: int, amount: float) -> None:
        self.gross_pnl += amount
        self.name_pnl[index] += amount

    def take_pnl(self) -> float:
        """Return the gross P&L since the last call."""
        pnl, self.gross_pnl = self.gross_pnl, 0.0
        return pnl

    @property
    def nav(self) -> float:
        """Cash plus market value, USD."""
        held = self.shares != 0.0
        return float(self.cash + (self.shares[held] * self.price[held]).sum())

    def holdings(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return shares and prices of what is held, by instrument."""
        held = np.flatnonzero(self.shares)
        shares = {self.instruments[index]: float(self.shares[index]) for index in held}
        return shares, {self.instruments[index]: float(self.price[index]) for index in held}
