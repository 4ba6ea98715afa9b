"""The main job: a market folder in, a scorecard and a run manifest out, everything between through Dagster."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aurora_pipeline.adapters.code_version import git_state
from aurora_pipeline.adapters.home import Home, MarketRecord, sessions_within
from aurora_pipeline.adapters.models.configuration_log import require_named_families
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.atomic import atomic_text
from aurora_pipeline.contracts import TABLES
from aurora_pipeline.errors import LakeError, SettingsError
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.settings import Settings

if TYPE_CHECKING:
    from aurora_pipeline.defs.up_to_date import UpToDate

REFERENCE_SEED = 1
_PACKAGES = (
    "dagster", "pandas", "polars", "numpy", "numba", "lightgbm", "xgboost-cpu", "catboost", "scikit-learn", "duckdb", "mlflow",
)  # fmt: skip
_HOME_MARKERS = ("market.json", "settings.yaml", "lake")


@dataclass(frozen=True)
class Outcome:
    """What a run of the main job leaves behind.

    Attributes
    ----------
    scorecard : dict
        Content of `<home>/scorecard.json`.
    manifest : Path
        `<home>/runs/<id>.json`.
    failed : list of str
        Folds and families that could not be trained, each with its reason.
    changed : list of str
        Families whose changed settings became a challenger.
    """

    scorecard: dict[str, Any]
    manifest: Path
    failed: list[str]
    changed: list[str]


def run_main_job(
    home: Home,
    market: Path | None,
    overrides: Sequence[str],
    *,
    fresh: bool = False,
    until: date | None = None,
    replace_models: bool = False,
) -> Outcome:
    """Bring a home up to date with a market and settings.

    Parameters
    ----------
    home : Home
        Made if it does not exist.
    market : Path or None
        Market folder; None keeps the home's, or makes the embedded reference market in an empty home.
    overrides : sequence of str
        `key=value` settings; they are kept in the home, so that the UI and later runs agree.
    fresh : bool
        Empty the home first.
    until : date, optional
        Last session wanted; the market's last by default.
    replace_models : bool
        Make history again with a changed configuration of the models instead of sending a challenger.

    Raises
    ------
    SettingsError
        Another command changed the home's settings meanwhile; steps read them when they begin.
    """
    from aurora_pipeline.defs.up_to_date import bring_up_to_date

    started = datetime.now(tz=UTC)
    if fresh:
        home.require_local("--fresh: what is emptied")
        _empty(home)
    home, folder, settings = prepare_home(home, market, overrides, replace_models=replace_models)
    done = bring_up_to_date(home, settings, until=until, replace_models=replace_models)
    home.refresh()
    if home.settings() != settings:
        raise SettingsError(
            f"another command changed the settings of home {home.path} while this one ran: steps since then follow those, and "
            "so does the scorecard; give this command again when the other has ended"
        )
    card: dict[str, Any] = json.loads(home.scorecard_file.read_text(encoding="utf-8"))
    manifest = _write_manifest(home, folder, settings, done, started)
    home.share()
    return Outcome(card, manifest, done.failed, done.changed)


def prepare_home(
    home: Home, market: Path | None, overrides: Sequence[str], *, replace_models: bool = False
) -> tuple[Home, MarketFolder, Settings]:
    """Record market and settings in a home, once it is clear that it can work with them; parameters as in :func:`run_main_job`.

    Returns
    -------
    home : Home
        The same home, reading its new records.
    folder : MarketFolder
        The market.
    settings : Settings
        Settings in force.
    """
    home.refresh()
    held = home.market()
    own = [f"market.directory={held.directory}"] if held.live else []  # the settings of a moved home name the old place
    settings = home.settings([*own, *overrides, *([f"market.directory={market.absolute()}"] if market else [])])
    folder = _market_folder(home, settings)
    require_named_families(home, settings, replace=replace_models)
    return _remember(home, folder, settings), folder, settings


def _empty(home: Home) -> None:
    if not home.path.exists():
        return
    if any(home.path.iterdir()) and not any((home.path / marker).exists() for marker in _HOME_MARKERS):
        raise LakeError(f"--fresh: {home.path} does not look like a home (no market.json, settings.yaml or lake/)")
    for entry in home.path.iterdir():
        if entry.name in {"README.md", "markets"}:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _market_folder(home: Home, settings: Settings) -> MarketFolder:
    if settings.market.directory is not None:
        return MarketFolder.open(settings.market.directory)
    directory = home.path / "markets" / f"reference-seed{REFERENCE_SEED}"
    if not (directory / "market.yaml").exists():
        from aurora_pipeline.market.simulation import simulate_market

        directory.parent.mkdir(parents=True, exist_ok=True)
        simulate_market(directory, preset="reference", seed=REFERENCE_SEED, progress=report)
    return MarketFolder.open(directory)


def _remember(home: Home, folder: MarketFolder, settings: Settings) -> Home:
    first, last = folder.span
    manifest = folder.manifest
    held = home.market()
    if held.live and held.directory != folder.path.absolute():
        raise LakeError(
            f"home {home.path} trades live on its own market folder {held.directory}; choose another --home for {folder.path}"
        )
    record = MarketRecord(
        name=manifest.name,
        directory=folder.path.absolute(),
        calendar=manifest.calendar,
        frequency=manifest.frequency,
        first_session=first,
        last_session=last,
        live=held.live,
    )
    sessions_within(record, folder.calendar, settings)
    home.record_market(record)
    home.save_settings(settings)
    recorded = Home(home.path)
    recorded.share()
    return recorded


def _write_manifest(home: Home, folder: MarketFolder, settings: Settings, done: UpToDate, started: datetime) -> Path:
    months = sorted({f"{day:%Y-%m}" for day in home.sessions(settings)})
    inputs = {name: folder.content_hash(name) for name in ("manifest", "universe", *folder.feeds)}
    inputs |= {f"bars/{month}": folder.content_hash(f"bars/{month}") for month in months}
    content = {
        "started": started.isoformat(),
        "finished": datetime.now(tz=UTC).isoformat(),
        "git": git_state(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "seed": settings.seed,
        "settings": settings.model_dump(mode="json"),
        "market": {"name": folder.manifest.name, "inputs": inputs},
        "outputs": {name: digest for name in TABLES if (digest := _table_hash(home, name))},
        "dagster_runs": done.runs,
        "failed_trainings": done.failed,
    }
    identifier = f"{started:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"
    path = home.runs / f"{identifier}.json"
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    atomic_text(path, text)
    return path


def _table_hash(home: Home, name: str) -> str | None:
    files = home.lake.files(name)
    if not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.encode())
        digest.update(home.lake.storage.content(file))
    return digest.hexdigest()
