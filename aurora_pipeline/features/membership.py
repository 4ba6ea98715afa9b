"""Who is in the universe on each session, as arrays: symbol of the day, sector, kind, eligibility."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.codes import Codes, codes_of, days_of, names_in
from aurora_pipeline.features.inputs import ResidualInputs


@dataclass(frozen=True)
class Membership:
    """Table `universe` over sessions and instruments.

    Attributes
    ----------
    sessions : dict of date to int
        Row of each session.
    instruments : list of str
        Column axis, sorted.
    symbols : polars.Series
        What the codes of symbols stand for.
    sectors : list of str
        What those of sectors stand for, in alphabetical order.
    symbol, sector : ndarray of int of shape (sessions, instruments)
        Codes; -1 where there is none.
    stock, eligible : ndarray of bool of shape (sessions, instruments)
    """

    sessions: dict[date, int]
    instruments: list[str]
    symbols: pl.Series
    sectors: list[str]
    symbol: Codes
    sector: Codes
    stock: NDArray[np.bool_]
    eligible: NDArray[np.bool_]

    def stocks(self, session: date) -> Codes:
        """Columns of the session's stocks, in order of instrument."""
        return np.flatnonzero(self.stock[self.sessions[session]]) if session in self.sessions else np.zeros(0, np.int64)

    def stock_sectors(self, session: date) -> Codes:
        """Sector code of every instrument that is a stock with a sector on that session; -1 for all others."""
        row = self.sessions.get(session)
        if row is None:
            return np.full(len(self.instruments), -1, dtype=np.int64)
        return np.where(self.stock[row], self.sector[row], -1)

    def named_sectors(self, codes: Codes) -> dict[str, str]:
        """Instrument to sector of the codes that are not negative."""
        return {self.instruments[column]: self.sectors[codes[column]] for column in np.flatnonzero(codes >= 0)}


def membership(inputs: ResidualInputs) -> Membership:
    """Lay out the universe of some inputs, once."""
    return inputs.once("membership", lambda: _lay_out(inputs.universe))


def _lay_out(universe: pl.DataFrame) -> Membership:
    sessions = universe.get_column("session").unique().sort()
    instruments, symbols, sectors = (
        names_in(universe.get_column(name)) for name in ("instrument_id", "symbol", "sector")
    )
    row = np.searchsorted(days_of(sessions), days_of(universe.get_column("session")))
    at = (row, codes_of(universe.get_column("instrument_id"), instruments))
    shape = (len(sessions), len(instruments))
    symbol, sector = np.full(shape, -1, dtype=np.int64), np.full(shape, -1, dtype=np.int64)
    stock, eligible = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    symbol[at] = codes_of(universe.get_column("symbol"), symbols)
    sector[at] = codes_of(universe.get_column("sector"), sectors)
    stock[at] = (universe.get_column("kind") == "stock").to_numpy()
    eligible[at] = universe.get_column("eligible").fill_null(value=False).to_numpy()
    return Membership(
        {day: index for index, day in enumerate(sessions)},
        instruments,
        pl.Series(symbols, dtype=pl.String),
        sectors,
        symbol,
        sector,
        stock,
        eligible,
    )
