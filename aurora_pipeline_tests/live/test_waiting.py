"""Which tick waits for which bar, models without what they do not need, and when this process began."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from aurora_pipeline.live.model_loading import hidden, load_champions
from aurora_pipeline.live.process_clock import process_started
from aurora_pipeline.live.waiting import waiting_for, waits_for

END = datetime(2024, 11, 26, 14, 35, tzinfo=UTC)


def test_a_tick_waits_as_long_as_its_block_runs_and_its_process_lives(tmp_path):
    assert waits_for(tmp_path, END) is None
    with waiting_for(tmp_path, END):
        assert waits_for(tmp_path, END) == os.getpid()
        path = next((tmp_path / "waiting").iterdir())
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        path.write_text(f'{{"process": {dead.pid}, "since": ""}}')
        assert waits_for(tmp_path, END) is None
    assert not list((tmp_path / "waiting").iterdir())


def test_a_hidden_module_is_not_found_for_a_while_and_one_in_use_stays(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with hidden("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with hidden("colorsys"):
        assert sys.modules["colorsys"] is colorsys


def test_loading_models_imports_no_scikit_learn_and_a_broken_family_is_left_out(tmp_path):
    code = (
        "import sys; from pathlib import Path; from aurora_pipeline.live.model_loading import hidden\n"
        "with hidden('sklearn'):\n    import lightgbm, xgboost\n"
        "print('sklearn' in sys.modules, hasattr(lightgbm, 'Booster'), hasattr(xgboost, 'Booster'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
    loaded, broken = load_champions(tmp_path, {"ridge": "ridge/2024-11"}, 1)
    assert loaded == {}
    assert "ModelError" in broken["ridge"]


def test_the_process_began_before_now_and_after_the_machine():
    code = "import time; from aurora_pipeline.live.process_clock import process_started; print(process_started(), time.time())"
    before = time.time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    started, then = map(float, done.stdout.split())
    assert before - 0.1 <= started <= then <= time.time()
    assert process_started() < before
