"""What Dagster shows of the table behind an asset: its name, and its columns with their units, as the contracts have them."""

from __future__ import annotations

from functools import cache

import dagster as dg
import polars as pl

from aurora_pipeline.contracts import TABLES, table
from aurora_pipeline.defs.trade_book import BOOK_ASSETS

_TABLES = {"feature_panel": "features", "calibrated_signals": "signals"} | {
    asset: name for asset, (name, _) in BOOK_ASSETS.items()
}
"""Assets whose table is named otherwise."""


def with_table(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Tell an asset's table and its columns in its definition; an asset without one table of its own stays as it is."""
    first = spec.key.path[0]
    name = "predictions" if first == "prediction" else _TABLES.get(first, first)
    if name not in TABLES:
        return spec
    return spec.merge_attributes(metadata={"dagster/table_name": name, "dagster/column_schema": _columns(name)})


@cache
def _columns(name: str) -> dg.TableSchema:
    """Columns of a table: type, whether one may be null, and what it says in which unit."""
    described = table(name)
    columns = []
    for column, rules in described.schema.columns().items():
        unit = (rules.metadata or {}).get("unit")
        columns.append(
            dg.TableColumn(
                column,
                _type(rules.dtype),
                f"{rules.description} ({unit})" if unit else rules.description,
                dg.TableColumnConstraints(nullable=rules.nullable),
                tags={"key": ""} if column in described.key else None,
            )
        )
    if described.extra is not None:
        columns.append(dg.TableColumn("...", _type(described.extra), "one column for each feature: docs/features.md"))
    return dg.TableSchema(columns)


def _type(dtype: pl.DataType) -> str:
    return "timestamp, UTC" if isinstance(dtype, pl.Datetime) else str(dtype)
