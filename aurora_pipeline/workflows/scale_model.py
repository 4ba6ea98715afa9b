"""What the data stages cost, by stage: fitted to measured runs, and what that says of larger ones.

Every stage is a sum of parts that cannot be negative (non-negative least squares, Lawson and Hanson 1974):

    processor seconds = a + b * sessions + c * bars worked on + d * history
    bytes             = b * sessions + c * bars
    peak memory       = a + c * bars of the largest block + d * history of a block, or names

A session costs its files and materialisations whatever is in it; `bars` are the rows of the grid (names * bars of the sessions).
Stages that look back (:data:`LOOKING_BACK`) work on the sessions before each block once more: the more names, the shorter the
blocks, and the more of that. `history` are the session bars that blocks look back over, up to 760 sessions each. A stage
that does not look back holds its block and, per name, the daily bars from before the first session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import nnls

from aurora_pipeline.errors import MarketDataError
from aurora_pipeline.lookback import BAR_LOOKBACK, SESSION_LOOKBACK
from aurora_pipeline.stages import FULL_SESSION_BARS, block_sessions

Floats = NDArray[np.float64]
RUN = {"names": pl.Int64, "sessions": pl.Int64}
MEASURES = {"rows": pl.Int64, "bytes": pl.Int64, "cpu_seconds": pl.Float64, "peak_bytes": pl.Int64}
RECORD = {"stage": pl.String, **RUN, **MEASURES}
"""Columns of the measurements: one row per stage and run."""
LEAST_RUNS = 4
LOOKING_BACK = frozenset({"residual_returns", "feature_views"})
"""Stages whose blocks read bars of the sessions before them."""


@dataclass(frozen=True)
class Size:
    """How large a run is.

    Attributes
    ----------
    names : int
        Stocks and funds.
    sessions : int
    """

    names: int
    sessions: int

    @property
    def bars(self) -> int:
        """Rows of the bar grid."""
        return self.names * self.sessions * FULL_SESSION_BARS

    @property
    def block(self) -> int:
        """Sessions that are in memory at once, without what is looked back to."""
        return min(block_sessions(self.names), self.sessions)

    @property
    def bars_read(self) -> int:
        """Rows of the bar grid all blocks work on together, those they look back to included."""
        starts = range(0, self.sessions, self.block)
        sessions = self.sessions + sum(min(BAR_LOOKBACK, start) for start in starts)
        return self.names * sessions * FULL_SESSION_BARS

    @property
    def block_own_bars(self) -> int:
        """Rows of the bar grid of a block itself."""
        return self.names * self.block * FULL_SESSION_BARS

    @property
    def block_bars(self) -> int:
        """Rows of the bar grid in memory at once, those looked back to included."""
        return self.names * (self.block + min(BAR_LOOKBACK, self.sessions - self.block)) * FULL_SESSION_BARS

    @property
    def block_history(self) -> int:
        """Session bars the last block looks back over."""
        return self.names * min(SESSION_LOOKBACK + self.block, self.sessions)

    @property
    def history(self) -> int:
        """Session bars that all blocks look back over together."""
        ends = range(self.block, self.sessions + self.block, self.block)
        return self.names * sum(min(SESSION_LOOKBACK + self.block, end, self.sessions) for end in ends)


def seconds_terms(sizes: Sequence[Size], stage: str) -> Floats:
    """Regressors of processor seconds, shape (n_sizes, 4)."""
    back = stage in LOOKING_BACK
    return np.array([[1.0, size.sessions, size.bars_read if back else size.bars, size.history] for size in sizes])


def bytes_terms(sizes: Sequence[Size], stage: str) -> Floats:
    """Regressors of bytes and rows on disk, shape (n_sizes, 2)."""
    return np.array([[size.sessions, size.bars] for size in sizes], dtype=np.float64)


def memory_terms(sizes: Sequence[Size], stage: str) -> Floats:
    """Regressors of peak memory, shape (n_sizes, 3)."""
    if stage in LOOKING_BACK:
        return np.array([[1.0, size.block_bars, size.block_history] for size in sizes])
    return np.array([[1.0, size.block_own_bars, size.names] for size in sizes])


_TERMS = {"cpu_seconds": seconds_terms, "rows": bytes_terms, "bytes": bytes_terms, "peak_bytes": memory_terms}


class ScaleModel:
    """Costs by stage.

    Parameters
    ----------
    record : polars.DataFrame
        Columns of :data:`RECORD`.

    Raises
    ------
    MarketDataError
        Fewer than four runs of different sizes: what a session and what a bar costs cannot be told apart.
    """

    def __init__(self, record: pl.DataFrame) -> None:
        runs = record.select(list(RUN)).unique().height
        if runs < LEAST_RUNS:
            raise MarketDataError(
                f"the record has {runs} run(s) of different sizes; at least {LEAST_RUNS} are needed, some with more names, some "
                "with more sessions: aurora bench scale RECORD --measure NAMESxSESSIONS"
            )
        self.record = record
        self.stages = record.get_column("stage").unique(maintain_order=True).to_list()
        self._parts = {
            (stage, measure): _fitted(record.filter(pl.col("stage") == stage), stage, measure)
            for stage in self.stages
            for measure in MEASURES
        }

    def predict(self, size: Size) -> pl.DataFrame:
        """Costs of a run.

        Returns
        -------
        polars.DataFrame
            Columns of :data:`RECORD`, a row per stage.
        """
        rows = [
            {"stage": stage, "names": size.names, "sessions": size.sessions}
            | {
                measure: float((_TERMS[measure]([size], stage) @ self._parts[stage, measure])[0])
                for measure in MEASURES
            }
            for stage in self.stages
        ]
        made = pl.DataFrame(rows, schema_overrides={"cpu_seconds": pl.Float64})
        return made.with_columns(pl.col(name).round().cast(kind) for name, kind in MEASURES.items() if kind == pl.Int64)

    def errors(self) -> pl.DataFrame:
        """Relative errors where each run is left out and predicted from the others.

        Returns
        -------
        polars.DataFrame
            `names`, `sessions`, `seconds`, `bytes`, `memory`: predicted over measured, less one, of all stages together
            (of memory, of the largest).
        """
        rows = []
        runs = self.record.select(list(RUN)).unique(maintain_order=True)
        for names, sessions in runs.iter_rows() if runs.height > LEAST_RUNS else ():
            own = (pl.col("names") == names) & (pl.col("sessions") == sessions)
            measured, others = self.record.filter(own), self.record.filter(~own)
            predicted = ScaleModel(others).predict(Size(names, sessions))
            totals = [
                frame.select(pl.col("cpu_seconds", "bytes").sum(), pl.col("peak_bytes").max().cast(pl.Float64)).row(0)
                for frame in (predicted, measured)
            ]
            rows.append((names, sessions, *(mine / theirs - 1.0 for mine, theirs in zip(*totals, strict=True))))
        columns = {**RUN, "seconds": pl.Float64, "bytes": pl.Float64, "memory": pl.Float64}
        return pl.DataFrame(rows, schema=columns, orient="row")


def _fitted(rows: pl.DataFrame, stage: str, measure: str) -> Floats:
    """Parts of one measure of one stage; runs weigh alike whatever their size, so that errors count relatively."""
    sizes = [Size(names, sessions) for names, sessions in rows.select(list(RUN)).iter_rows()]
    terms = _TERMS[measure](sizes, stage)
    found = rows.get_column(measure).cast(pl.Float64).to_numpy()
    scale = terms.max(axis=0)
    weight = 1.0 / np.maximum(found, 1e-3 * max(float(found.max()), 1e-12))
    parts, _ = nnls(terms / scale * weight[:, None], found * weight)
    return np.asarray(parts / scale)
