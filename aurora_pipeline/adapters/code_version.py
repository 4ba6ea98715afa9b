"""Which code is running: the revision of the checkout, where it is one."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from typing import Any

from aurora_pipeline.adapters.home import REPOSITORY


@lru_cache(maxsize=1)
def git_state() -> dict[str, Any]:
    """Return `revision` (None outside a checkout) and whether there are uncommitted changes (`dirty`)."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    return {"revision": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
