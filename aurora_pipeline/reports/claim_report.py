"""Build signal quality and the claim ledger from what a home has stored, and keep them as tables and pages."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.stage_inputs.claims import read_claims_inputs
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.monitoring.claims import claim_ledger
from aurora_pipeline.monitoring.claims_page import claims_html, claims_markdown
from aurora_pipeline.monitoring.signal_quality import reliability, signal_quality
from aurora_pipeline.monitoring.signal_report import signal_markdown, signal_suite
from aurora_pipeline.stages import book_name

_SCORED = frozenset({"signals", "ensemble", "labels"})
"""Tables that signal quality is made of; the ledger rests on the portfolio too."""


def store_signal_quality(home: Home) -> tuple[pl.DataFrame, str]:
    """Measure the stored signals; writes tables `signal_quality` and `reliability` and a page, returns the first and the last."""
    settings = home.settings()
    sessions = home.sessions(settings)
    signals = home.lake.read("signals", sessions[0], sessions[-1])
    labels = home.lake.read("labels", sessions[0], sessions[-1])
    made_of = _made_of(home, _SCORED)
    quality = signal_quality(signals, labels)
    home.lake.write("signal_quality", quality, fingerprint=made_of)
    binned = reliability(signals, labels)
    home.lake.write("reliability", binned, fingerprint=made_of)
    suite = signal_suite(signals, labels, home.lake.read("universe", sessions[0], sessions[-1]))
    label = " (SYNTHETIC)" if home.folder().synthetic else ""
    page = signal_markdown(f"Signal on {home.market().name}{label}", quality, binned, suite)
    atomic_text(home.reports / "signal_quality.md", page)
    return quality, page


def store_claims(home: Home) -> tuple[pl.DataFrame, list[Path]]:
    """Hold every promise against what is stored; writes table `claims` and the pages, whose paths are returned."""
    settings = home.settings()
    claims = claim_ledger(read_claims_inputs(home, settings, book_name(settings)))
    pages = [home.reports / "claims.md", home.reports / "claims.html"]
    for page, text in zip(pages, (claims_markdown(claims), claims_html(claims)), strict=True):
        atomic_text(page, text)
    home.lake.write("claims", claims, fingerprint=_made_of(home, _SCORED | {"portfolio"}))
    return claims, pages


def is_reported(home: Home) -> bool:
    """Whether the newest report was made of what is stored now: it begins with signal quality and ends with the ledger."""
    wanted = {"signal_quality": _made_of(home, _SCORED), "claims": _made_of(home, _SCORED | {"portfolio"})}
    made = {name: home.lake.fingerprint(name) for name in wanted}
    return home.scorecard_file.exists() and made == wanted


def _made_of(home: Home, tables: frozenset[str]) -> str:
    """Hash of the fingerprints of every stored partition of some tables, of the portfolio those of the book in force."""
    digest = hashlib.sha256()
    for name in sorted(tables):
        branches = {"book": book_name(home.settings())} if name == "portfolio" else {}
        for partition in home.lake.partitions(name, **branches):
            digest.update(f"{name}:{partition}:{home.lake.fingerprint(name, partition, **branches)}\n".encode())
    return digest.hexdigest()[:32]
