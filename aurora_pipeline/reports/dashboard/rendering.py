"""Renders the dashboard of a home, panel by panel, again only where an input has changed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.errors import BookError
from aurora_pipeline.live.last_settings import last_settings
from aurora_pipeline.monitoring.dashboard.page import DAGSTER, MLFLOW, Heading, page_html, version
from aurora_pipeline.monitoring.dashboard.panel import Panel
from aurora_pipeline.monitoring.performance_dashboard import GROUPS, rendered
from aurora_pipeline.reports.dashboard.inputs import newest_session, read_input, stamp
from aurora_pipeline.stages import book_name

PAGE = "dashboard.html"
LIVE = "live"
REPORTS = ("claims.html", "model_comparison.md", "signal_quality.md", "ablation.md", "capacity.md")
"""Pages below `<home>/reports` that are linked where they exist."""


class Dashboard:
    """The dashboard of one home and book.

    Parameters
    ----------
    home : Home
        Only read.
    book : str, optional
        `live` where there is one, else the backtest of the settings in force.

    Raises
    ------
    BookError
        The home holds no book of that name.
    """

    def __init__(self, home: Home, book: str | None = None) -> None:
        self.home = home
        self.books = home.lake.branch_values("portfolio", "book")
        self.book = chosen_book(home, book)
        market = home.market()
        self.synthetic = market.directory is not None and home.folder().synthetic
        self._kept: dict[str, tuple[tuple[str, ...], str]] = {}
        self._inputs: dict[str, Any] = {}
        self._lock = threading.Lock()

    def render(self, *, served: bool = False) -> tuple[str, str]:
        """Bring every panel up to date; returns the page and its version."""
        with self._lock:
            stamps: dict[str, str] = {}
            groups = [(name, [(panel, self._panel(panel, stamps)) for panel in panels]) for name, panels in GROUPS]
            self._inputs.clear()  # what was read for one rendering is not kept in memory
            return page_html(self.heading(served=served), groups, served=served), version(groups)

    def _panel(self, panel: Panel, stamps: dict[str, str]) -> str:
        for name in panel.reads:
            if name not in stamps:
                stamps[name] = stamp(self.home, self.book, name)
        wanted = tuple(stamps[name] for name in panel.reads)
        made, html = self._kept.get(panel.key, ((), ""))
        if made != wanted:
            html = rendered(panel, self._read, synthetic=self.synthetic)
            self._kept[panel.key] = (wanted, html)
        return html

    def _read(self, name: str) -> Any:
        if name not in self._inputs:
            self._inputs[name] = read_input(self.home, self.book, name)
        return self._inputs[name]

    def heading(self, *, served: bool) -> Heading:
        """What stands above the panels; links are those of a server, or of a file among the reports."""
        home, market = self.home, self.home.market()
        settings = last_settings(home)
        sessions = home.sessions(settings)
        newest = newest_session(home)
        now = datetime.now(tz=UTC)
        books = [(f"book {name}", f"?book={name}") for name in self.books if name != self.book] if served else []
        below = "reports/" if served else ""
        pages = [(name, f"{below}{name}") for name in REPORTS if (home.reports / name).exists()]
        newest_of = (
            sorted(path.name for path in home.reports.glob(pattern))[-1:] for pattern in ("day-*.html", "week-*.html")
        )
        return Heading(
            title=f"Aurora: {market.name}",
            facts=f"{book_named(home, self.book)} · {market.frequency} bars · {sessions[0]} to {newest or sessions[-1]}",
            made=f"As stored at {now:%Y-%m-%d %H:%M:%S} UTC.",
            synthetic=self.synthetic,
            links=(
                ("Dagster", DAGSTER),
                ("MLflow", MLFLOW),
                *books,
                *pages,
                *((name, f"{below}{name}") for names in newest_of for name in names),
            ),
        )


def chosen_book(home: Home, book: str | None = None) -> str:
    """Book of that name, or the default one.

    Raises
    ------
    BookError
        The home holds no book of that name.
    """
    books = home.lake.branch_values("portfolio", "book")
    if book is not None and book not in books:
        raise BookError(f"home {home.path} holds no book {book}; it has {', '.join(books) or 'none'}")
    return book or default_book(home, books)


def book_named(home: Home, book: str) -> str:
    """Name of a book for a heading, which says so where it is the backtest of other settings than those in force."""
    in_force = book_name(last_settings(home))
    return (
        f"book {book}"
        if book in (LIVE, in_force)
        else f"book {book}, of other settings than those in force ({in_force})"
    )


def default_book(home: Home, books: list[str]) -> str:
    """`live` where there is one, else the backtest of the settings in force, else the first there is."""
    wanted = book_name(last_settings(home))
    if LIVE in books:
        return LIVE
    return wanted if wanted in books or not books else books[0]


def write_dashboard(home: Home, book: str | None = None) -> Path:
    """Write the page as one file below `<home>/reports`, for those without a server."""
    page, _ = Dashboard(home, book).render()
    target = home.reports / PAGE
    atomic_text(target, page)
    return target
