"""The rows of a feed laid out for looking up what was known when: sorted once, and shared by all views that read the feed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.features.codes import axis_codes, codes_of, moments_of, names_in, numbers_of
from aurora_pipeline.features.inputs import FeatureInputs

Moments = NDArray[np.int64]
PERIODS = {
    "earnings": "fiscal_period_end",
    "fundamentals": "fiscal_period_end",
    "short_interest": "settlement_date",
    "etf_flows": "date",
    "options": "date",
}
"""Feed to the column that orders its facts and, with the instrument, identifies one; where it is null `known_at` does."""


@dataclass(frozen=True)
class FeedFacts:
    """Versions of a feed's facts in order of instrument, period and publication.

    Attributes
    ----------
    names : list of str
        Instruments that have facts, sorted.
    starts : ndarray of int of shape (instruments + 1,)
        First fact of each instrument; the last entry is the number of facts.
    period, known : ndarray of int of shape (facts,)
        Natural period and publication of each version, microseconds since 1970.
    published : ndarray of int of shape (facts,)
        Publications of each instrument in order of time.
    rows : polars.DataFrame
        Columns of the feed in the same order.
    """

    names: list[str]
    starts: NDArray[np.int64]
    period: Moments
    known: Moments
    published: Moments
    rows: pl.DataFrame

    def codes(self, names: list[str]) -> NDArray[np.int64]:
        """Own number of each of some instruments; -1 for those without facts."""
        return axis_codes(names, self.names)

    def column(self, name: str) -> NDArray[np.float64]:
        """Values of a column, NaN where missing."""
        return numbers_of(self.rows.get_column(name))


def feed_facts(inputs: FeatureInputs, name: str) -> FeedFacts:
    """Lay out a feed of some inputs, once."""
    return inputs.once(f"{name} facts", lambda: lay_out_facts(getattr(inputs, name), PERIODS[name]))


def lay_out_facts(feed: pl.DataFrame, period: str) -> FeedFacts:
    """Sort the facts of a feed.

    Parameters
    ----------
    feed : polars.DataFrame
        `instrument_id`, `known_at`, `period` and values.
    period : str
        Column that orders the facts of an instrument.
    """
    names = names_in(feed.get_column("instrument_id"))
    own = codes_of(feed.get_column("instrument_id"), names)
    known = moments_of(feed.get_column("known_at"))
    periods = moments_of(feed.get_column(period).cast(pl.Datetime("us")))
    if feed.get_column(period).null_count():
        periods = np.where(feed.get_column(period).is_null().to_numpy(), known, periods)
    order = _order(own, periods, known)
    if order is not None:
        feed, own, known, periods = feed[order], own[order], known[order], periods[order]
    by_time = _order(own, known)
    return FeedFacts(
        names,
        np.searchsorted(own, np.arange(len(names) + 1)).astype(np.int64),
        periods,
        known,
        known if by_time is None else known[by_time],
        feed,
    )


def _order(*keys: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Positions in order of some keys, the first one first; None where they are in order already."""
    equal = np.ones(max(len(keys[0]) - 1, 0), dtype=np.bool_)
    for key in keys:
        if (equal & (key[1:] < key[:-1])).any():
            return np.lexsort(keys[::-1])
        equal &= key[1:] == key[:-1]
    return None
