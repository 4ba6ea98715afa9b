"""Files replaced as a whole: what is cut off on the way leaves the old one and nothing beside it."""

import pytest

from aurora_pipeline import atomic
from aurora_pipeline.atomic import atomic_bytes, atomic_text, atomic_write
from aurora_pipeline.settings import Settings, load_settings, save_settings


def test_folders_on_the_way_are_made(tmp_path):
    atomic_text(tmp_path / "a" / "b" / "note.txt", "ä")
    atomic_bytes(tmp_path / "a" / "raw", b"\xff")
    assert (tmp_path / "a" / "b" / "note.txt").read_text(encoding="utf-8") == "ä"
    assert (tmp_path / "a" / "raw").read_bytes() == b"\xff"


def test_a_write_that_breaks_off_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "file"
    atomic_text(file, "old")

    def half(temporary):
        temporary.write_text("ne", encoding="utf-8")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        atomic_write(file, half)
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_settings_that_do_not_reach_the_disk_leave_those_of_before(tmp_path, monkeypatch):
    file = tmp_path / "settings.yaml"
    save_settings(Settings(seed=3), file)

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_settings(Settings(seed=4), file)
    assert load_settings(file).seed == 3
    assert list(tmp_path.iterdir()) == [file]
