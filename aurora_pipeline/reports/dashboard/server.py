"""Serves the dashboard on loopback: the page is rendered before it is asked for, so that a request only sends it.

Nothing can be written through it. Requests under another host's name are refused, so that a page in the same browser cannot
read it by pointing a name of its own at this machine (DNS rebinding).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import AuroraError, SettingsError
from aurora_pipeline.monitoring.dashboard.page import SCRIPT_HASH
from aurora_pipeline.reports.dashboard.rendering import Dashboard

LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 10.0
"""How often what is stored is looked at."""
_LOG = logging.getLogger(__name__)
_HOSTS = ("127.0.0.1", "localhost")
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    f"frame-ancestors 'none'; script-src 'sha256-{SCRIPT_HASH}'"
)


class DashboardServer(ThreadingHTTPServer):
    """The server of one home; its pages are rendered before it listens.

    Parameters
    ----------
    home : Home
        Only read.
    port : int
        On loopback; 0 takes any that is free.
    book : str, optional
        As of :class:`~aurora_pipeline.reports.dashboard.rendering.Dashboard`.

    Raises
    ------
    SettingsError
        The port is taken.
    """

    daemon_threads = True

    def __init__(self, home: Home, port: int, book: str | None = None) -> None:
        self.home = home
        first = Dashboard(home, book)
        self.book = first.book
        self._dashboards = {first.book: first}
        self._pages = {first.book: first.render(served=True)}
        self._ended = threading.Event()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise SettingsError(
                f"port {port} of {LOOPBACK} cannot be had ({error}); choose another with --port"
            ) from error

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def page(self, book: str | None) -> tuple[str, str]:
        """Page of a book with its version; raises BookError for one that is not there."""
        name = book or self.book
        if name not in self._pages:
            made = Dashboard(self.home, name)
            self._pages[name] = made.render(served=True)
            self._dashboards[name] = made
        return self._pages[name]

    def look(self) -> None:
        """Render again what has changed, for every book somebody has looked at."""
        for name, dashboard in list(self._dashboards.items()):
            self._pages[name] = dashboard.render(served=True)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Keep the pages up to date in the background."""

        def watch() -> None:
            while not self._ended.wait(LOOK_SECONDS):
                try:
                    self.look()
                except Exception:  # a home that cannot be read for a moment must not end the watch
                    _LOG.exception("looking at %s", self.home.path)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._ended.set()
            watcher.join(timeout=LOOK_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    server: DashboardServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "aurora", ""

    def do_GET(self) -> None:
        """Answer a page, its version, or a report."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in _HOSTS:
            self._send(HTTPStatus.FORBIDDEN, "this server answers 127.0.0.1 and localhost only\n", "text/plain")
            return
        asked = urlsplit(self.path)
        book = parse_qs(asked.query).get("book", [None])[0]
        try:
            if asked.path == "/":
                self._send(HTTPStatus.OK, self.server.page(book)[0], "text/html")
            elif asked.path == "/version":
                self._send(HTTPStatus.OK, self.server.page(book)[1] + "\n", "text/plain")
            elif asked.path.startswith("/reports/"):
                self._report(asked.path.removeprefix("/reports/"))
            else:
                self._send(HTTPStatus.NOT_FOUND, "there is /, /version and /reports/\n", "text/plain")
        except AuroraError as error:
            self._send(HTTPStatus.NOT_FOUND, f"{error}\n", "text/plain")

    do_HEAD = do_GET  # noqa: N815  (named by the standard library)

    def do_POST(self) -> None:
        """Refuse: nothing can be changed here."""
        self.close_connection = True
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, "read-only\n", "text/plain")

    do_PUT = do_DELETE = do_PATCH = do_POST  # noqa: N815

    def _report(self, name: str) -> None:
        """One of the files that lie in the home's reports, by its very name."""
        kinds = {".html": "text/html", ".md": "text/plain", ".png": "image/png"}
        for path in self.server.home.reports.glob("*"):
            if path.name == name and path.suffix in kinds and path.is_file():
                self._send(HTTPStatus.OK, path.read_bytes(), kinds[path.suffix])
                return
        self._send(HTTPStatus.NOT_FOUND, "no such report\n", "text/plain")

    def _send(self, status: HTTPStatus, body: str | bytes, kind: str) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind if kind.startswith("image/") else f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of a request that was answered."""
