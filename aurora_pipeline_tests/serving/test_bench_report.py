"""What the bench promises, and the numbers and plot it keeps."""

import json

import pytest

from aurora_pipeline.serving.bench import Measured, verdicts
from aurora_pipeline.serving.bench_report import save_bench


def found(armed=2.0, sensor=5.0, alone=0.8, empty=2.5):
    return [
        Measured("computation", (alone, alone), {"features": (0.6, 0.6), "ledger": (0.01, 0.01)}, (0.7, 0.7)),
        Measured("empty run", (empty,)),
        Measured("arrival sensor", (sensor, sensor), {"arrival": (0.2, 0.4), "imports": (3.0, 3.2)}),
        Measured("armed", (armed, armed), {"arrival": (0.1, 0.1), "features": (0.6, 0.6)}),
    ]


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, [True, True, True, True]),
        ({"armed": 3.1}, [False, True, True, True]),
        ({"sensor": 6.1}, [True, False, True, True]),
        ({"empty": 1.9}, [True, True, False, True]),
        ({"alone": 1.1}, [True, True, True, False]),
    ],
)
def test_each_promise_is_judged_by_its_own_number(changes, holds):
    assert [row[-1] for row in verdicts(found(**changes))] == holds


def test_numbers_and_plot_are_kept(tmp_path):
    data, plot = save_bench(found(), {"session": "2024-12-18", "symbols": 130, "families": ["ridge"]}, tmp_path)
    content = json.loads(data.read_text())
    assert content["symbols"] == 130
    assert content["ways"]["arrival sensor"]["median_parts_s"] == {"arrival": 0.3, "imports": 3.1}
    assert content["ways"]["armed"]["p95_s"] == 2.0
    assert content["ways"]["computation"]["processor_s"] == [0.7, 0.7]
    assert [verdict["holds"] for verdict in content["verdicts"]] == [True] * 4
    assert plot.read_bytes().startswith(b"\x89PNG")
