"""Progress is told where nobody looks at a terminal, too, and not line by line."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.table import Table

from aurora_pipeline.adapters.progress import report
from aurora_pipeline.commands import terminal


def test_first_last_and_at_most_one_line_in_between_are_printed_without_a_terminal(capsys, monkeypatch):
    times = iter([0.0, 1.0, 2.0, 17.0, 18.0, 19.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(times))
    with terminal.progress_bars():
        for done in (0, 1, 2, 3, 4):
            report("features", done, 4)
    told = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert told == [["1.0", "s", "features", "0/4"], ["17.0", "s", "features", "2/4"], ["19.0", "s", "features", "4/4"]]


NAMES = ("model", "state", "since", "sessions", "IC", "evidence it is not worth it", "decided by", "why")
ROW = (
    "neural_network~2025-12-30",
    "champion",
    "2025-08-07",
    "143",
    "0.0176",
    "-0.73 / 3.00",
    "founding",
    "first of its family",
)


def printed(table, width, monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(terminal, "out", Console(file=text, width=width, markup=False, emoji=False))
    terminal.print_table(table)
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120, 160])
def test_nothing_of_a_table_is_cut_off_however_narrow_the_terminal(width, monkeypatch):
    table = Table(*NAMES)
    table.add_row(*ROW)
    table.add_row("ridge", terminal.verdict("retired"), *ROW[2:])
    text = printed(table, width, monkeypatch)
    assert "…" not in text
    for word in " ".join((*ROW, "retired")).split():
        assert word in text
    assert ("┃" in text) == (width >= 120)


def test_a_row_that_does_not_fit_is_a_paragraph_of_what_it_has(monkeypatch):
    table = Table(*NAMES)
    table.add_row("ridge", "champion", "2025-08-07", "143", "0.0176", "", "", "first of its family")
    assert [line.rstrip() for line in printed(table, 60, monkeypatch).splitlines()] == [
        "ridge",
        "  state champion · since 2025-08-07 · sessions 143 · IC",
        "  0.0176 · why first of its family",
    ]


def test_a_word_that_is_wider_than_the_terminal_is_folded(monkeypatch):
    table = Table("key", "value")
    table.add_row("a", "x" * 50)
    assert printed(table, 30, monkeypatch).count("x") == 50


@pytest.mark.parametrize(
    ("directory", "synthetic", "named"), [("m", True, "m (SYNTHETIC)"), ("m", False, "m"), (None, True, "m")]
)
def test_a_synthetic_market_is_named_as_such(directory, synthetic, named):
    market = SimpleNamespace(name="m", directory=directory)
    home = SimpleNamespace(market=lambda: market, folder=lambda: SimpleNamespace(synthetic=synthetic))
    assert terminal.market_named(home) == named
