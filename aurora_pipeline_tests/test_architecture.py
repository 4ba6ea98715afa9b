"""Walls: what may import what, checked on the source and, for start-up, in a fresh interpreter."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aurora_pipeline

PACKAGE = Path(aurora_pipeline.__file__).parent
DOMAIN = ("market", "features", "models", "ensemble", "policy", "execution", "monitoring")
SIDE_EFFECTS = {"dagster", "duckdb", "mlflow"}
MODEL_LIBRARIES = {"lightgbm", "xgboost", "catboost", "sklearn", "mlflow"}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("folder", DOMAIN)
def test_domain_folders_import_no_dagster_duckdb_or_mlflow(folder):
    files = list((PACKAGE / folder).rglob("*.py"))
    assert files
    guilty = {
        str(path.relative_to(PACKAGE)): sorted(
            name for name in _imports(path) if name.partition(".")[0] in SIDE_EFFECTS
        )
        for path in files
    }
    assert not {path: names for path, names in guilty.items() if names}


@pytest.mark.parametrize("folder", DOMAIN)
def test_domain_folders_import_neither_adapters_nor_defs(folder):
    inner = ("aurora_pipeline.adapters", "aurora_pipeline.defs", "aurora_pipeline.lineage", "aurora_pipeline.stages")
    guilty = [
        (str(path.relative_to(PACKAGE)), name)
        for path in (PACKAGE / folder).rglob("*.py")
        for name in _imports(path)
        if name.startswith(inner)
    ]
    assert not guilty


@pytest.mark.parametrize(("place", "folder"), list(enumerate(DOMAIN)))
def test_domain_folders_import_none_that_comes_after_them_but_the_measure_models_are_chosen_by(place, folder):
    later = tuple(f"aurora_pipeline.{name}." for name in DOMAIN[place + 1 :])
    guilty = [
        (str(path.relative_to(PACKAGE)), name)
        for path in (PACKAGE / folder).rglob("*.py")
        for name in _imports(path)
        if later and name.startswith(later) and name != "aurora_pipeline.monitoring.information_coefficient"
    ]
    assert not guilty


def test_the_loop_knows_nothing_of_dagster_and_of_who_reports_on_it():
    outer = tuple(f"aurora_pipeline.{name}" for name in ("defs", "reports", "serving", "workflows", "commands", "cli"))
    guilty = [
        (path.name, name)
        for path in (PACKAGE / "live").rglob("*.py")
        for name in _imports(path)
        if name.startswith(outer)
    ]
    assert not guilty


def test_the_generator_imports_nothing_from_features():
    guilty = [
        (path.name, name)
        for path in (PACKAGE / "market" / "simulation").rglob("*.py")
        for name in _imports(path)
        if name.startswith("aurora_pipeline.features")
    ]
    assert not guilty


def test_nothing_of_dagster_outside_defs_and_nothing_internal_but_what_launchers_and_storages_need():
    internal = {
        "warm_launcher.py": {"dagster._cli", "dagster._grpc.types"},
        "sqlite_storage.py": {
            f"dagster._core.storage.{module}"
            for module in ("event_log", "event_log.schema", "sqlite_storage", "asset_check_execution_record")
        },
    }
    for path in PACKAGE.rglob("*.py"):
        names = {name for name in _imports(path) if name.partition(".")[0] == "dagster"}
        assert not {name for name in names if name.startswith("dagster._")} - internal.get(path.name, set()), path
        if names:
            assert path.parent.name == "defs" or path.name == "definitions.py", path


def test_nothing_adds_columns_in_an_order_that_changes():
    """Polars' horizontal sum and mean differ in the last bit from call to call: columns are added as they are ready."""
    assert not [path for path in PACKAGE.rglob("*.py") if re.search(r"\b(sum|mean)_horizontal\b", path.read_text())]


def test_importing_definitions_loads_no_model_library_and_works_in_an_empty_home(tmp_path):
    code = (
        "import sys, aurora_pipeline.definitions as d;"
        f"loaded = {sorted(MODEL_LIBRARIES)!r};"
        "print([name for name in loaded if name in sys.modules], len(list(d.defs.resolve_all_asset_specs())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"AURORA_HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    loaded, assets = done.stdout.rsplit("]", 1)
    assert loaded + "]" == "[]"
    assert int(assets) >= 25
    assert not list(tmp_path.iterdir())


def test_importing_the_package_and_its_bootstrap_needs_only_the_standard_library():
    code = "import sys, aurora_pipeline, aurora_pipeline.__main__; print(sorted({'polars', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"
