"""What the UI shows of a decision's targets beside their table."""

from types import SimpleNamespace

import pytest

from aurora_pipeline.defs.live import _largest


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        ({"A": 0.0001, "B": -0.0003, "C": 0.0}, "B -3.0 bps, A +1.0 bps"),
        ({"A": 0.0}, "none: the book is flat"),
    ],
)
def test_the_largest_targets_are_those_that_are_to_be_held(weights, shown):
    targets = [{"symbol": name, "target_weight": weight} for name, weight in weights.items()]
    assert _largest(SimpleNamespace(content={"targets": targets})) == shown
