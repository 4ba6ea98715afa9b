"""Dated regulatory fees on sales of US stocks: the SEC's section 31 fee and FINRA's trading activity fee.

Sources: the SEC's fee rate advisories and yearly orders under section 31 of the Securities Exchange Act (charged on the
value sold); section 1 of schedule A to FINRA's by-laws with its amendments, the newest SR-FINRA-2024-019 (charged per
share sold, up to a cap per trade). Where a market starts before a table does, the table's first rate holds.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SECTION_31: tuple[tuple[date, float], ...] = (
    (date(2011, 1, 21), 19.20),
    (date(2012, 2, 21), 18.00),
    (date(2012, 4, 1), 22.40),
    (date(2013, 5, 25), 17.40),
    (date(2014, 3, 18), 22.10),
    (date(2015, 2, 14), 18.40),
    (date(2016, 2, 16), 21.80),
    (date(2017, 7, 4), 23.10),
    (date(2018, 5, 22), 13.00),
    (date(2019, 4, 16), 20.70),
    (date(2020, 2, 18), 22.10),
    (date(2021, 2, 25), 5.10),
    (date(2022, 5, 14), 22.90),
    (date(2023, 2, 27), 8.00),
    (date(2024, 5, 22), 27.80),
    (date(2025, 5, 14), 0.00),
    (date(2026, 4, 4), 20.60),
)
"""First day and rate, USD per million USD sold."""

TRADING_ACTIVITY: tuple[tuple[date, float, float], ...] = (
    (date(2004, 1, 1), 0.000075, 3.75),
    (date(2011, 7, 1), 0.000090, 4.50),
    (date(2012, 3, 1), 0.000095, 4.75),
    (date(2012, 7, 1), 0.000119, 5.95),
    (date(2022, 1, 1), 0.000130, 6.49),
    (date(2023, 1, 1), 0.000145, 7.27),
    (date(2024, 1, 1), 0.000166, 8.30),
    (date(2026, 1, 1), 0.000195, 9.79),
)
"""First day, rate in USD per share sold, and cap in USD per trade."""


class SaleFees(NamedTuple):
    """Fees on sales in force on one day.

    Attributes
    ----------
    value_rate : float
        Fraction of the value sold.
    share_rate : float
        USD per share sold.
    share_cap : float
        Most the fee per share comes to in one trade, USD.
    """

    value_rate: float
    share_rate: float
    share_cap: float

    def charge(self, shares: Floats, price: Floats) -> Floats:
        """Fee of each trade, USD; only sales (negative shares) pay.

        Parameters
        ----------
        shares : ndarray of shape (n_trades,)
            Negative for a sale.
        price : ndarray of shape (n_trades,)
            USD/share.
        """
        sold = np.maximum(-shares, 0.0)
        return np.asarray(self.value_rate * sold * price + np.minimum(self.share_rate * sold, self.share_cap))


NO_SALE_FEES = SaleFees(0.0, 0.0, 0.0)


def sale_fees(session: date) -> SaleFees:
    """Fees in force on a session."""
    _, per_million = SECTION_31[_position([row[0] for row in SECTION_31], session)]
    _, share_rate, cap = TRADING_ACTIVITY[_position([row[0] for row in TRADING_ACTIVITY], session)]
    return SaleFees(per_million / 1e6, share_rate, cap)


def _position(starts: list[date], session: date) -> int:
    return max(0, bisect_right(starts, session) - 1)
