"""`aurora bench scale`: what larger markets cost, from small runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import print_table
from aurora_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from aurora_pipeline.workflows.scale_model import Size

_GIB, _HOUR = 2**30, 3600.0


def scale(
    record: Annotated[Path, typer.Argument(help="Parquet file of measurements; made or added to.")],
    measure: Annotated[
        list[str] | None, typer.Option(help="STOCKSxSESSIONS to run and add to the record, such as 130x20; repeatable.")
    ] = None,
    predict: Annotated[
        list[str] | None, typer.Option(help="NAMESxSESSIONS to predict, such as 1500x60; repeatable.")
    ] = None,
    work: Annotated[Path | None, typer.Option(help="Where markets and homes are made and removed.")] = None,
) -> None:
    """Measure the data stages on synthetic markets and predict larger ones: rows, bytes, processor time, memory."""
    from aurora_pipeline.workflows import scale as workflow
    from aurora_pipeline.workflows.scale_model import ScaleModel

    for text in measure or []:
        size = _size(text, "--measure")
        _print(workflow.measure(size, record, work), f"measured, {text}")
    if not record.exists():
        raise SettingsError(f"{record}: no measurements yet; begin with --measure 32x10")
    if predict:
        model = ScaleModel(pl.read_parquet(record))
        for text in predict:
            _print(model.predict(_size(text, "--predict")), f"predicted, {text}")
        errors = Table("left out", "seconds", "bytes", "memory", title="each run predicted from the others")
        for names, sessions, *found in model.errors().iter_rows():
            errors.add_row(f"{names}x{sessions}", *(f"{100 * each:+.0f} %" for each in found))
        print_table(errors)


def _size(text: str, option: str) -> Size:
    from aurora_pipeline.workflows.scale_model import Size

    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise SettingsError(f"{option} {text}: expected NAMESxSESSIONS, such as 1500x60")
    return Size(int(found[1]), int(found[2]))


def _print(rows: pl.DataFrame, title: str) -> None:
    table = Table("stage", "rows", "GiB on disk", "processor hours", "peak GiB", title=title)
    for row in rows.iter_rows(named=True):
        table.add_row(
            row["stage"],
            f"{row['rows']:,}",
            f"{row['bytes'] / _GIB:.3f}",
            f"{row['cpu_seconds'] / _HOUR:.3f}",
            f"{row['peak_bytes'] / _GIB:.2f}",
        )
    total = rows.select(pl.col("rows", "bytes", "cpu_seconds").sum(), pl.col("peak_bytes").max()).row(0)
    table.add_row("all", f"{total[0]:,}", f"{total[1] / _GIB:.3f}", f"{total[2] / _HOUR:.3f}", f"{total[3] / _GIB:.2f}")
    print_table(table)
