"""Proofs that features look at nothing later than their decision time, at no price level and at no peer that is oneself.

Each check computes the same tables twice from inputs that differ only in something that must not matter, and lists every value
that is not the same to the last bit:

- `truncation`: rows, and verdicts on rows, that became known after the cut are taken away;
- `poison`: every number in them is replaced by garbage;
- `scale`: one stock's prices and per-share numbers are multiplied, its volumes and share counts divided by 4, throughout;
- `peers`: one stock's newest bars are poisoned, and the market and sector returns it is measured against must not move;
- `lagged_beta`: everybody's bars of the session are poisoned, and no beta of that session may move.

Residual returns are recomputed on the way, so that the checks reach from raw bars to the panel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime

import numpy as np
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP, Frequency, SessionCalendar
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.panel_builder import compute_panel
from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline.market.point_in_time import as_known_at, told_by

SCALE = 4.0
"""A power of two: multiplying by it rounds nothing."""
_KEY = ["symbol", "decision_time"]
_DIFFERENCES: dict[str, pl.DataType | type[pl.DataType]] = {
    "table": pl.String,
    "column": pl.String,
    "symbol": pl.String,
    "decision_time": TIMESTAMP,
    "stored": pl.Float64,
    "recomputed": pl.Float64,
}
_PER_SHARE = ("open", "high", "low", "close", "vwap", "eps_estimate", "eps_actual", "amount")
_SHARES = ("volume", "shares_outstanding", "shares_short", "avg_daily_volume")


@dataclass(frozen=True)
class LeakCheck:
    """One way of looking for a leak.

    Attributes
    ----------
    name : str
        What the asset check is called.
    description : str
        What holds if nothing is found.
    differences : callable
        From inputs, the stored panel, a cut and a seed to the values that differ.
    """

    name: str
    description: str
    differences: Callable[[FeatureInputs, pl.DataFrame, datetime, int], pl.DataFrame]


def sample_decision_times(session: date, calendar: SessionCalendar, frequency: Frequency) -> list[datetime]:
    """Decision times worth checking: the session's first, one in the morning, one in its middle and its last."""
    ends = calendar.bar_ends(session, frequency)
    return [ends[index] for index in sorted({0, len(ends) // 6, len(ends) // 2, len(ends) - 1})]


def feature_leaks(
    inputs: FeatureInputs, stored: pl.DataFrame, cuts: Sequence[datetime], seed: int, checks: Sequence[LeakCheck]
) -> pl.DataFrame:
    """Run checks at some cuts.

    Parameters
    ----------
    inputs : FeatureInputs
        That cover the sessions of the cuts, rows that became known later included.
    stored : polars.DataFrame
        Table `features` of the sessions of the cuts.
    cuts : sequence of datetime
        Decision times.
    seed : int
        Of the garbage.
    checks : sequence of LeakCheck
        Some of :data:`FEATURE_CHECKS`.

    Returns
    -------
    polars.DataFrame
        `check`, `cut`, `table` (`features` or `residual_returns`), `column` (`row` where only one side has the row), `symbol`,
        `decision_time`, `stored`, `recomputed`; empty if nothing is wrong.
    """
    found = [pl.DataFrame(schema={"check": pl.String, "cut": TIMESTAMP, **_DIFFERENCES})]
    for cut in cuts:
        own = replace(inputs, sessions=[inputs.calendar.session_of(cut)])
        for check in checks:
            wrong = check.differences(own, stored, cut, seed)
            named = wrong.select(pl.lit(check.name).alias("check"), pl.lit(cut, TIMESTAMP).alias("cut"), pl.all())
            found.append(named)
    return pl.concat(found)


def truncation_differences(inputs: FeatureInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Stored values of the cut's session up to the cut that the rows known by then do not give."""
    del seed
    seen = as_seen_at(inputs, cut)
    return _recomputed_differences(inputs, seen, stored, cut)


def poison_differences(inputs: FeatureInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Stored values of the cut's session up to the cut that change when every row known later is replaced by garbage.

    Every number of such a row is multiplied by its own log-normal draw; keys and times stay. Sectors of later sessions are
    exchanged between symbols.
    """
    random = np.random.default_rng(seed)
    late = pl.col("known_at") > cut
    frames = {name: _poisoned(frame, late, random) for name, frame in _versioned(inputs).items()}
    later = pl.col("session") > inputs.calendar.session_of(cut)
    sectors = pl.when(later).then(pl.col("sector").reverse()).otherwise(pl.col("sector"))
    garbage = inputs.with_frames(**frames, universe=inputs.universe.with_columns(sectors), until=cut)
    return _recomputed_differences(inputs, garbage, stored, cut)


def scale_differences(inputs: FeatureInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Stored values up to the cut that change when one stock, drawn by the seed, is quoted in another unit throughout."""
    names = _stocks(inputs)
    if not names:
        return _recomputed_differences(inputs, inputs.with_frames(until=cut), stored, cut)
    hit = pl.col("instrument_id") == names[seed % len(names)]

    def scaled(frame: pl.DataFrame) -> pl.DataFrame:
        factors = dict.fromkeys(_PER_SHARE, SCALE) | dict.fromkeys(_SHARES, 1.0 / SCALE)
        return frame.with_columns(
            pl.when(hit).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
            for name, factor in factors.items()
            if name in frame.columns
        )

    other = inputs.with_frames(**{name: scaled(frame) for name, frame in _versioned(inputs).items()}, until=cut)
    return _recomputed_differences(inputs, other, stored, cut)


def peer_differences(inputs: FeatureInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Market and sector returns of one stock, measured against its peers alone, that its own bars of the session move."""
    del stored
    manifest = inputs.manifest.model_copy(update={"benchmark": None, "sector_etfs": {}})
    plain = inputs.with_frames(manifest=manifest, until=cut)
    names = _stocks(inputs)
    if not names:  # nobody has peers
        return differences(
            "residual_returns", *[_newest_residuals(compute_residual_returns(plain), inputs.sessions[0], cut)] * 2
        )
    name = names[seed % len(names)]
    session = inputs.sessions[0]
    own = (pl.col("session") == session) & (pl.col("instrument_id") == name)
    moved = plain.with_frames(bars=_poisoned(plain.bars, own, np.random.default_rng(seed)))
    before, after = (
        _newest_residuals(compute_residual_returns(frames), session, cut)
        .filter(pl.col("instrument_id") == name)
        .select(*_KEY, "market_return", "sector_return")
        for frames in (plain, moved)
    )
    return differences("residual_returns", before, after)


def beta_differences(inputs: FeatureInputs, stored: pl.DataFrame, cut: datetime, seed: int) -> pl.DataFrame:
    """Betas of the cut's session that move when all prices of the session itself are replaced by garbage."""
    del stored
    session = inputs.sessions[0]
    own = pl.col("session") == session
    random = np.random.default_rng(seed)
    frames = {name: _poisoned(getattr(inputs, name), own, random) for name in ("bars", "session_bars", "daily_bars")}
    before, after = (
        _newest_residuals(compute_residual_returns(given), session, cut).select(*_KEY, "beta_market", "beta_sector")
        for given in (inputs, inputs.with_frames(**frames))
    )
    both = before.select(_KEY).join(after.select(_KEY), on=_KEY)
    return differences("residual_returns", *(frame.join(both, on=_KEY, how="semi") for frame in (before, after)))


FEATURE_CHECKS = (
    LeakCheck("truncation", "Features equal those of the rows known at their decision time.", truncation_differences),
    LeakCheck("poison", "Garbage in rows known after a decision time changes no feature at it.", poison_differences),
    LeakCheck("scale", "The unit a stock is quoted in changes no feature.", scale_differences),
    LeakCheck("peers", "A stock's own return moves no mean it is measured against.", peer_differences),
    LeakCheck("lagged_beta", "A session's prices move no beta applied in it.", beta_differences),
)


def as_seen_at(inputs: FeatureInputs, moment: datetime) -> FeatureInputs:
    """Inputs without the rows, and without the verdicts on rows, that became known after a moment."""
    session = inputs.calendar.session_of(moment)
    frames = {name: told_by(frame, moment) for name, frame in _versioned(inputs).items()}
    universe = inputs.universe.filter(pl.col("session") <= session)
    return inputs.with_frames(**frames, universe=universe, until=moment)


def differences(table: str, stored: pl.DataFrame, recomputed: pl.DataFrame) -> pl.DataFrame:
    """List every value in which two frames with `symbol` and `decision_time` differ, bit for bit; missing equals missing."""
    frame = stored.with_columns(pl.lit(value=True).alias("stored_row")).join(
        recomputed.with_columns(pl.lit(value=True).alias("recomputed_row")),
        on=_KEY,
        how="full",
        coalesce=True,
        suffix="_new",
    )
    both = pl.col("stored_row").is_not_null() & pl.col("recomputed_row").is_not_null()
    found = [pl.DataFrame(schema=_DIFFERENCES), _listed(frame.filter(~both), table, "row", pl.lit(None), pl.lit(None))]
    shared = frame.filter(both)
    for name, dtype in stored.schema.items():
        if dtype.is_float():
            old, new = pl.col(name), pl.col(f"{name}_new")
            found.append(_listed(shared.filter(old.ne_missing(new)), table, name, old, new))
    return pl.concat(found)


def _listed(rows: pl.DataFrame, table: str, column: str, stored: pl.Expr, recomputed: pl.Expr) -> pl.DataFrame:
    return rows.select(
        pl.lit(table).alias("table"),
        pl.lit(column).alias("column"),
        *_KEY,
        stored.cast(pl.Float64).alias("stored"),
        recomputed.cast(pl.Float64).alias("recomputed"),
    )


def _recomputed_differences(
    inputs: FeatureInputs, other: FeatureInputs, stored: pl.DataFrame, cut: datetime
) -> pl.DataFrame:
    """Residual returns and features of the cut's session so far: stored against what `other` inputs give."""
    session = inputs.calendar.session_of(cut)
    own = replace(other, sessions=[session])
    residuals = compute_residual_returns(own)
    earlier = other.residual_returns.filter(pl.col("session") < session)
    whole = own.with_frames(residual_returns=pl.concat([earlier, residuals.select(earlier.columns)]))
    so_far = stored.filter(pl.col("session") == session, pl.col("decision_time") <= cut)
    panel = compute_panel(whole).filter(pl.col("decision_time") <= cut)
    before, after = (_newest_residuals(rows, session, cut) for rows in (inputs.residual_returns, residuals))
    return pl.concat(
        [differences("residual_returns", before, after), differences("features", so_far, panel.select(so_far.columns))]
    )


def _newest_residuals(rows: pl.DataFrame, session: date, cut: datetime) -> pl.DataFrame:
    """Residual returns of a session so far in the versions known at the cut, keyed like features."""
    own = rows.filter(pl.col("session") == session, pl.col("bar_end") <= cut)
    return as_known_at(own, cut, ["instrument_id", "bar_end"]).rename({"bar_end": "decision_time"})


def _poisoned(frame: pl.DataFrame, hit: pl.Expr, random: np.random.Generator) -> pl.DataFrame:
    """Multiply every number of the rows that are hit by its own log-normal draw."""
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    return frame.with_columns(
        pl.when(hit)
        .then(pl.col(name) * pl.Series(np.exp(random.standard_normal(frame.height)), dtype=pl.Float64))
        .otherwise(pl.col(name))
        for name in numbers
    )


def _stocks(inputs: FeatureInputs) -> list[str]:
    """Instruments that are eligible in the session, sorted."""
    rows = inputs.universe.filter(pl.col("session") == inputs.sessions[0], "eligible")
    return rows.get_column("instrument_id").sort().to_list()


def _versioned(inputs: FeatureInputs) -> dict[str, pl.DataFrame]:
    """Frames of the inputs that say when a row was known."""
    frames = {field.name: getattr(inputs, field.name) for field in fields(inputs)}
    return {
        name: frame for name, frame in frames.items() if isinstance(frame, pl.DataFrame) and "known_at" in frame.columns
    }
