"""Time axes of every length are labelled, and without a warning."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from aurora_pipeline.monitoring.dashboard.charts import dated, drawn


@pytest.mark.parametrize("days", [2, 9, 30, 75, 160, 240, 400, 730, 870, 920, 990, 1460, 3650, 7300])
def test_a_span_of_sessions_is_labelled(days):
    start = date(2005, 1, 3)

    def line(axes):
        axes.plot([start, start + timedelta(days=days)], [0.0, 1.0])
        dated(axes)

    drawing = drawn(line)
    assert str(start.year)[2:] in drawing or str(start.year + 1)[2:] in drawing
