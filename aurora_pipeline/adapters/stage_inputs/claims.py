"""Reads what the claim ledger is built from: tables, the scorecard and the proofs a home has stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.calibration_quality import calibration_error_interval, matured_signals
from aurora_pipeline.monitoring.claim_types import ClaimInputs
from aurora_pipeline.monitoring.performance import book_performance
from aurora_pipeline.monitoring.session_ics import session_ics
from aurora_pipeline.settings import Settings

PIPELINE_PROOF = "proof_pipeline.json"
SCORER_PROOF = "proof_scorer.json"
ABLATION = "ablation.json"
_SCORED = ("session", "symbol", "decision_time")


def read_claims_inputs(home: Home, settings: Settings, book: str) -> ClaimInputs:
    """Read everything within the settings' span.

    Parameters
    ----------
    home : Home
        The installation.
    settings : Settings
        Decide the span, the book's limits and the seed of the intervals.
    book : str
        Book whose portfolio is reported.
    """
    lake, folder = home.lake, home.folder()
    sessions = home.sessions(settings)
    first, last = sessions[0], sessions[-1]
    labels = lake.read("labels", first, last)
    signals = lake.read("signals", first, last)
    predictions = lake.read("predictions", first, last, [*_SCORED, "model", "score"])
    ensemble = lake.read("ensemble", first, last)
    portfolio = lake.read("portfolio", first, last, book=book)
    # The scorecard may be of a book of other settings; what is said of the book is measured on the one that is asked for.
    card = (_json(home.scorecard_file) or {}) | {"book": book_performance(portfolio, settings.seed)}
    return ClaimInputs(
        market=folder.manifest.name,
        market_kind="synthetic" if folder.synthetic else "real",
        card=card,
        feature_audit=_newest_audit(home),
        predictions=predictions,
        ensemble=ensemble,
        session_ics=session_ics(predictions, ensemble, labels),
        signal_quality=lake.read("signal_quality"),
        portfolio=portfolio,
        model_states=lake.read("model_states", first, last),
        calibration_interval=calibration_error_interval(matured_signals(signals, labels), settings.seed),
        proof_pipeline=_json(home.reports / PIPELINE_PROOF),
        proof_scorer=_json(home.reports / SCORER_PROOF),
        ablation=_json(home.reports / ABLATION),
        utilisation_cap=settings.book.utilisation_cap,
        build_sessions=settings.book.build_sessions,
    )


def _newest_audit(home: Home) -> pl.DataFrame:
    folds = home.lake.branch_values("feature_audit", "fold")
    return home.lake.read("feature_audit", fold=folds[-1]) if folds else empty("feature_audit")


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
