"""Time axes of every length are labelled, and without a warning."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from aurora_pipeline.monitoring.dashboard.charts import (
    FEW,
    ROOM,
    at_least,
    calendar_period,
    clocked,
    dated,
    drawn,
    from_zero,
    in_percent,
    line,
    named,
)

ONE = date(2024, 12, 18)


def texts(drawing):
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing)


@pytest.mark.parametrize("days", [2, 9, 30, 75, 160, 240, 400, 730, 870, 920, 990, 1460, 3650, 7300])
def test_a_span_of_sessions_is_labelled(days):
    start = date(2005, 1, 3)

    def line(axes):
        axes.plot([start, start + timedelta(days=days)], [0.0, 1.0])
        dated(axes)

    drawing = drawn(line)
    assert str(start.year)[2:] in drawing or str(start.year + 1)[2:] in drawing


@pytest.mark.parametrize("days", [1, 2, 3, 5])
def test_a_few_sessions_are_points_on_an_axis_of_days_each_named_once(days):
    sessions = [ONE + timedelta(days=number) for number in range(days)]

    def few(axes):
        line(axes, sessions, [0.001] * days)
        dated(axes)

    drawing = drawn(few)
    named = [text for text in texts(drawing) if text.endswith(" 24")]
    assert len(named) == len(set(named)) <= 6
    assert {f"{session:%d %b %y}" for session in sessions} <= set(named)
    assert drawing.count("<use ") - drawing.count('class="tick"') >= days
    assert len(re.findall(r'<g clip-path="[^"]*">\s*<use ', drawing)) == 1


def test_many_points_are_a_line_without_marks():
    sessions = [ONE + timedelta(days=number) for number in range(FEW + 1)]
    assert not re.search(r'<g clip-path="[^"]*">\s*<use ', drawn(lambda axes: line(axes, sessions, [0.1] * (FEW + 1))))


def test_one_bar_stands_in_the_middle_of_an_hour():
    def one(axes):
        line(axes, [datetime(2024, 12, 18, 21, tzinfo=UTC)], [1.0])
        clocked(axes)

    named = [text for text in texts(drawn(one)) if re.fullmatch(r"\d\d:\d\d", text)]
    assert "21:00" in named
    assert len(named) == len(set(named))
    assert all("20:30" <= text <= "21:30" for text in named)


@pytest.mark.parametrize("values", [(0.0, 0.0), (-3e-7, 4e-7), (0.0, 0.012), (-0.00031, 0.0), (0.2, 0.45)])
def test_ticks_in_percent_differ_and_none_is_a_negative_zero(values):
    def fractions(axes):
        axes.plot(values)
        in_percent(axes, digits=0)

    named = [text for text in texts(drawn(fractions)) if text.endswith("%")]
    assert len(named) == len(set(named)) > 2
    assert not [text for text in named if re.fullmatch(r"[-−]0[.0]* %", text)]


def test_a_tick_keeps_its_digits_and_coordinates_are_short():
    drawing = drawn(lambda axes: axes.set_ylim(0.0, 0.0008))
    assert "0.0002" in texts(drawing)
    assert not re.search(r'="[^"]*\d\.\d{3}', drawing)


def test_next_to_nothing_does_not_fill_an_axis():
    seen = []

    def tiny(axes):
        axes.set_ylim(-1e-9, 1e-9)
        at_least(axes, 1e-4)
        seen.append(axes.get_ylim())
        axes.set_ylim(-1.0, 1.0)
        at_least(axes, 1e-4)
        seen.append(axes.get_ylim())

    drawn(tiny)
    assert seen[0] == pytest.approx((-5e-5, 5e-5))
    assert seen[1] == (-1.0, 1.0)


def test_values_that_hardly_differ_do_not_lie_on_the_edge():
    seen = []

    def flat(axes):
        axes.plot([0.008, 0.008001])
        from_zero(axes)
        seen.append(axes.get_ylim())

    drawn(flat)
    assert seen[0] == pytest.approx((0.0, 0.0088), rel=1e-3)


@pytest.mark.parametrize(("last", "unit"), [(date(2027, 11, 30), "month"), (date(2027, 12, 1), "year")])
def test_a_history_of_more_than_three_years_is_cut_into_years(last, unit):
    assert calendar_period(date(2024, 12, 18), last)[0] == unit


@pytest.mark.parametrize("count", [0, 1, 8, 9, 10, 36])
@pytest.mark.parametrize("columns", [1, 2])
def test_months_are_labelled_evenly_and_not_on_top_of_each_other(count, columns):
    months = [f"{2022 + number // 12}-{number % 12 + 1:02d}" for number in range(count)]
    boxes = []

    def draw(*grid):
        for axes in grid:
            axes.bar(months, [1.0] * count)
            axes.set_ylabel("labels inside the interval")
            named(axes, months, ROOM // columns)
        grid[0].figure.draw_without_rendering()
        boxes.append([label.get_window_extent() for label in grid[-1].get_xticklabels() if label.get_text()])

    labels = [text for text in texts(drawn(draw, columns=columns)) if re.fullmatch(r"\d{4}-\d\d", text)]
    labels = labels[: len(labels) // columns]
    assert labels == months[:: months.index(labels[1]) if len(labels) > 1 else 1]
    assert count < 36 or {text[-2:] for text in labels} == ({"01"} if columns == 2 else {"01", "05", "09"})
    assert all(left.x1 + 2 < right.x0 for left, right in pairwise(boxes[0]))
