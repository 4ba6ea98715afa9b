"""What the dashboard of a home costs, and pictures of it for the documentation.

    python -m benchmarks.dashboard HOME [--screenshots DIR]

Processor seconds of importing, of the first rendering and of the next ones; then first byte and whole page over HTTP, by the
wall clock. Pictures are taken by headless Chromium, one per group of panels.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

REQUESTS = 20
WIDTH, HEIGHT = 1400, 3200
COLOURS = 200
"""Colours of a picture's palette: small files, sharp text."""


def main() -> None:
    """Measure, and take pictures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--screenshots", type=Path)
    arguments = parser.parse_args()
    started = time.process_time()
    from aurora_pipeline.adapters.home import Home
    from aurora_pipeline.reports.dashboard.server import DashboardServer

    imported = time.process_time()
    print(f"import {imported - started:.2f} s of processor time")
    with DashboardServer(Home(arguments.home.absolute()), 0) as server:
        rendered = time.process_time()
        print(f"first rendering, before it listens {rendered - imported:.2f} s of processor time")
        server.look()
        print(f"a look when nothing changed {time.process_time() - rendered:.3f} s of processor time")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        first, whole, size = zip(*(_request(server.server_port) for _ in range(REQUESTS)), strict=True)
        print(f"page {size[0] / 1e3:.0f} kB; of {REQUESTS} requests, slowest by the wall clock: ", end="")
        print(f"first byte {1e3 * max(first):.0f} ms, whole page {1e3 * max(whole):.0f} ms")
        server.shutdown()
    if arguments.screenshots:
        _pictures(Home(arguments.home.absolute()), arguments.screenshots)


def _request(port: int) -> tuple[float, float, int]:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    answer = connection.getresponse()
    size = len(answer.read(1))
    first = time.perf_counter() - started
    size += len(answer.read())
    connection.close()
    return first, time.perf_counter() - started, size


def _pictures(home: object, folder: Path) -> None:
    """One picture per group, cut where the page ends, with a palette."""
    from PIL import Image, ImageChops

    from aurora_pipeline.adapters.home import Home
    from aurora_pipeline.monitoring.dashboard.page import page_html
    from aurora_pipeline.monitoring.performance_dashboard import GROUPS, rendered
    from aurora_pipeline.reports.dashboard.inputs import read_input
    from aurora_pipeline.reports.dashboard.rendering import Dashboard

    assert isinstance(home, Home)
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium in PATH")
    dashboard = Dashboard(home)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, panels in GROUPS:
            made = [
                (
                    panel,
                    rendered(panel, lambda key: read_input(home, dashboard.book, key), synthetic=dashboard.synthetic),
                )
                for panel in panels
            ]
            page, shot = Path(scratch) / "page.html", Path(scratch) / "shot.png"
            page.write_text(page_html(dashboard.heading(served=False), [(name, made)], served=False), encoding="utf-8")
            command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += [
                f"--user-data-dir={scratch}/chromium",
                f"--window-size={WIDTH},{HEIGHT}",
                f"--screenshot={shot}",
            ]
            subprocess.run([*command, page.as_uri()], check=True, capture_output=True)
            picture = Image.open(shot).convert("RGB")
            ground = Image.new("RGB", picture.size, picture.getpixel((2, picture.height - 2)))
            bottom = ImageChops.difference(picture, ground).getbbox()[3]
            target = folder / f"dashboard-{name.lower()}.png"
            cut = picture.crop((0, 0, WIDTH, min(picture.height, bottom + 24)))
            cut.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
            print(f"{target} {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
