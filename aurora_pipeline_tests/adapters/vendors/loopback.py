"""An HTTP server on loopback that answers as a vendor's documentation says, with faults put in its way."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """An answer; `cut` sends only half the body promised, `drop` nothing at all, `late` answers after so many seconds."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    drop: bool = False
    late: float = 0.0


@dataclass
class Fault:
    """What happens instead of, or after (`carried_out`), the next request that it fits."""

    reply: Reply
    method: str = ""
    path: str = ""
    carried_out: bool = False

    def fits(self, request: Request) -> bool:
        return (not self.method or request.method == self.method) and self.path in request.path


class Vendor:
    """One vendor on loopback: requests it has had, faults it will show, and the function that answers the rest."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.url = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def reply(self, request: Request) -> Reply:
        with self._lock:
            self.asked.append(request)
            fault = next((each for each in self.faults if each.fits(request)), None)
            if fault is None:
                return self.answer(request)
            self.faults.remove(fault)
            if fault.carried_out:
                self.answer(request)
            return fault.reply

    def wait(self, seconds: float) -> None:
        self._ended.wait(seconds)

    @contextmanager
    def running(self) -> Iterator[Vendor]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            self._ended.set()
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            parts = urlsplit(self.path)
            headers = {key.lower(): value for key, value in self.headers.items()}
            body = json.loads(raw) if raw else None
            reply = vendor.reply(Request(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body))
            if reply.late:
                vendor.wait(reply.late)
            if reply.drop:
                self.close_connection = True
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            if reply.body is None:
                content = b""
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content[: len(content) // 2] if reply.cut else content)
            except OSError:  # whoever asked has given up waiting
                self.close_connection = True
            if reply.cut:
                self.close_connection = True

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, *_: object) -> None:
            """Say nothing: what the tests look at is `Vendor.asked`."""

    return Handler
