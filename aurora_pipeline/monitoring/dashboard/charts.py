"""Drawing with matplotlib into SVG whose text stays text: it can be searched, copied, and read at any size.

One look for every chart: dark on light, few lines, axes with units, colours that differ to colour-blind eyes as well (Okabe
and Ito, "Color Universal Design", 2008), ids removed so that many charts share one page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072b2",
    "#d55e00",
    "#00876c",
    "#b3261e",
    "#8e4585",
    "#56b4e9",
    "#e0a800",
)
GREY, LIGHT, INK = "#8a8f98", "#d9dce1", "#22262b"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, "#7a5230", "#e377a2", "#4d4d4d", "#9ccc65", "#26418f", "#c0c0c0")
WIDTH = 6.4
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aurora",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceef1",
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
_FONT = re.compile(r" ?font-family: [^;\"]+;?")
_OWN_ID = re.compile(
    r' id="(?:figure|axes|matplotlib\.axis|patch|text|line2d|xtick|ytick|legend|[A-Z][A-Za-z]*Collection)_\d+"'
)


def drawn(draw: Callable[..., None], *, height: float = 2.3, rows: int = 1, columns: int = 1, **subplots: Any) -> str:
    """Let `draw` fill axes and return them as SVG.

    Parameters
    ----------
    draw : callable
        Takes `rows` * `columns` axes, row by row.
    height : float
        Inches; the width is :data:`WIDTH`.
    rows, columns : int
        Grid of axes.
    **subplots
        For `Figure.subplots`, such as ``sharex=True``.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(rows, columns, squeeze=False, **subplots)
        draw(*axes.ravel())
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(content.getvalue())


def dated(axes: Axes) -> None:
    """Label a time axis of sessions."""
    _ticks(axes, "%d %b %y", 6)


def clocked(axes: Axes) -> None:
    """Label a time axis within a session."""
    _ticks(axes, "%H:%M", 8)
    axes.set_xlabel("bar end, UTC")


def _ticks(axes: Axes, pattern: str, most: int) -> None:
    from matplotlib.dates import MONTHLY, AutoDateLocator, DateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=most)  # type: ignore[no-untyped-call]
    # Half a year is the longest step of months: just under three years take seven of them.
    locator.maxticks[MONTHLY] = max(most, 7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(DateFormatter(pattern))  # type: ignore[no-untyped-call]


def in_percent(axes: Axes, which: str = "y", digits: int | None = None) -> None:
    """Show an axis of fractions in percent."""
    from matplotlib.ticker import PercentFormatter

    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(PercentFormatter(1.0, decimals=digits, symbol=" %"))


def stretches(sessions: Sequence[date], values: Sequence[str | None]) -> list[tuple[date, date, str]]:
    """Runs of equal values: first session, first session after the run (the last one for the newest), value."""
    found: list[tuple[date, date, str]] = []
    start = 0
    for index, (left, right) in enumerate(pairwise([*values, object()])):
        if left == right:
            continue
        last = min(index + 1, len(sessions) - 1)
        if isinstance(left, str):
            found.append((sessions[start], sessions[last], left))
        start = index + 1
    return found


def _inline(text: str) -> str:
    """Cut an SVG file down to what an HTML page needs."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = _OWN_ID.sub("", body)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = _FONT.sub("", body)
    body = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', body, count=1)
    body = re.sub(r"(\d+\.\d{2})\d+", r"\1", body)
    return re.sub(r"\n\s*", "\n", body).strip()
