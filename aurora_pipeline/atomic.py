"""Files replaced as a whole: temporary sibling, flush to disk, rename.

A reader sees the old file or the new one, never a part, and a process killed on the way leaves the old one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary sibling, flush it to disk and rename it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_text(path: Path, text: str) -> None:
    """Replace a small text file."""
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def atomic_bytes(path: Path, content: bytes) -> None:
    """Replace a small binary file."""
    atomic_write(path, lambda temporary: temporary.write_bytes(content))
