"""The capacity curve and the cost stress of a finished home, through the command line."""

import json
import shutil

import pytest

from aurora_pipeline import open_home
from aurora_pipeline_tests.end_to_end.conftest import aurora


def test_the_curve_is_shown_drawn_and_kept(tiny_home, tmp_path):
    home_path = tmp_path / "home"
    shutil.copytree(tiny_home, home_path)
    done = aurora("book", "capacity", "--home", home_path, "--nav", "1e6", "--nav", "1e9")
    assert "net result against capital" in done.stdout
    reports = open_home(home_path).reports
    assert (reports / "capacity.png").read_bytes().startswith(b"\x89PNG")
    kept = json.loads((reports / "capacity.json").read_text())
    assert kept["synthetic"] is True
    small, large = kept["capacity"]
    assert (small["at"], large["at"]) == (1e6, 1e9)
    assert small["utilisation"] > large["utilisation"], (
        "a bar takes 2 % of its volume of an order, whatever the capital"
    )
    assert [row["at"] for row in kept["stress"]] == [1.0, 2.0, 3.0]
    once, twice, _ = kept["stress"]
    assert twice["cost"] > once["cost"]
    assert once["net_return"] == pytest.approx(once["gross_return"] - once["cost"])
