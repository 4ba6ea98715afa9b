"""What the documentation shows is run, in a short form, against a small home: cheap commands, and the notebook's cells."""

import json
import os
import re
import shlex
import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from aurora_pipeline import open_home
from aurora_pipeline.cli import app
from aurora_pipeline_tests.documentation.documented_commands import REPOSITORY, fenced, pages
from aurora_pipeline_tests.documentation.notebook_cells import code_cells, run_cells

NOTEBOOK = REPOSITORY / "docs" / "research.ipynb"
LARGEST_NOTEBOOK = 100_000

READING = (
    "aurora check M",
    "aurora claims --home H",
    "aurora models list --home H",
    "aurora models history --home H",
    "aurora models history --home H --at 2024-12-18T15:00:00",
    "aurora book status --home H",
    "aurora report day --home H --session 2024-12-18",
    "aurora report week --home H",
    "aurora explain --home H --symbol COM02 --at 2024-12-17T21:00",
    "aurora export --duckdb copy.duckdb --home H",
    'aurora sql "select model, avg(weight) from ensemble_weights group by model" --home H',
    'aurora sql "select reason, count(*) from quarantine group by reason order by 2 desc" --home H',
    'aurora sql "select session, sum(missing_bars) from data_quality group by session order by 2 desc" --home H --rows 10',
)
"""Commands of the pages as they stand there, that only read or write reports."""

CHANGING = (
    'aurora kill --home H --reason "prices look wrong"',
    'aurora flatten --home H --reason "out of everything"',
    'aurora resume --home H --reason "source repaired"',
    'aurora models promote ridge --reason "proposal of 2024-12-17, evidence read" --home H',
)
"""Commands that write small records of a home, in this order."""

IMPORTING = (
    "aurora import bars.csv M --column symbol=ticker --column bar_start=time --time-zone America/New_York --bar-label end"
    " --benchmark SPY --sector Energy=XLE --universe symbols.csv",
    "aurora import daily.parquet M --kind daily_bars",
    "aurora import eps.parquet M --kind earnings",
    "aurora check M",
)


def documented():
    return {each.words for page in pages() for each in fenced(page.name, page.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def home(tiny_home, tmp_path_factory) -> Path:
    """Copy of the small home that may be changed."""
    target = tmp_path_factory.mktemp("documented") / "home"
    shutil.copytree(tiny_home, target)
    return target


@pytest.fixture(scope="module")
def short_form(home, tiny_market) -> dict[str, str]:
    """What stands for the names of the pages: their home, market, session, bars and stock."""
    signals = open_home(home).read("signals", columns=["session", "symbol", "decision_time"])
    before, last = signals.get_column("session").unique().sort()[-2:]
    symbol = signals.filter(pl.col("session") == last).get_column("symbol").sort()[0]
    bars = signals.filter(pl.col("symbol") == symbol)
    noon = bars.filter(pl.col("session") == last).get_column("decision_time").sort()[12]
    closing = bars.filter(pl.col("session") == before).get_column("decision_time").max()
    return {
        "H": str(home),
        "M": str(tiny_market),
        "2024-12-18": str(last),
        "2024-12-18T15:00:00": f"{noon:%Y-%m-%dT%H:%M:%S}",
        "2024-12-17T21:00": f"{closing:%Y-%m-%dT%H:%M}",
        "COM02": symbol,
    }


def carried_out(line: str, names: dict[str, str]) -> str:
    """Run a documented line in this process with the short form's names; returns what it printed."""
    words = tuple(shlex.split(line)[1:])
    assert words in documented(), f"no page shows: {line}"
    done = CliRunner().invoke(app, [names.get(word, word) for word in words])
    assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
    return done.output


@pytest.mark.parametrize("line", READING)
def test_a_documented_command_that_reads_works_on_a_small_home(line, short_form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert carried_out(line, short_form).strip()


def test_the_switch_and_a_decision_are_written_as_the_runbook_says(short_form, home):
    texts = [carried_out(line, short_form) for line in CHANGING]
    assert "halt, prices look wrong" in texts[0]
    assert json.loads((home / "kill_switch.json").read_text())[-1]["mode"] == "on"
    assert re.search(r"promote ridge: holds from the open of|ridge already is the champion of its family", texts[3])


def test_the_data_guide_makes_a_market_of_a_users_files(tiny_market, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    universe = pl.read_parquet(tiny_market / "universe.parquet")
    chosen = [*universe.filter(pl.col("kind") == "stock").get_column("symbol").unique().sort()[:5], "SPY"]
    bars = pl.concat([pl.read_parquet(file) for file in sorted((tiny_market / "bars").glob("*.parquet"))[:1]])
    local = (pl.col("bar_start") + timedelta(minutes=5)).dt.convert_time_zone("America/New_York")
    bars.filter(pl.col("symbol").is_in(chosen)).select(
        pl.col("symbol").alias("ticker"),
        local.dt.strftime("%Y-%m-%d %H:%M:%S").alias("time"),
        *("open", "high", "low", "close", "volume"),
    ).write_csv("bars.csv")
    universe.filter(pl.col("symbol").is_in(chosen)).select("symbol", "kind", "sector").unique("symbol").write_csv(
        "symbols.csv"
    )
    for source, target in (("daily_bars", "daily"), ("earnings", "eps")):
        pl.read_parquet(tiny_market / f"{source}.parquet").filter(pl.col("symbol").is_in(chosen)).write_parquet(
            f"{target}.parquet"
        )
    texts = [carried_out(line, {}) for line in IMPORTING]
    assert "next: aurora check M" in texts[0]
    assert "5 stocks" in texts[-1]
    starts = pl.read_parquet(next(Path("M/bars").glob("*.parquet"))).get_column("bar_start")
    assert (starts.min(), starts.max()) == (bars.get_column("bar_start").min(), bars.get_column("bar_start").max())


def test_the_cells_of_the_notebook_run(tiny_home, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.setenv("AURORA_HOME", os.fspath(tiny_home))
    outputs = run_cells(code_cells(NOTEBOOK))
    assert "(SYNTHETIC)" in outputs[0][0]["text"][0]
    assert "all stocks" in "".join(outputs[2][0]["text"])
    assert outputs[3][-1]["output_type"] == "display_data"


def test_the_notebook_is_small_and_names_no_machine():
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    assert all(cell["outputs"] for cell in content["cells"] if cell["cell_type"] == "code")
    text = json.dumps(
        [[cell["source"], [output.get("text") for output in cell.get("outputs", [])]] for cell in content["cells"]]
    )
    assert not re.search(r"/(home|root|tmp|Users|work)/", text)
    assert NOTEBOOK.stat().st_size < LARGEST_NOTEBOOK
