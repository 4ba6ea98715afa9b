"""What is stored of one decision on one symbol, from the bar to the fill: the frames an explanation is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl


@dataclass(frozen=True)
class ExplainedDecision:
    """What is stored of one symbol and decision time.

    Attributes
    ----------
    symbol, book : str
    at : datetime
        Decision time.
    bars, quarantine, universe, residual_returns : polars.DataFrame
        Rows of the symbol: versions of its bar, verdicts on it, its row of the session, the split of its return.
    raw : polars.DataFrame
        `feature`, `view`, `raw`: values of the views, before they are ranked.
    features, predictions, ensemble : polars.DataFrame
        Every symbol at the decision time; `predictions` with `trades`, false for a model in shadow.
    weights, states : polars.DataFrame
        Tables `ensemble_weights` and `model_states` of the session.
    signal, target : polars.DataFrame
        The symbol's rows of `signals` and `targets`.
    orders, fills, positions : polars.DataFrame
        The symbol's rows at and after the decision.
    account, events : polars.DataFrame
        The book's `portfolio` at the decision, its `events` of the session that concern the symbol or the whole book.
    coefficients : mapping of str to mapping
        Model to feature to coefficient, for the linear families.
    """

    symbol: str
    book: str
    at: datetime
    bars: pl.DataFrame
    quarantine: pl.DataFrame
    universe: pl.DataFrame
    residual_returns: pl.DataFrame
    raw: pl.DataFrame
    features: pl.DataFrame
    predictions: pl.DataFrame
    ensemble: pl.DataFrame
    weights: pl.DataFrame
    states: pl.DataFrame
    signal: pl.DataFrame
    target: pl.DataFrame
    orders: pl.DataFrame
    fills: pl.DataFrame
    positions: pl.DataFrame
    account: pl.DataFrame
    events: pl.DataFrame
    coefficients: Mapping[str, Mapping[str, float]]
