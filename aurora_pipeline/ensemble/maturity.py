"""The check that weights and calibration rest on matured evidence only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import polars as pl

from aurora_pipeline.calendar import TIMESTAMP


def unmatured_rows(evidence: pl.DataFrame, labels: pl.DataFrame, opens: Mapping[date, datetime]) -> pl.DataFrame:
    """Rows of a table that rest on evidence their session could not have had; empty when all is well.

    Readings of the evidence are held against the labels: the latest maturity used must lie before the session's open, there
    cannot be more rows of evidence than labels matured by then and, where the table counts its sessions of evidence, not more
    of them than sessions with a label matured by then.

    Parameters
    ----------
    evidence : polars.DataFrame
        `session`, `evidence_through`, `evidence_rows` and, optionally, `matured_sessions`: tables `ensemble_weights` and
        `signals`.
    labels : polars.DataFrame
        Table `labels`, the history the evidence was drawn from.
    opens : mapping of date to datetime
        Opening moment of each session in `evidence`.

    Returns
    -------
    polars.DataFrame
        The offending rows with `opens`, `sessions_matured` and `rows_matured` beside them.
    """
    every = labels.get_column("matured_at").sort()
    first = (
        labels.group_by("session", maintain_order=True).agg(pl.col("matured_at").min()).get_column("matured_at").sort()
    )
    moments = pl.DataFrame(
        {"session": list(opens), "opens": list(opens.values())}, schema_overrides={"opens": TIMESTAMP}
    )
    moments = moments.with_columns(
        pl.Series("sessions_matured", first.search_sorted(moments.get_column("opens"), side="left"), dtype=pl.Int64),
        pl.Series("rows_matured", every.search_sorted(moments.get_column("opens"), side="left"), dtype=pl.Int64),
    )
    beside = evidence.join(moments, on="session", how="left", maintain_order="left")
    late = (pl.col("evidence_through") >= pl.col("opens")) | (pl.col("evidence_rows") > pl.col("rows_matured"))
    if "matured_sessions" in evidence.columns:
        late |= pl.col("matured_sessions") > pl.col("sessions_matured")
    return beside.filter(late | (pl.col("evidence_through").is_not_null() & pl.col("opens").is_null()))
