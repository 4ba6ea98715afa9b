"""Breaks of a price's level that look like a split nobody filed.

A step from the last accepted price to a bar is a break if it lies beyond `quality.jump_sigmas` of its own standard
deviation and open and close lie within `quality.split_tolerance` of a simple split ratio, after the splits on file have
been taken out. Rows are refused from the break on, each at the moment it came, until a split that is known by then
explains the level or the price is back nearer to the old level than to the new one. Everything that decides about a row
was known when the row was.

Nights and bars inside a session have scales of their own: an opening gap is measured against earlier opening gaps. The
scale is the median absolute step over 0.6745 (the normal quantile), which one faulty session does not move.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from statistics import median

import polars as pl

from aurora_pipeline.settings import QualitySettings

SPLIT_RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 100.0)
NORMAL_MEDIAN = 0.6745
MINIMUM_STEPS = 5
FALLBACK_SIGMA = 0.015
"""Scale of a night (and, safely large, of a bar) of a symbol with fewer than `MINIMUM_STEPS` earlier ones."""
SMALLEST_SIGMA = 0.001
_ROUNDING = 1e-9


@dataclass(frozen=True)
class LevelRules:
    """Thresholds of a scan.

    Attributes
    ----------
    sigmas : float
        Steps beyond this many standard deviations are looked at.
    tolerance : float
        Relative distance to a split ratio.
    window : int
        Earlier sessions whose steps give the scale.
    memory : int or None
        Sessions after which an unexplained level is taken for the new one; None: never.
    """

    sigmas: float
    tolerance: float
    window: int
    memory: int | None = None

    @classmethod
    def of(cls, settings: QualitySettings, window: int, memory: int | None = None) -> LevelRules:
        """Take the thresholds from the settings."""
        return cls(settings.jump_sigmas, settings.split_tolerance, window, memory)

    @property
    def smallest_step(self) -> float:
        """Log return below which no step can be a split."""
        return math.log(SPLIT_RATIOS[0]) - math.log1p(self.tolerance)

    def is_split(self, step: float, sessions: int) -> bool:
        """Whether a log return over some sessions is a simple ratio.

        A scan without a state from earlier sessions (`memory` set) sees a break that has lasted as one long step, and
        allows the price to drift meanwhile.
        """
        drift = max(sessions, 1) if self.memory is not None else 1
        slack = math.log1p(self.tolerance) * drift
        return any(abs(abs(step) - math.log(ratio)) <= slack for ratio in SPLIT_RATIOS)


@dataclass(frozen=True)
class Split:
    """A version of a split on file, and when it was told otherwise (None: never)."""

    ex_date: date
    known_at: datetime
    superseded_at: datetime | None
    ratio: float

    def counts_at(self, moment: datetime) -> bool:
        """Whether it is in force at a moment."""
        return self.known_at <= moment and (self.superseded_at is None or moment < self.superseded_at)


@dataclass(frozen=True)
class _Price:
    index: int
    session: date
    close: float
    known_at: datetime
    quarantined_at: datetime | None


@dataclass
class _Scan:
    """State of one instrument's scan over its rows in time order."""

    rules: LevelRules
    splits: Sequence[Split]
    accepted: list[_Price] = field(default_factory=list)
    broken: float | None = None
    index: int = -1
    nights: deque[tuple[int, float]] = field(default_factory=deque)
    bars: deque[tuple[int, float]] = field(default_factory=deque)

    def reference(self, moment: datetime) -> _Price | None:
        """Newest accepted price known at `moment`; where it has been withdrawn by then, the newest that never is."""
        known = (price for price in reversed(self.accepted) if price.known_at <= moment)
        newest = next(known, None)
        if newest is not None and newest.quarantined_at is not None and newest.quarantined_at <= moment:
            newest = next((price for price in known if price.quarantined_at is None), None)
        if newest is None or (self.rules.memory is not None and self.index - newest.index > self.rules.memory):
            return None
        return newest

    def step(self, price: float, reference: _Price, session: date, moment: datetime) -> float:
        """Log return from the reference, splits known by now taken out."""
        factor = 1.0
        for split in self.splits:
            if reference.session < split.ex_date <= session and split.counts_at(moment):
                factor *= split.ratio
        return math.log(price * factor / reference.close)

    def breaks(self, first: float, last: float, reference: _Price) -> bool:
        """Whether a bar whose log returns at open and close are `first` and `last` stands on a level nobody filed.

        Both must look like a split: news that opens a stock at +54 % seldom leaves it there to within the tolerance.
        """
        if abs(first) < self.rules.smallest_step / 2.0:
            return False
        apart = self.index - reference.index
        scale = _scale(self.nights if apart else self.bars)
        if self.rules.memory is None:
            scale *= math.sqrt(max(apart, 1))
        beyond = abs(first) > self.rules.sigmas * scale
        return beyond and self.rules.is_split(first, apart) and self.rules.is_split(last, apart)

    def accept(self, row: _Price, step: float | None, apart: int) -> None:
        """Accept a row's price, and its step as part of the scale."""
        if step is not None and apart <= 1:
            (self.nights if apart else self.bars).append((self.index, abs(step)))
        self.accepted.append(row)

    def enter(self, index: int) -> None:
        """Begin a session: forget steps outside the window."""
        self.index = index
        for steps in (self.nights, self.bars):
            while steps and steps[0][0] < index - self.rules.window:
                steps.popleft()


