"""The code of the page on Aurora as a library runs and gives what the page says."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "library.md"


def test_the_example_runs_and_holds_its_limits(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    target, book = names["result"].target, names["book"]
    assert np.sign(target).tolist() == [1.0, -1.0, 1.0, -1.0]
    assert np.abs(target).max() <= book.name_cap + 1e-9
    assert names["spread_usd"] > 0.0
    assert names["impact_usd"] > 0.0
    assert len(capsys.readouterr().out.splitlines()) == len(target)
