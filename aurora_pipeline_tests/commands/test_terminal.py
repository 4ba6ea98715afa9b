"""Progress is told where nobody looks at a terminal, too, and not line by line."""

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