def _scale(steps: deque[tuple[int, float]]) -> float:
    if len(steps) < MINIMUM_STEPS:
        return FALLBACK_SIGMA
    return max(median(size for _, size in steps) / NORMAL_MEDIAN, SMALLEST_SIGMA)


def in_time_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Sort rows by instrument, time and version."""
    names = pl.Enum(rows["instrument_id"].unique().sort())  # sorts by number, several times faster than by text
    order = [pl.col("instrument_id").cast(names), pl.col("bar_end"), pl.col("known_at")]
    return rows.sort(order, maintain_order=True)


def level_breaks(rows: pl.DataFrame, splits: pl.DataFrame, sessions: Sequence[date], rules: LevelRules) -> pl.DataFrame:
    """Find the rows that stand on a broken level.

    Parameters
    ----------
    rows : polars.DataFrame
        `row` (identifier), `instrument_id`, `session`, `bar_end`, `known_at`, `quarantined_at`, `open`, `close`, and `tested`:
        rows that are not are accepted as they are (earlier sessions, or sessions a daily bar vouches for).
    splits : polars.DataFrame
        `instrument_id`, `ex_date`, `known_at`, `superseded_at`, `ratio`; empty where prices are adjusted already.
    sessions : sequence of date
        Calendar sessions that cover the rows: distances are counted on it.
    rules : LevelRules

    Returns
    -------
    polars.DataFrame
        `row` and `detail` of the refused rows.
    """
    # A split before all of the rows changes no step between two of them.
    splits = splits.filter(pl.col("ex_date") >= sessions[0])
    rows = in_time_order(
        rows.filter(pl.col("instrument_id").is_in(_unsteady(rows, rules) | set(splits["instrument_id"])))
    )
    same = pl.col("instrument_id") == pl.col("instrument_id").shift(1)
    jump = same & ((pl.col("open") / pl.col("close").shift(1)).log().abs() >= rules.smallest_step)
    # Behind a withdrawn row the last sound price lies further back; a split on file may not have happened in the prices.
    suspected = jump.fill_null(value=False) | pl.col("quarantined_at").is_not_null()
    suspects = set(rows.filter(suspected)["instrument_id"]) | set(splits["instrument_id"])
    position = {day: index for index, day in enumerate(sessions)}
    filed: dict[str, list[Split]] = {}
    for name, *version in splits.select("instrument_id", "ex_date", "known_at", "superseded_at", "ratio").iter_rows():
        filed.setdefault(name, []).append(Split(*version))
    found: list[tuple[int, str]] = []
    # Few instruments jump at all; those that do are walked through row by row, since each verdict depends on the one before.
    for (name,), series in rows.filter(pl.col("instrument_id").is_in(list(suspects))).group_by(
        "instrument_id", maintain_order=True
    ):
        found.extend(_refused(series, _Scan(rules, filed.get(str(name), [])), position))
    return pl.DataFrame(found, schema={"row": rows.schema["row"], "detail": pl.String}, orient="row")


def _unsteady(rows: pl.DataFrame, rules: LevelRules) -> set[str]:
    """Instruments with a withdrawn row, or whose prices lie far enough apart for a break: the others need not be sorted."""
    prices = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    reach = (prices[0].max() / prices[1].min()).log()
    asked = (reach >= rules.smallest_step - _ROUNDING) | pl.col("quarantined_at").is_not_null().any()
    return set(rows.group_by("instrument_id").agg(asked.alias("asked")).filter("asked")["instrument_id"])


def _refused(series: pl.DataFrame, scan: _Scan, position: dict[date, int]) -> Iterator[tuple[int, str]]:
    columns = ("row", "session", "open", "close", "known_at", "quarantined_at", "tested")
    for row, session, first, last, known_at, quarantined_at, tested in series.select(columns).iter_rows():
        index = position[session]
        if index != scan.index:
            scan.enter(index)
            if scan.rules.memory is not None:
                # A call may begin at any session: what a session finds must not depend on a state from before it.
                scan.broken = None
        price = _Price(index, session, last, known_at, quarantined_at)
        reference = scan.reference(known_at)
        if reference is None:
            scan.accept(price, None, 0)
            continue
        step = scan.step(first, reference, session, known_at)
        now = scan.step(last, reference, session, known_at)
        if tested and scan.broken is not None:
            refused = abs(now) >= abs(scan.broken) / 2.0
        else:
            refused = tested and scan.breaks(step, now, reference)
            scan.broken = step if refused else None
        if refused:
            yield row, _sentence(step, first, reference)
        else:
            scan.broken = None
            scan.accept(price, step, index - reference.index)


def _sentence(step: float, price: float, reference: _Price) -> str:
    return (
        f"price {price:g} is {math.exp(step):.4g} times the close {reference.close:g} of {reference.session}, "
        "close to a split ratio; expected a split in corporate_actions or the old level"
    )
