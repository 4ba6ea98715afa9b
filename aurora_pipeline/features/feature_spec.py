"""What a feature is: its name, definition, unit, look-back and the moment its newest input was known."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal

from aurora_pipeline.calendar import Frequency
from aurora_pipeline.errors import ContractError
from aurora_pipeline.settings import View

Transform = Literal["rank", "sector_rank", "z", "none"]
Role = Literal["signal", "flag", "context"]
INTRADAY: tuple[Frequency, ...] = ("5min",)
"""Frequencies of a feature that is told from bars inside a session."""


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
        Moment the newest input counts as known, such as ``bar_end`` or ``newest complete session``.
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
    frequencies : tuple of str
        Decision frequencies at which it is computed; null at others.
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
    frequencies: tuple[Frequency, ...] = ("5min", "session")


def require_computed(specs: Sequence[FeatureSpec], computed: Container[str], frequency: Frequency) -> None:
    """Refuse a view that declares what nothing computes: the column would be null in every row, and nothing would say so.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        What the view declares.
    computed : container of str
        Features it was given a value for, be it NaN.
    frequency : {"5min", "session"}
        Decision frequency.

    Raises
    ------
    ContractError
        Names the features.
    """
    missing = [spec.name for spec in specs if frequency in spec.frequencies and spec.name not in computed]
    if missing:
        raise ContractError(
            f"view {specs[0].view}: feature(s) {', '.join(missing)} are declared and nothing computes them; compute them, or "
            f"take their FeatureSpec out, or, where only the other frequency has them, say so in its `frequencies`"
        )
