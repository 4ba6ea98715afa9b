"""Families, ensemble and baselines side by side: one long table of measures, each with its interval where it has one.

1. align all scores with matured labels (:mod:`~aurora_pipeline.monitoring.score_panel`);
2. IC by session with the session-mean t and a stationary-bootstrap interval; the same less the mean score's IC, paired;
3. IC by sector, by month and by what the market's volatility had been beforehand; IC of scores held back some sessions;
4. turnover of the scores, rank correlation between them;
5. Sharpe ratio of a naive portfolio, deflated by the trials recorded; probability that picking a family is picking noise.

Only stored out-of-fold predictions and matured labels are used. What is undefined (a constant score, too few sessions) or unknown
is null, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.contracts import empty
from aurora_pipeline.models.combinatorial_splits import combinatorial_splits, split_labels
from aurora_pipeline.monitoring.backtest_overfitting import probability_of_backtest_overfitting
from aurora_pipeline.monitoring.bootstrap_interval import bootstrap_interval
from aurora_pipeline.monitoring.feature_statistics import Floats, mean_products, persistence
from aurora_pipeline.monitoring.information_coefficient import mean_with_interval
from aurora_pipeline.monitoring.naive_portfolio import NaiveReturns, naive_returns
from aurora_pipeline.monitoring.score_panel import (
    Ints,
    ScorePanel,
    aged_information_coefficient,
    score_panel,
    sector_information_coefficient,
    session_information_coefficient,
)
from aurora_pipeline.monitoring.sharpe_significance import deflated_sharpe_ratio, sharpe_ratio

FAMILY, ENSEMBLE, BASELINE = "family", "ensemble", "baseline"
MEAN_SCORE = "mean_score"
TOGETHER = "families"
AGES = (0, 1, 2, 5, 10, 21)
"""Sessions a score is held back to see how its IC decays."""
REGIMES = ("low", "middle", "high")
BLOCKS = 10
"""Blocks of time for the probability of backtest overfitting; fewer where the record is short, but no fewer than 4."""
BLOCK_PERIODS = 5
"""Fewest holding periods in a block."""


@dataclass(frozen=True)
class ComparisonInputs:
    """What a comparison is made from.

    Attributes
    ----------
    scores : polars.DataFrame
        `session`, `symbol`, `decision_time` and one column per model.
    kinds : mapping of str to str
        Model to `family`, `ensemble` or `baseline`, in the order of the report.
    labels : polars.DataFrame
        Table `labels`.
    sectors : polars.DataFrame
        `session`, `symbol`, `sector`.
    volatility : polars.DataFrame
        `session`, `volatility`: the market's before the session opened; null where unknown.
    bar_ends : ndarray of int of shape (bars,)
        Every bar end of the calendar from the first decision on, microseconds since 1970.
    trials : mapping of str to int
        Family to configurations tried, over all its folds.
    seed : int
        Of the bootstrap.
    """

    scores: pl.DataFrame
    kinds: Mapping[str, str]
    labels: pl.DataFrame
    sectors: pl.DataFrame
    volatility: pl.DataFrame
    bar_ends: Ints
    trials: Mapping[str, int] = field(default_factory=dict)
    seed: int = 1


def compare_models(inputs: ComparisonInputs) -> pl.DataFrame:
    """Compare all models.

    Returns
    -------
    polars.DataFrame
        Table `model_comparison`, models in the order of `inputs.kinds`.
    """
    models = list(inputs.kinds)
    panel = score_panel(inputs.scores, inputs.labels, inputs.sectors, models)
    rows = _Rows(inputs.kinds)
    ic = np.stack([session_information_coefficient(panel, place) for place in range(len(models))], axis=1)
    _add_information_coefficients(rows, inputs, panel, ic)
    _add_behaviour(rows, panel)
    _add_overfitting(rows, inputs, panel)
    return rows.frame()


def market_volatility(market_returns: pl.DataFrame, sessions: int) -> pl.DataFrame:
    """Root of the mean squared market return of the sessions before each session.

    Parameters
    ----------
    market_returns : polars.DataFrame
        `session`, `bar_end`, `market_return` of every name, such as table `residual_returns`; names agree but for gaps,
        so the median counts.
    sessions : int
        Length of the window.

    Returns
    -------
    polars.DataFrame
        `session`, `volatility` (per session, fraction; null until half the window has passed).
    """
    bars = market_returns.group_by("session", "bar_end", maintain_order=True).agg(pl.col("market_return").median())
    squares = (
        bars.group_by("session", maintain_order=True)
        .agg((pl.col("market_return") ** 2).sum().alias("square"))
        .sort("session")
    )
    before = pl.col("square").shift(1).rolling_mean(sessions, min_samples=-(-sessions // 2))
    return squares.select("session", before.sqrt().alias("volatility"))


class _Rows:
    """Collects rows of the table."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        model: str,
        measure: str,
        value: float | None,
        at: tuple[str, str] = ("all", "all"),
        observations: int | None = None,
        **beside: float | None,
    ) -> None:
        known = None if value is None or not np.isfinite(value) else float(value)
        self._rows.append(
            {
                "model": model,
                "kind": self._kinds.get(model, "all"),
                "measure": measure,
                "dimension": at[0],
                "level": at[1],
                "value": known,
                "observations": observations,
                **beside,
            }
        )

    def add_mean(
        self,
        model: str,
        measure: str,
        series: Floats,
        at: tuple[str, str] = ("all", "all"),
        seed: int | None = None,
    ) -> None:
        """Add the mean of a series of sessions with its t and, given a seed, its bootstrap interval."""
        known = series[~np.isnan(series)]
        estimate = mean_with_interval(known)
        drawn = None if seed is None else bootstrap_interval(known, seed)
        self.add(
            model,
            measure,
            estimate.mean,
            at,
            estimate.sessions,
            t=estimate.t,
            p_value=estimate.p_value,
            lower=estimate.lower,
            upper=estimate.upper,
            bootstrap_lower=drawn.lower if drawn else None,
            bootstrap_upper=drawn.upper if drawn else None,
        )

    def frame(self) -> pl.DataFrame:
        schema = empty("model_comparison").schema
        return pl.DataFrame(self._rows, schema=schema)


