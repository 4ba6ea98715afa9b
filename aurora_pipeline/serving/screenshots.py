"""The UI of a replay as a person sees it: a few bars through the real daemon, then pages by headless Chromium."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from aurora_pipeline.adapters.feeds.replayer import Replayer
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import AuroraError, LakeError
from aurora_pipeline.live.homes import make_replay
from aurora_pipeline.live.replay import replay_session
from aurora_pipeline.serving.service import LOOPBACK, Service

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PAGES = {
    "ui-asset-graph": ("asset-groups", (1800, 1000), "lifecycle"),
    "ui-target-positions": ("assets/target_positions?view=overview", (1500, 1600), "largest_targets"),
    "ui-runs": ("runs", (1500, 700), "bar_arrival"),
}
"""Name of each picture to its path below the UI's address, its size in pixels, and what is on it once it is drawn."""
_COLOURS = 96
_REPORT_SECONDS = 8.0
"""How long the last run may still report after its bar was settled."""
_PAGE_SECONDS = 180
_LOADS = 6


class ScreenshotError(AuroraError):
    """There is no Chromium, or it did not show a page."""


def chromium() -> str:
    """Path of a Chromium.

    Raises
    ------
    ScreenshotError
        There is none.
    """
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        raise ScreenshotError(f"no Chromium in PATH (looked for {', '.join(CHROMIUM)}); install one, such as Debian's")
    return found


@contextmanager
def replayed_ui(source: Home, session: date, work: Path, bars: int, port: int) -> Iterator[tuple[Home, str]]:
    """Serve a replay of which some bars have been decided; gives its home and the UI's address.

    Parameters
    ----------
    source : Home
        A home that has been brought up to date.
    session : date
    work : Path
        Folder for the replay home; made anew.
    bars : int
        Bars of the session to tell first.
    port : int
        Of the webserver, on loopback.
    """
    home = make_replay(source, session, work)
    with Service(home, port, "replay").running() as service:
        if not service.wait(service.ready, 180.0):
            raise LakeError(f"the webserver did not come up; look at {home.path / 'live' / 'logs'}")
        feed = Replayer(source.folder(), session)
        replay_session(home, session, [feed], service.wait, speed=10_000.0, patience=600.0, bars=bars)
        service.wait(lambda: False, _REPORT_SECONDS)
        yield home, f"http://{LOOPBACK}:{port}"


def take_screenshots(source: Home, session: date, work: Path, bars: int, port: int, folder: Path) -> list[Path]:
    """Photograph the pages of :data:`PAGES`; parameters as in :func:`replayed_ui`, and the folder for the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    chromium()
    with replayed_ui(source, session, work, bars, port) as (_, address):
        pictures = []
        for name, (page, size, drawn) in PAGES.items():
            picture = folder / f"{name}.png"
            page_text(f"{address}/{page}", work / "chromium", drawn)
            photograph(f"{address}/{page}", picture, work / "chromium", size)
            pictures.append(picture)
        return pictures


def photograph(url: str, picture: Path, profile: Path, size: tuple[int, int]) -> None:
    """Write a page as a PNG of few colours, so that it stays small.

    Raises
    ------
    ScreenshotError
        Chromium wrote nothing.
    """
    _chromium(url, profile, size, [f"--screenshot={picture}"])
    if not picture.exists():
        raise ScreenshotError(f"Chromium wrote no picture of {url}")
    from PIL import Image

    with Image.open(picture) as image:
        small = image.convert("RGB").quantize(_COLOURS)
    small.save(picture, optimize=True)


def page_text(url: str, profile: Path, drawn: str, size: tuple[int, int] = (1500, 2400)) -> str:
    """Return a page's document once it shows a text; the UI asks its server for what it draws, so it is loaded until then.

    Raises
    ------
    ScreenshotError
        The text did not appear.
    """
    for _ in range(_LOADS):
        text = _chromium(url, profile, size, ["--dump-dom"])
        if drawn in text:
            return text
    raise ScreenshotError(f"{url} was loaded {_LOADS} times and never showed {drawn!r}")


def _chromium(url: str, profile: Path, size: tuple[int, int], arguments: list[str]) -> str:
    command = [
        chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--timeout=60000",
        "--virtual-time-budget=40000", f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}",
    ]  # fmt: skip
    done = subprocess.run(
        [*command, *arguments, url], capture_output=True, text=True, check=False, timeout=_PAGE_SECONDS
    )
    if done.returncode:
        raise ScreenshotError(f"Chromium ended with {done.returncode} at {url}: {done.stderr[-300:]}")
    return done.stdout
