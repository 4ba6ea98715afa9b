"""Tables of numbers as text: the cells of reports and of the terminal, and rows as markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def cell(value: object) -> str:
    """Text of a table cell; empty where missing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2g}" if abs(value) < 0.001 and value != 0.0 else f"{value:.3f}"
    return str(value)


def markdown_table(
    columns: Iterable[str], rows: Iterable[Iterable[object]], text: Callable[[object], str] = cell
) -> list[str]:
    """Lines of a markdown table.

    Parameters
    ----------
    columns : iterable of str
        Headings.
    rows : iterable of iterable
        Values in their order.
    text : callable
        Writes a value; a bar in it is escaped.
    """
    headings = list(columns)
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return lines + ["| " + " | ".join(text(value).replace("|", "\\|") for value in row) + " |" for row in rows]


def frame_table(frame: pl.DataFrame, columns: Mapping[str, str]) -> list[str]:
    """Lines of a markdown table of some columns of a frame, each with its heading."""
    return markdown_table(columns.values(), frame.select(list(columns)).iter_rows())