def _add_information_coefficients(rows: _Rows, inputs: ComparisonInputs, panel: ScorePanel, ic: Floats) -> None:
    months = panel.sessions.astype("datetime64[D]").astype("datetime64[M]")
    regimes = _regimes(panel.sessions, inputs.volatility)
    aged = {age: aged_information_coefficient(panel, age) for age in AGES}
    middle = panel.models.index(MEAN_SCORE) if MEAN_SCORE in panel.models else None
    for place, model in enumerate(panel.models):
        own = ic[:, place]
        rows.add_mean(model, "ic", own, seed=inputs.seed)
        if middle is not None and place != middle:
            rows.add_mean(model, "ic_less_mean_score", own - ic[:, middle], seed=inputs.seed)
        by_sector = sector_information_coefficient(panel, place)
        for code, sector in enumerate(panel.sectors):
            rows.add_mean(model, "ic", by_sector[:, code], ("sector", sector))
        for month in np.unique(months):
            rows.add_mean(model, "ic", own[months == month], ("month", str(month)))
        for regime in REGIMES:
            rows.add_mean(model, "ic", own[regimes == regime], ("volatility", regime))
        for age in AGES:
            rows.add_mean(model, "ic", aged[age][:, place], ("age_sessions", str(age)))


def _regimes(sessions: Ints, volatility: pl.DataFrame) -> np.ndarray:
    """Tercile of each session's volatility among the sessions compared; empty text where it is unknown."""
    days = pl.DataFrame({"session": sessions.astype(np.int32)}).with_columns(pl.col("session").cast(pl.Date))
    known = days.join(volatility, on="session", how="left", maintain_order="left").get_column("volatility")
    values = known.cast(pl.Float64).fill_null(np.nan).to_numpy()
    out = np.full(values.size, "", dtype=object)
    there = ~np.isnan(values)
    if there.sum() >= len(REGIMES):
        bounds = np.quantile(values[there], [1.0 / 3.0, 2.0 / 3.0])
        out[there] = np.array(REGIMES, dtype=object)[np.searchsorted(bounds, values[there], side="left")]
    return out


