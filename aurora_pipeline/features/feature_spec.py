"""What a feature is: its name, definition, unit, look-back and the moment its newest input was known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Transform = Literal["rank", "sector_rank", "z", "none"]
View = Literal["price", "sector", "microstructure", "fundamental", "alternative"]
Role = Literal["signal", "flag", "context"]


@dataclass(frozen=True)
class FeatureSpec:
    """Declaration of one feature column.

    Attributes
    ----------
    name : str
        Column name, unique over all views.
    view : str
        View that computes it.
    formula : str
        Definition in words or symbols.
    unit : str
        Unit of the raw value.
    lookback : str
        Rows that enter, such as ``78 bars`` or ``252 sessions``.
    known_at : str
        Moment the newest input counts as known, such as ``bar_end`` or ``session before``.
    transform : str
        What the panel does over the symbols of a decision time: `rank`, `sector_rank` (rank less the sector's mean rank), `z`
        (winsorised at 3) or `none`.
    columns : tuple of str
        Feed columns it needs, ``feed.column``; a market that declares one of them not point-in-time loses the feature.
    reference : str
        Where the definition is from, such as ``Amihud 2002``; empty for arithmetic of our own.
    expected_missing : str
        When a value is legitimately absent.
    role : str
        `signal` ranks stocks; `flag` says that an input is missing and may be constant; `context` is the same for all stocks of
        a decision time, such as the time of day.
    """

    name: str
    view: View
    formula: str
    unit: str
    lookback: str
    known_at: str
    transform: Transform = "rank"
    columns: tuple[str, ...] = ()
    reference: str = ""
    expected_missing: str = "fewer bars than the look-back needs"
    role: Role = "signal"
