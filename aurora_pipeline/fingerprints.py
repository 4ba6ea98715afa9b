"""Fingerprints of what numbers are made from: code, settings, and rows as they had been told by some moment."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.settings import Section, Settings

FOUNDATIONS = ("calendar.py", "contracts", "lookback.py", "market/point_in_time.py")
"""Code that every stage rests on."""
_PACKAGE = Path(__file__).parent


def joint_hash(*parts: str) -> str:
    """Hash of several texts in their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@lru_cache(maxsize=64)
def code_hash(paths: tuple[str, ...]) -> str:
    """Hash of the Python source below the given files and folders of the package."""
    digest = hashlib.sha256()
    for name in sorted({*paths, *FOUNDATIONS}):
        root = _PACKAGE / name
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def settings_hash(settings: Settings, keys: Iterable[str]) -> str:
    """Hash of the named sections or keys of the settings."""
    content = settings.model_dump(mode="json")
    chosen: dict[str, Any] = {}
    for key in keys:
        value: Any = content
        for part in key.split("."):
            value = value[part]
        chosen[key] = value
    return joint_hash(json.dumps(chosen, sort_keys=True))


def sections_of(settings: Settings, keys: Iterable[str]) -> set[type[Section]]:
    """Return the sections that hold the named sections or keys; the settings themselves are one."""
    found: set[type[Section]] = set()
    for key in keys:
        section: Section = settings
        for part in key.split("."):
            value = getattr(section, part)
            section = value if isinstance(value, Section) else section
        found.add(type(section))
    return found


def derivations(section: type[Section]) -> dict[str, str]:
    """Source of the methods by which a section derives values from its own, such as a default that depends on the frequency."""
    members = {name: member.fget if isinstance(member, property) else member for name, member in vars(section).items()}
    return {
        name: inspect.getsource(member)
        for name, member in members.items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


def derivation_hashes(settings: Settings, keys: Iterable[str]) -> list[str]:
    """Hash of what each section that holds one of the keys derives from its values; none for one that derives nothing."""
    sections = sorted(sections_of(settings, keys), key=lambda section: section.__name__)
    return [digest for section in sections if (digest := _derivation_hash(section))]


@lru_cache(maxsize=64)
def _derivation_hash(section: type[Section]) -> str:
    sources = derivations(section)
    return joint_hash(*(sources[name] for name in sorted(sources))) if sources else ""


def feeds_fingerprint(folder: MarketFolder, settings: Settings) -> str:
    """Fingerprint of all feed tables: the market's files, the validation code and its settings."""
    parts = [folder.content_hash(name) for name in ("manifest", "universe", *folder.feeds)]
    return joint_hash(code_hash(("market",)), settings_hash(settings, ("quality",)), *parts)


def told_by(frame: pl.DataFrame, moments: Sequence[datetime]) -> list[str]:
    """Hash, for each of some moments in time order, of everything a feed had told by then.

    Parameters
    ----------
    frame : polars.DataFrame
        A feed's rows with `known_at` and, where it has verdicts, `quarantined_at`; their order does not matter.
    moments : sequence of datetime
        In time order.
    """
    stamps = np.array([int(moment.timestamp() * 1_000_000) for moment in moments])
    sums = np.zeros((2, len(moments) + 1), dtype=np.uint64)
    for column in ["known_at"] + [column for column in ("quarantined_at",) if column in frame.columns]:
        told = frame.filter(pl.col(column).is_not_null())
        rows = told.hash_rows(seed=17).to_numpy()
        index = np.searchsorted(stamps, told.get_column(column).dt.epoch("us").to_numpy(), side="left")
        np.add.at(sums[0], index, rows)
        np.add.at(sums[1], index, rows * rows)
    digests, digest = [], ""
    for position in range(len(moments)):
        digest = joint_hash(digest, f"{sums[0, position]}-{sums[1, position]}")
        digests.append(digest)
    return digests
