"""`aurora dashboard`, its written form `aurora report dashboard`, and the reports of a day and a week."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from aurora_pipeline.commands.terminal import HomeOption, NewestSession, existing_home, out, require_free_port

PORT = 8321
BookOption = Annotated[str | None, typer.Option(help="Book; live where there is one, else the settings' backtest.")]


def dashboard(
    home: HomeOption = None,
    book: BookOption = None,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes any that is free.")] = PORT,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = False,
) -> None:
    """Serve the dashboard on loopback, read-only; it follows what is stored until Ctrl-C."""
    from aurora_pipeline.reports.dashboard.server import DashboardServer

    opened = existing_home(home)
    require_free_port(port)
    with DashboardServer(opened, port, book) as server, server.looking():
        out.print(f"dashboard on {server.address} for home {opened.path}; Ctrl-C ends it", highlight=False)
        if browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            out.print("ended")


def write(home: HomeOption = None, book: BookOption = None) -> None:
    """Write the dashboard as one HTML file that needs no server."""
    from aurora_pipeline.reports.dashboard.rendering import write_dashboard

    out.print(f"page  {write_dashboard(existing_home(home), book)}", highlight=False)


def day(home: HomeOption = None, book: BookOption = None, session: NewestSession = None) -> None:
    """Write the report of a session, the newest by default: what changed since the one before, what needs a person."""
    from aurora_pipeline.reports.period_reports import write_day_report

    page = write_day_report(existing_home(home), session.date() if session else None, book)
    out.print(f"page  {page}", highlight=False)


def week(home: HomeOption = None, book: BookOption = None, session: NewestSession = None) -> None:
    """Write the report of a session's week, the newest by default, beside the week before."""
    from aurora_pipeline.reports.period_reports import write_week_report

    page = write_week_report(existing_home(home), session.date() if session else None, book)
    out.print(f"page  {page}", highlight=False)
