"""Drawing with matplotlib into SVG whose text stays text: it can be searched, copied, and read at any size.

One look for every chart: dark on light, few lines, axes with units, colours that differ to colour-blind eyes as well (Okabe
and Ito, "Color Universal Design", 2008), ids removed so that many charts share one page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any

from aurora_pipeline.monitoring.dashboard.panel import percent

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
FEW = 5
"""Points of a line up to which each is marked: a line takes two, and one more after every gap."""
SMALLEST = 1e-4
"""Least height of an axis of returns, fraction of NAV: less is rounding, not a movement."""
MOST_DIGITS = 6
MOST_MONTHS = 36
"""Calendar months up to which a chart has a mark for each; a longer history has one for each year."""
LABEL_STEPS = (1, 2, 3, 4, 6, 12)
"""Every which category of an axis is labelled, so that what is labelled of months is the same in every year."""
ROOM = 90
"""Letters for which an axis across a chart has room; one of two beside each other has half of it."""
GAP = 3
"""Letters between two labels."""
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
_TAG = re.compile(r"<[^>]*>")
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


def line(axes: Axes, times: Sequence[object], values: Any, **style: Any) -> None:
    """Draw values over time; a few are marked as points, so that one alone is seen too."""
    marks = {"marker": "o", "markersize": 4.0} if len(times) <= FEW else {}
    axes.plot(times, values, **marks, **style)  # type: ignore[arg-type]


def at_least(axes: Axes, height: float) -> None:
    """Widen the y-axis to a height, so that next to nothing looks like nothing."""
    low, high = axes.get_ylim()
    missing = height - (high - low)
    if missing > 0.0:
        axes.set_ylim(low - missing / 2, high + missing / 2)


def calendar_period(first: date, last: date) -> tuple[str, str]:
    """Calendar period a chart of these sessions is cut into, `month` or `year`, and the pattern that names one."""
    months = 12 * (last.year - first.year) + last.month - first.month + 1
    return ("month", "%Y-%m") if months <= MOST_MONTHS else ("year", "%Y")


def named(axes: Axes, names: Sequence[str], room: int = ROOM) -> None:
    """Label an axis of categories with room for so many letters: of many only every second, third, ... one."""
    most = room // (GAP + max(map(len, names), default=0))
    least = max(1, -(-len(names) // most))
    step = next((step for step in LABEL_STEPS if step >= least), least)
    axes.set_xticks(range(0, len(names), step), names[::step])


def from_zero(axes: Axes) -> None:
    """Let the y-axis begin at zero, with room above values that hardly differ."""
    axes.set_ylim(0.0, max(axes.get_ylim()[1], 1.1 * float(axes.dataLim.y1)))


def dated(axes: Axes) -> None:
    """Label a time axis of sessions; one session stands in the middle of some days."""
    _widened(axes, timedelta(days=1), timedelta(days=2))
    _ticks(axes, "%d %b %y", 6)


def clocked(axes: Axes) -> None:
    """Label a time axis within a session; one bar stands in the middle of an hour."""
    _widened(axes, timedelta(minutes=1), timedelta(minutes=30))
    _ticks(axes, "%H:%M", 8)
    axes.set_xlabel("bar end, UTC")


def _widened(axes: Axes, least: timedelta, margin: timedelta) -> None:
    """Give an axis of a single moment a margin on both sides: drawing takes it for years otherwise."""
    first, last = axes.dataLim.intervalx
    day = timedelta(days=1)
    if isfinite(first) and isfinite(last) and last - first < least / day:
        axes.set_xlim(first - margin / day, last + margin / day)


def _ticks(axes: Axes, pattern: str, most: int) -> None:
    from matplotlib.dates import MONTHLY, AutoDateLocator, DateFormatter, DayLocator

    first, last = axes.get_xlim()
    if pattern.startswith("%d") and last - first < most:
        # Steps below a day would write the same day twice.
        axes.xaxis.set_major_locator(DayLocator())  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(DateFormatter(pattern))  # type: ignore[no-untyped-call]
        return
    locator = AutoDateLocator(minticks=3, maxticks=most)  # type: ignore[no-untyped-call]
    # Half a year is the longest step of months: just under three years take seven of them.
    locator.maxticks[MONTHLY] = max(most, 7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(DateFormatter(pattern))  # type: ignore[no-untyped-call]


def in_percent(axes: Axes, which: str = "y", digits: int | None = None) -> None:
    """Show an axis of fractions in percent, with at least the given digits and as many as tell its ticks apart."""
    axis = axes.yaxis if which == "y" else axes.xaxis

    def shown(value: float, position: float) -> str:
        ticks = [100.0 * float(tick) for tick in axis.get_majorticklocs()]
        step = min((right - left for left, right in pairwise(ticks)), default=1.0)
        enough = (
            count
            for count in range(digits or 0, MOST_DIGITS)
            if all(abs(round(tick, count) - tick) < 0.01 * step for tick in ticks)
        )
        return percent(value, next(enough, MOST_DIGITS))

    axis.set_major_formatter(shown)
    if which == "x":
        axes.locator_params(axis="x", nbins=4)


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
    # Coordinates are shortened, what is written is not: a tick of 0.0004 would read 0.00.
    body = _TAG.sub(lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag.group()), body)
    return re.sub(r"\n\s*", "\n", body).strip()
