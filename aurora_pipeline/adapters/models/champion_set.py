"""The champion set a tick reads: which files trade, with their hashes, and the sets before it to fall back on.

``<home>/champion_set.json`` is replaced by rename. Each family names its model version, directory, the sha256 of the version's
manifest (which holds the sha256 of every file) and its features. A reader trusts nothing: a family whose files are not what
was written falls back to the newest earlier version that is, back to the last time the family was retired, and without one does
not trade. A family that could not be trained for a fold sits it out, as in a backfill; nothing earlier stands in for it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.challenger_store import manifest_hash
from aurora_pipeline.atomic import atomic_text

FILE = "champion_set.json"
KEPT = 20
"""Earlier entries kept per family."""
_SITS_OUT = "sits_out"
"""Key of an entry that names the fold a family has no model of."""


@dataclass(frozen=True)
class Champion:
    """One family's model files, verified.

    Attributes
    ----------
    family, model, version : str
        Names.
    directory : str
        Below the home's `models/`.
    features : tuple of str
        Columns it needs.
    since : date
        Session for which it was written.
    """

    family: str
    model: str
    version: str
    directory: str
    features: tuple[str, ...]
    since: date


def write_champion_set(home: Home, states: pl.DataFrame, session: date) -> None:
    """Write the champion set of a session.

    Parameters
    ----------
    home : Home
        The installation.
    states : polars.DataFrame
        Table `model_states` of that session; a family without a model that serves is written as trading nothing.
    session : date
        The session.
    """
    with home.locked("champion_set"):
        before, _ = _read(home)
        families: dict[str, Any] = {}
        for family in states.get_column("family").unique().sort():
            serving = states.filter(pl.col("family") == family, pl.col("serves"))
            history: list[dict[str, Any]] = before.get("families", {}).get(family, [])
            entry = {"model": None, "since": session.isoformat()}
            if serving.height:
                entry = _entry(home, family, serving.get_column("model").item(), session)
            if history and _identity(history[0]) == _identity(entry):
                families[family] = history
            else:
                families[family] = [entry, *(line for line in history if line["since"] < session.isoformat())][:KEPT]
        content = {"session": session.isoformat(), "families": families}
        atomic_text(home.path / FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_champion_set(home: Home) -> tuple[list[Champion], list[str]]:
    """Return the champions whose files are what was written, and what was found wrong.

    Returns
    -------
    champions : list of Champion
        At most one per family; empty means that the book has nothing to trade on and goes flat.
    problems : list of str
        One line per family that had to fall back or drop out; one alone if the set cannot be read.
    """
    content, fault = _read(home)
    champions, problems = [], [fault] if fault else []
    for family, history in sorted(content.get("families", {}).items()):
        if history[0]["model"] is None:
            continue
        if fold := history[0].get(_SITS_OUT):
            problems.append(
                f"{family}: no model of fold {fold}, its training failed or was taken back; the family sits the fold out, run "
                f"the job train_fold for {fold}"
            )
            continue
        faults = []
        for entry in history:
            if entry["model"] is None:
                break
            if entry.get(_SITS_OUT):
                continue
            found = _fault(home, entry)
            if found is None:
                since = date.fromisoformat(entry["since"])
                champions.append(
                    Champion(
                        family, entry["model"], entry["version"], entry["directory"], tuple(entry["features"]), since
                    )
                )
                break
            faults.append(found)
        if faults:
            fallen = champions and champions[-1].family == family
            took = (
                f"fell back to {champions[-1].version}"
                if fallen
                else "nothing earlier is sound: the family does not trade"
            )
            problems.append(f"{family}: {faults[0]}; {took}")
    return champions, problems


def champion_set_before(source: Home, target: Home, session: date) -> None:
    """Give a home the champion sets another one had before a session, to fall back on."""
    families = {
        family: earlier
        for family, history in _read(source)[0].get("families", {}).items()
        if (earlier := [line for line in history if line["since"] < session.isoformat()])
    }
    content = {"session": max((lines[0]["since"] for lines in families.values()), default=""), "families": families}
    atomic_text(target.path / FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _fault(home: Home, entry: dict[str, Any]) -> str | None:
    """What is wrong with the files of an entry; None if they are what was written."""
    directory = home.models / entry["directory"]
    found = manifest_hash(directory)
    if found is None or found != entry["sha256"]:
        shown = "missing" if found is None else f"{found[:12]}..."
        return f"{directory}: manifest is {shown}, expected {entry['sha256'][:12] or 'one'}..."
    files = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["files"]
    for name, expected in files.items():
        file = directory / name
        if not file.is_file():
            return f"{file}: missing"
        if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            return f"{file}: not what its manifest lists"
    return None


def _entry(home: Home, family: str, model: str, session: date) -> dict[str, Any]:
    """Entry of a model that serves; one without files is written as such, so that a reader falls back and says so."""
    missed = _fold_without(home, family, session) if model == family else None
    if missed is not None:
        return {"model": model, "version": "", "sha256": "", _SITS_OUT: missed, "since": session.isoformat()}
    directory = served_directory(home, family, model, session)
    digest = manifest_hash(home.models / directory) if directory is not None else None
    if directory is None or digest is None:
        nothing = {"version": "", "directory": directory or f"{model}/none", "sha256": "", "features": []}
        return {"model": model, **nothing, "since": session.isoformat()}
    manifest = json.loads((home.models / directory / "manifest.json").read_text(encoding="utf-8"))
    return {
        "model": model,
        "version": manifest["model_version"],
        "directory": directory,
        "sha256": digest,
        "features": manifest["features"],
        "since": session.isoformat(),
    }


def _fold_without(home: Home, family: str, session: date) -> str | None:
    """Newest fold by a session that other families have a model of and this one has not."""
    champions = home.champions()
    folds = {fold for trained in champions.values() for fold in trained if fold <= session.isoformat()}
    newest = max(folds, default=None)
    return None if newest is None or newest in champions.get(family, {}) else newest


def served_directory(home: Home, family: str, model: str, session: date) -> str | None:
    """Newest version of a model that serves by a session."""
    if model == family:
        served = {fold: path for fold, path in home.champions().get(family, {}).items() if fold <= session.isoformat()}
        return served[max(served)] if served else None
    rows = home.lake.read("challengers").filter(pl.col("model") == model, pl.col("serves_from") <= session)
    return str(rows.sort("serves_from").get_column("directory")[-1]) if rows.height else None


def _identity(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in ("model", "version", "sha256", _SITS_OUT))


def _read(home: Home) -> tuple[dict[str, Any], str | None]:
    """Content of the file, and what is wrong with it; a damaged one is as good as none."""
    path = home.path / FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        return {}, f"{path}: not readable ({error}); the next run writes it anew, without versions to fall back on"
    return content, None
