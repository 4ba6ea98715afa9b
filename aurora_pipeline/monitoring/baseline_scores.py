"""What a model has to beat: scores that take no fitting, or next to none.

`zero` says nothing; `signed_features` is the equal weight of all features, each signed by its IC on the fold's train block as the
feature audit stored it; `reversal` bets against the last session's residual return (Lehmann 1990); `momentum` on the year before
the last month (Jegadeesh and Titman 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.monitoring.feature_statistics import standard_ranks

ZERO, SIGNED, REVERSAL, MOMENTUM = "zero", "signed_features", "reversal", "momentum"
BASELINES = (ZERO, SIGNED, REVERSAL, MOMENTUM)
_KEYS = ("session", "symbol", "decision_time")


class SingleFeature(NamedTuple):
    """A baseline that is one feature, and the sign it is used with."""

    feature: str
    sign: float


SINGLE: dict[str, tuple[SingleFeature, ...]] = {
    # At frequency `session` the last bar is the last session.
    REVERSAL: (SingleFeature("residual_reversal_1", 1.0), SingleFeature("residual_return_1_bars", -1.0)),
    MOMENTUM: (SingleFeature("momentum_12_1", 1.0),),
}


def signed_by(audit: pl.DataFrame) -> dict[str, float]:
    """Sign of each usable feature's IC on a train block.

    Parameters
    ----------
    audit : polars.DataFrame
        Table `feature_audit` of one fold.

    Returns
    -------
    dict of str to float
        Signals of the market, without faults, whose IC is known and not 0: feature to 1 or -1.
    """
    usable = audit.filter(
        pl.col("role") == "signal", pl.col("unavailable").is_null(), pl.col("fault").is_null(), pl.col("ic") != 0.0
    )
    return {name: float(np.sign(ic)) for name, ic in usable.select("feature", "ic").iter_rows()}


def baseline_scores(features: pl.DataFrame, signs: dict[str, float], threads: int = 1) -> pl.DataFrame:
    """Score every row of a features frame with every baseline.

    Parameters
    ----------
    features : polars.DataFrame
        Table `features` of one fold's test block, with at least :func:`needed_features`.
    signs : dict of str to float
        From :func:`signed_by` of the same fold; empty where it was not audited.
    threads : int
        Threads used for ranking; changes the time only.

    Returns
    -------
    polars.DataFrame
        `session`, `symbol`, `decision_time` and one Float64 column per baseline, by decision time and symbol. Null
        where a baseline has nothing to go by; a feature that is missing counts as the middle rank in `signed_features`.
    """
    rows = features.sort("decision_time", "symbol")
    names = [name for name in signs if name in rows.columns]
    columns: list[pl.Expr | pl.Series] = [
        pl.lit(0.0).alias(ZERO),
        pl.Series(SIGNED, _signed_ranks(rows, names, signs, threads)),
    ]
    for baseline, choices in SINGLE.items():
        known = [choice for choice in choices if _has_values(rows, choice.feature)][:1]
        score = pl.col(known[0].feature).cast(pl.Float64) * known[0].sign if known else pl.lit(None, pl.Float64)
        columns.append(score.alias(baseline))
    return rows.select(*_KEYS, *columns).with_columns(pl.col(SIGNED).fill_nan(None))


def needed_features(signs: Sequence[str]) -> list[str]:
    """Return the features the baselines look at."""
    return list(dict.fromkeys([*signs, *(choice.feature for choices in SINGLE.values() for choice in choices)]))


def _has_values(rows: pl.DataFrame, name: str) -> bool:
    return name in rows.columns and rows.get_column(name).null_count() < rows.height


def _signed_ranks(
    rows: pl.DataFrame, names: Sequence[str], signs: dict[str, float], threads: int
) -> NDArray[np.float64]:
    """Mean signed rank over the features; NaN where none is there."""
    times = rows.get_column("decision_time").to_physical().to_numpy()
    starts = np.append(np.flatnonzero(np.diff(times, prepend=np.iinfo(np.int64).min)), times.size).astype(np.int64)
    total = np.zeros(rows.height)
    seen = np.zeros(rows.height, dtype=np.bool_)

    def ranked(name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        values = rows.get_column(name).cast(pl.Float64).fill_null(np.nan).to_numpy()
        out: tuple[NDArray[np.float32], NDArray[np.bool_]] = standard_ranks(values, starts)
        return out

    with ThreadPoolExecutor(threads) as pool:
        # In the order of the names, so that the sum does not depend on the threads.
        for name, (ranks, present) in zip(names, pool.map(ranked, names), strict=True):
            total += signs[name] * ranks
            seen |= present
    return np.where(seen, total / max(len(names), 1), np.nan)
