"""`aurora dashboard` and its written form, `aurora report dashboard`."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from aurora_pipeline.commands.terminal import HomeOption, opened_home, out

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

    opened = opened_home(home)
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

    out.print(f"page  {write_dashboard(opened_home(home), book)}", highlight=False)
