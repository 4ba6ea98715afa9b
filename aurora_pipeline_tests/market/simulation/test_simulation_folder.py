"""The entry point: determinism, atomic writing, refusals, imports."""

from __future__ import annotations

import ast
import hashlib
import re
from datetime import date
from pathlib import Path

import pytest

import aurora_pipeline.market.simulation as simulation
from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.market.simulation import PRESETS, simulate_market
from aurora_pipeline.market.simulation.content_hash import content_hash

PAGE = Path(__file__).parents[3] / "docs" / "reference-market.md"


def hashes(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate_market(tmp_path / name, preset="small", seed=2, sessions=6, symbols=8)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    simulate_market(tmp_path / "c", preset="small", seed=3, sessions=6, symbols=8)
    assert content_hash(tmp_path / "a") != content_hash(tmp_path / "c")


def test_replaces_a_simulated_market_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "market"
    target.mkdir()
    for seed in (1, 2):
        simulate_market(target, preset="small", seed=seed, sessions=5, symbols=8)
    assert "seed2" in (target / "market.yaml").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["market"]


def test_refuses_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(MarketDataError, match="not empty"):
        simulate_market(tmp_path, preset="small", sessions=5, symbols=8)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(MarketDataError, match="is a file"):
        simulate_market(tmp_path / "precious.txt", preset="small", sessions=5, symbols=8)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("preset", "huge"),
        ("profile", "bold"),
        ("seed", -1),
        ("alpha", -0.1),
        ("alpha", float("nan")),
        ("sessions", 2),
        ("sessions", 100_000),
        ("symbols", 3),
        ("break_session", date(1999, 1, 4)),
    ],
)
def test_impossible_argument_is_named(tmp_path: Path, argument: str, value: object) -> None:
    with pytest.raises(MarketDataError, match=argument):
        simulate_market(tmp_path / "market", **{"preset": "small", argument: value})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_no_half_written_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr("aurora_pipeline.market.simulation.folder.write_options", fail)
    with pytest.raises(RuntimeError):
        simulate_market(tmp_path / "market", preset="small", sessions=5, symbols=8)
    assert not list(tmp_path.iterdir())


def test_progress_ends_complete(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    simulate_market(
        tmp_path / "market", preset="small", sessions=5, symbols=8, progress=lambda *step: seen.append(step)
    )
    assert ("prices", 257, 257) in seen
    assert seen[-1] == ("files", 4, 4)


def test_presets() -> None:
    assert set(PRESETS) == {"reference", "reference-long", "small"}
    assert (PRESETS["reference"].stocks, PRESETS["reference"].sessions, PRESETS["reference"].warmup) == (130, 160, 504)
    assert (PRESETS["reference-long"].sessions, PRESETS["reference-long"].frequency) == (750, "session")
    assert (PRESETS["small"].stocks, PRESETS["small"].sessions) == (40, 100)


def test_imports_no_pipeline_stage_and_no_engine() -> None:
    folder = Path(simulation.__file__).parent
    forbidden = ("aurora_pipeline.features", "dagster", "duckdb", "mlflow", "pandas", "sklearn", "lightgbm")
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith(forbidden)], path.name


@pytest.mark.slow
def test_frozen_content(tmp_path: Path) -> None:
    frozen = dict(re.findall(r"\| (reference|small|reference-long) seed 1 \| `([0-9a-f]{64})` \|", PAGE.read_text()))
    assert set(frozen) == set(PRESETS)
    for preset, expected in frozen.items():
        simulate_market(tmp_path / preset, preset=preset, seed=1)
        assert content_hash(tmp_path / preset) == expected, preset
