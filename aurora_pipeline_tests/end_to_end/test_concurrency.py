"""Two range runs at once, while others read and write the lake, then the book once: nothing fails, nothing differs."""

import subprocess
import sys

import pytest

from aurora_pipeline import open_home
from aurora_pipeline.market.simulation import simulate_market
from aurora_pipeline_tests.end_to_end.conftest import aurora, lake_hashes, settings

READER = """
import sys
from aurora_pipeline import open_home

home = open_home(sys.argv[1])
while True:
    for table in ("bars", "residual_returns", "features", "labels"):
        home.read(table, columns=["symbol", "session"])
    home.sql("select count(*) from bars")
    frame = home.read("ensemble")
    home.lake.write("ensemble", frame.clear(), "1999-01-04", fingerprint="noise")
    home.lake.remove("ensemble", "1999-01-04")
"""


@pytest.mark.slow
def test_two_ranges_at_once_beside_readers_and_writers_then_the_book(tmp_path):
    market, home = tmp_path / "market", tmp_path / "home"
    simulate_market(market, preset="small", seed=5, sessions=120, symbols=16)
    options = ("--market", market, "--home", home, *settings("models.families=[ridge]"))
    aurora("run", *options)
    undisturbed = lake_hashes(home)
    opened = open_home(home)
    days = opened.sessions(opened.settings())
    for table in ("bars", "residual_returns", "features", "labels"):
        for day in days:
            opened.lake.remove(table, day.isoformat())
    other = subprocess.Popen(
        [sys.executable, "-c", READER, str(home)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    ranges = [(days[0], days[59]), (days[60], days[119])]
    command = [sys.executable, "-m", "aurora_pipeline.cli", "backfill", "--job", "bars_to_labels", "--home", str(home)]
    running = [
        subprocess.Popen([*command, "--from", str(first), "--to", str(last)], stderr=subprocess.PIPE, text=True)
        for first, last in ranges
    ]
    errors = [process.communicate(timeout=900)[1] for process in running]
    assert other.poll() is None, other.stderr.read() if other.stderr else ""
    other.kill()
    other.communicate()
    assert [process.returncode for process in running] == [0, 0], errors
    aurora("run", "--home", home)
    assert lake_hashes(home) == undisturbed
