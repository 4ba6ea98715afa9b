"""Settings for whoever must go on although the home's file cannot be used: what a running session was opened with."""

from __future__ import annotations

import json

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.settings import Settings


def last_settings(home: Home) -> Settings:
    """Settings of a home; where its file cannot be used, those the newest live session was opened with.

    Raises
    ------
    SettingsError
        The file cannot be used and no session was ever opened.
    """
    try:
        return home.settings()
    except SettingsError:
        openings = sorted((home.path / "live" / "sessions").glob("*/opening/opening.json"))
        if not openings:
            raise
        return Settings.model_validate(json.loads(openings[-1].read_text(encoding="utf-8"))["settings"])


def settings_trouble(home: Home) -> str:
    """One sentence on why a home's settings cannot be used, and what comes of it; empty where they can."""
    try:
        home.settings()
    except SettingsError as error:
        reason = " ".join(str(error).split())
        return (
            f"the settings cannot be used: {reason}; a session that has begun goes on with those of its opening, until this is "
            "repaired none can be opened or closed, and no backfill can be run"
        )
    return ""
