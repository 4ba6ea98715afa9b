"""Scores of several models side by side, aligned with labels and sectors, and their rank correlations on dense arrays.

Numbers agree with :mod:`~aurora_pipeline.monitoring.information_coefficient`: each correlation is taken over the names a model
has scored and that have a label, ranked among themselves. Aligning once and ranking in compiled loops is what makes a dozen
models over a million rows a matter of seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.monitoring.feature_statistics import Floats, RankedPanel, ranked_panel
from aurora_pipeline.monitoring.information_coefficient import rank_correlations, segment_means

Ints = NDArray[np.int64]
KEYS = ("session", "symbol", "decision_time")
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ClosingPanel:
    """The last decision time of each session, laid out densely.

    Attributes
    ----------
    ranks : ndarray of shape (sessions, symbols, models)
        Standardised ranks of the scores; NaN where there is none.
    label : ndarray of shape (sessions, symbols)
        NaN where there is none.
    decision_time, matured_at : ndarray of int of shape (sessions,)
        Microseconds since 1970; `matured_at` is the latest of the labels, the largest integer without any.
    """

    ranks: Floats
    label: Floats
    decision_time: Ints
    matured_at: Ints


@dataclass(frozen=True)
class ScorePanel:
    """Scores of all models, row by row.

    Attributes
    ----------
    ranked : RankedPanel
        Its `features` are the models.
    label : ndarray of shape (rows,)
        NaN where there is none.
    matured_at : ndarray of int of shape (rows,)
        Microseconds since 1970, the largest integer where there is no label.
    decision_time : ndarray of int of shape (decision times,)
        Microseconds since 1970.
    sectors : list of str
        In alphabetical order.
    sector : ndarray of int of shape (rows,)
        Place in `sectors`; -1 where unknown.
    """

    ranked: RankedPanel
    label: Floats
    matured_at: Ints
    decision_time: Ints
    sectors: list[str]
    sector: Ints

    @property
    def models(self) -> list[str]:
        """Column axis."""
        return self.ranked.features

    @cached_property
    def sessions(self) -> Ints:
        """Sessions there are, days since 1970, ascending."""
        return np.unique(self.ranked.session)

    @cached_property
    def closing(self) -> ClosingPanel:
        """The last decision time of each session."""
        ranked = self.ranked
        last = np.flatnonzero(np.diff(ranked.session, append=_NEVER))
        shape = (last.size, int(ranked.symbol.max(initial=-1)) + 1)
        ranks, label = np.full((*shape, len(self.models)), np.nan), np.full(shape, np.nan)
        matured = np.full(last.size, _NEVER, dtype=np.int64)
        for place, time in enumerate(last):
            rows = slice(int(ranked.starts[time]), int(ranked.starts[time + 1]))
            names = ranked.symbol[rows]
            ranks[place, names] = np.where(ranked.present[rows], ranked.ranks[rows], np.nan)
            label[place, names] = self.label[rows]
            known = self.matured_at[rows][ranked.labelled[rows]]
            matured[place] = known.max() if known.size else _NEVER
        return ClosingPanel(ranks, label, self.decision_time[last], matured)


def score_panel(scores: pl.DataFrame, labels: pl.DataFrame, sectors: pl.DataFrame, models: Sequence[str]) -> ScorePanel:
    """Align scores with labels and sectors.

    Parameters
    ----------
    scores : polars.DataFrame
        `session`, `symbol`, `decision_time` and one column per model; null or NaN where a model has no score.
    labels : polars.DataFrame
        Table `labels`.
    sectors : polars.DataFrame
        `session`, `symbol`, `sector`, such as table `universe`.
    models : sequence of str
        Columns of `scores` wanted, in the order of the panel.
    """
    named = labels.select("symbol", "decision_time", "label", "matured_at")
    rows = scores.select(*KEYS, *models).sort("decision_time", "symbol")
    ranked = ranked_panel(rows, named, list(models))
    beside = rows.select(KEYS).join(named, on=["symbol", "decision_time"], how="left", maintain_order="left")
    beside = beside.join(
        sectors.select("session", "symbol", "sector"), on=["session", "symbol"], how="left", maintain_order="left"
    )
    names = sorted(beside.get_column("sector").drop_nulls().unique())
    codes = {name: place for place, name in enumerate(names)}
    return ScorePanel(
        ranked=ranked,
        label=beside.get_column("label").cast(pl.Float64).fill_null(np.nan).to_numpy(),
        matured_at=beside.get_column("matured_at").to_physical().fill_null(_NEVER).to_numpy(),
        decision_time=beside.get_column("decision_time").to_physical().to_numpy()[ranked.starts[:-1]],
        sectors=names,
        sector=beside.get_column("sector")
        .replace_strict(codes, default=-1, return_dtype=pl.Int64)
        .fill_null(-1)
        .to_numpy(),
    )


def session_information_coefficient(panel: ScorePanel, place: int) -> Floats:
    """Mean IC of each session of one model, shape (sessions,); NaN where no decision time is defined."""
    return _by_session(panel, _correlations(panel, place, panel.ranked.starts[1:], None), panel.ranked.session)


def sector_information_coefficient(panel: ScorePanel, place: int) -> Floats:
    """Mean IC of each session within each sector, shape (sessions, sectors); NaN where undefined."""
    times = np.repeat(np.arange(panel.ranked.starts.size - 1), np.diff(panel.ranked.starts))
    order = np.lexsort((panel.sector, times))
    order = order[panel.sector[order] >= 0]
    group = times[order] * max(len(panel.sectors), 1) + panel.sector[order]
    ends = np.append(np.flatnonzero(np.diff(group)) + 1, group.size) if group.size else np.zeros(0, dtype=np.int64)
    values = _correlations(panel, place, ends, order)
    owner = panel.sector[order][ends - 1]
    session = panel.ranked.session[times[order][ends - 1]]
    columns = [_by_session(panel, values[owner == code], session[owner == code]) for code in range(len(panel.sectors))]
    return np.stack(columns, axis=1) if columns else np.empty((panel.sessions.size, 0))


def aged_information_coefficient(panel: ScorePanel, age: int) -> Floats:
    """IC of scores held back some sessions, at the last decision time of each session.

    Parameters
    ----------
    panel : ScorePanel
        Scores and labels.
    age : int
        Sessions between score and the decision time whose label it is held against; 0 is the score's own.

    Returns
    -------
    ndarray of shape (sessions - age, models)
        NaN where undefined; empty where there are no more sessions than that.
    """
    closing = panel.closing
    count = max(closing.label.shape[0] - age, 0)
    label = closing.label[age:] if count else closing.label[:0]
    out = np.full((count, len(panel.models)), np.nan)
    for place in range(len(panel.models)):
        ranks = closing.ranks[:count, :, place]
        both = ~np.isnan(ranks) & ~np.isnan(label)
        out[:, place] = rank_correlations(ranks[both], label[both], np.cumsum(both.sum(axis=1)))
    return out


def _correlations(panel: ScorePanel, place: int, ends: Ints, order: Ints | None) -> Floats:
    """Rank correlation of one model and the label in consecutive groups of rows, over rows that have both."""
    ranked = panel.ranked
    known = ranked.present[:, place] & ranked.labelled
    scores, labels = ranked.ranks[:, place], ranked.label
    if order is not None:
        known, scores, labels = known[order], scores[order], labels[order]
    counts = np.concatenate([[0], np.cumsum(known)])[ends]
    out: Floats = rank_correlations(scores[known].astype(np.float64), labels[known].astype(np.float64), counts)
    return out


def _by_session(panel: ScorePanel, values: Floats, session: Ints) -> Floats:
    """Mean of the defined values of each session; `session` ascends."""
    out = np.full(panel.sessions.size, np.nan)
    known = ~np.isnan(values)
    if known.any():
        days, counts = np.unique(session[known], return_counts=True)
        out[np.searchsorted(panel.sessions, days)] = segment_means(values[known], np.cumsum(counts))
    return out
