"""Rows of the lake's tables with only the columns that matter written down, and what a panel's blocks say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from matplotlib.figure import Figure

from aurora_pipeline.contracts import empty
from aurora_pipeline.monitoring.dashboard.panel import Absent, Chart, Facts, Rows

MONDAY = date(2024, 12, 16)
DEFAULTS = {
    pl.String: "x",
    pl.Float64: 0.0,
    pl.Float32: 0.0,
    pl.Int64: 0,
    pl.Int32: 0,
    pl.Boolean: False,
    pl.Date: MONDAY,
    pl.Datetime: datetime(2024, 12, 16, 15, 0, tzinfo=UTC),
}


def rows(name: str, *given: dict) -> pl.DataFrame:
    """Rows of a table; columns that are not given hold something plain."""
    schema = empty(name).schema
    plain = {column: DEFAULTS[dtype.base_type()] for column, dtype in schema.items()}
    unknown = {column for row in given for column in row} - set(schema)
    assert not unknown, unknown
    return pl.DataFrame([plain | row for row in given], schema=schema, orient="row")


def day(number: int) -> date:
    """The number-th weekday from a Monday on."""
    return MONDAY + timedelta(days=number + 2 * (number // 5))


def moment(number: int, bar: int = 0) -> datetime:
    """The bar-th bar end of a day."""
    return datetime(*day(number).timetuple()[:3], 14, 35, tzinfo=UTC) + timedelta(minutes=5 * bar)


def facts(blocks) -> dict[str, tuple[str, str]]:
    """Label to value and note of every fact."""
    return {fact.label: (fact.value, fact.note) for block in blocks if isinstance(block, Facts) for fact in block.facts}


def table(blocks, heading: str) -> list[dict[str, str]]:
    """Rows of the first table that has a heading."""
    found = next(block for block in blocks if isinstance(block, Rows) and heading in block.columns)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def charts(blocks) -> list[str]:
    """SVG of every chart."""
    return [block.svg for block in blocks if isinstance(block, Chart)]


def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that is drawn from now on, as it was saved."""
    kept, save = [], Figure.savefig

    def keep(self: Figure, *arguments, **options):
        kept.append(self)
        return save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def absent(blocks) -> Absent:
    """The reason, where a panel has nothing else."""
    assert len(blocks) == 1
    assert isinstance(blocks[0], Absent)
    return blocks[0]
