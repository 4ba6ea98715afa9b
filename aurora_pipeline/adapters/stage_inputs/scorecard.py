"""Reads what a scorecard is built from: stored tables of one home and one book, and the truth where one was planted."""

from __future__ import annotations

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.fingerprints import settings_hash
from aurora_pipeline.monitoring.scorecard import ScorecardInputs
from aurora_pipeline.settings import Settings

_SCORED = ("session", "symbol", "decision_time")


def read_scorecard_inputs(home: Home, settings: Settings, book: str) -> ScorecardInputs:
    """Read everything scored within the settings' span.

    Parameters
    ----------
    home : Home
        The installation.
    settings : Settings
        Decide the span and the seed of the intervals.
    book : str
        Book whose portfolio is reported.
    """
    folder, lake = home.folder(), home.lake
    sessions = home.sessions(settings)
    first, last = sessions[0], sessions[-1]
    truth = folder.read_truth()
    return ScorecardInputs(
        predictions=lake.read("predictions", first, last, [*_SCORED, "model", "score"]),
        ensemble=lake.read("ensemble", first, last),
        signals=lake.read("signals", first, last),
        labels=lake.read("labels", first, last),
        portfolio=lake.read("portfolio", first, last, book=book),
        truth=truth,
        manifest={
            "market": folder.manifest.name,
            "synthetic": truth is not None,
            "survivorship": folder.manifest.survivorship,
            "frequency": home.frequency,
            "horizon_bars": settings.horizon_bars(home.frequency),
            "first_session": first.isoformat(),
            "last_session": last.isoformat(),
            "book": book,
            "settings": settings_hash(settings, tuple(type(settings).model_fields)),
        },
        seed=settings.seed,
    )
