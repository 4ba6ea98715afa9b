"""What a panel is made of: facts, tables, charts, notes, and the reason where there is nothing to show."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

DASH = "–"
"""Stands where a value is missing: never a zero."""
_NEGATIVE = re.compile(r"(?<![\w.-])-(?=\d)")
"""The hyphen before a negative number."""


@dataclass(frozen=True)
class Fact:
    """One number with its name.

    Attributes
    ----------
    label : str
        What it is, with its unit where the value does not show it.
    value : str
        As shown.
    note : str
        Interval, limit or sample, in small print.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """The numbers a panel leads with."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Rows:
    """A table.

    Attributes
    ----------
    columns : tuple of str
        Headings.
    rows : tuple of tuple of str
        Cells as shown; a cell may be a :class:`Tagged` text.
    title : str
        Shown above the table; empty for none.
    folded : bool
        Whether it is shown only when asked for; its numbers are on the page all the same.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    folded: bool = False


class Tagged(str):
    """Text of a cell with a colour: `good`, `bad`, `warn` or `quiet`."""

    __slots__ = ("tone",)
    tone: str

    def __new__(cls, text: str, tone: str) -> Tagged:
        """Text with its tone."""
        made = super().__new__(cls, text)
        made.tone = tone
        return made


@dataclass(frozen=True)
class Chart:
    """A drawing as SVG, and what it shows in words: the text of the page for those who do not see it."""

    svg: str
    shows: str


@dataclass(frozen=True)
class Note:
    """A sentence on how to read what is above."""

    text: str


@dataclass(frozen=True)
class Absent:
    """Nothing to show.

    Attributes
    ----------
    why : str
        What is missing.
    command : str
        What fills it; empty where nothing can.
    """

    why: str
    command: str = ""


Block = Facts | Rows | Chart | Note | Absent


@dataclass(frozen=True)
class Panel:
    """One panel: what it asks of what is stored, and how it answers.

    Attributes
    ----------
    key : str
        Anchor on the page.
    title : str
        Heading.
    asks : str
        The question it answers.
    reads : tuple of str
        Names of its inputs, the parameters of `build`.
    build : callable
        Inputs to blocks.
    assets : tuple of str
        Dagster assets the numbers come from, linked.
    wide : bool
        Whether it takes the whole width.
    """

    key: str
    title: str
    asks: str
    reads: tuple[str, ...]
    build: Callable[..., Sequence[Block]]
    assets: tuple[str, ...] = ()
    wide: bool = False


def number(value: float | None, digits: int = 3) -> str:
    """Fixed digits; a dash where missing or not a number."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0.0 else true_minus(text)


def true_minus(text: str) -> str:
    """Text whose negative numbers have the minus sign that figures have; hyphens of dates, names and spans stay."""
    return _NEGATIVE.sub("−", text)


def percent(value: float | None, digits: int = 1) -> str:
    """Fraction as percent."""
    return DASH if value is None or math.isnan(value) else f"{number(100.0 * value, digits)} %"


def bps(value: float | None, digits: int = 1) -> str:
    """Fraction as basis points."""
    return DASH if value is None or math.isnan(value) else f"{number(1e4 * value, digits)} bps"


def usd(value: float | None) -> str:
    """Whole dollars."""
    return DASH if value is None or math.isnan(value) else f"{number(value, 0)} USD"


def counted(count: int, noun: str) -> str:
    """Count with its noun, in the plural unless it is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def interval(lower: float | None, upper: float | None, show: Callable[[float], str]) -> str:
    """Both bounds, or nothing."""
    return "" if lower is None or upper is None else f"95 %: {show(lower)} to {show(upper)}"