def _add_behaviour(rows: _Rows, panel: ScorePanel) -> None:
    """Turnover of each score, and how alike the scores of any two models rank names."""
    stability, likeness = persistence(panel.ranked), mean_products(panel.ranked)
    says = np.abs(panel.ranked.ranks).max(axis=0, initial=0.0) > 0.0
    for place, model in enumerate(panel.models):
        rows.add(model, "turnover", 1.0 - stability[place])
        for other, name in enumerate(panel.models):
            if other != place:
                both = says[place] and says[other]
                rows.add(model, "score_correlation", likeness[place, other] if both else None, ("other_model", name))


def _add_overfitting(rows: _Rows, inputs: ComparisonInputs, panel: ScorePanel) -> None:
    naive = naive_returns(panel.closing, inputs.bar_ends)
    families = [place for place, model in enumerate(panel.models) if inputs.kinds[model] == FAMILY]
    series = [column[~np.isnan(column)] for column in naive.returns.T]
    ratios = [sharpe_ratio(column) for column in series]
    tried = [ratio for place in families if (ratio := ratios[place]) is not None]
    variance = float(np.var(tried, ddof=1)) if len(tried) > 1 else None
    trials = sum(inputs.trials.values())
    yearly = naive.yearly
    for place, model in enumerate(panel.models):
        ratio, count = ratios[place], len(series[place])
        rows.add(model, "naive_return", float(series[place].mean()) if count else None, observations=count)
        rows.add(model, "sharpe", ratio * yearly if ratio is not None and yearly else None, observations=count)
        deflated = deflated_sharpe_ratio(series[place], trials, variance) if trials else None
        rows.add(model, "deflated_sharpe", deflated, observations=count)
        if model in inputs.trials:
            rows.add(model, "trials", inputs.trials[model])
    rows.add(TOGETHER, "trials", trials or None)
    found = _overfitting(panel, naive, families)
    splits = found["splits"] if found else 0
    for measure in ("probability", "logit", "loss"):
        rows.add(TOGETHER, f"overfitting_{measure}", found[measure] if found else None, observations=int(splits))


def _overfitting(panel: ScorePanel, naive: NaiveReturns, families: Sequence[int]) -> dict[str, float | int] | None:
    """Probability of backtest overfitting over the periods in which every family scored."""
    returns = naive.returns[:, families]
    whole = ~np.isnan(returns).any(axis=1)
    blocks = min(BLOCKS, int(whole.sum()) // BLOCK_PERIODS // 2 * 2)
    if len(families) < 2 or blocks < 4:
        return None
    places = naive.places[whole]
    epoch = date(1970, 1, 1)
    days = [epoch + timedelta(days=int(day)) for day in panel.sessions[places]]
    held = pl.DataFrame(
        {
            "session": days,
            "period": np.arange(len(days)),
            "decision_time": pl.Series(panel.closing.decision_time[places]).cast(TIMESTAMP),
            "matured_at": pl.Series(panel.closing.matured_at[places]).cast(TIMESTAMP),
        }
    )
    splits = combinatorial_splits(days, blocks, blocks // 2)
    masks = np.zeros((2, len(splits), len(days)), dtype=np.bool_)
    for row, split in enumerate(splits):
        for side, part in enumerate(split_labels(held, split)):
            masks[side, row, part.get_column("period").to_numpy()] = True
    found = probability_of_backtest_overfitting(returns[whole], masks[0], masks[1])
    return found.as_dict() if found else None
