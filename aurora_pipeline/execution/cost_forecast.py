"""What a decision expects its orders to cost, kept with each order so that its fill can be held against it.

The forecast is the cost model as the settings have it, also where a book's own fills have taught its sizing otherwise
(:func:`aurora_pipeline.policy.cost_fit.cost_scale`): a broker that is dearer than assumed does not become cheap by being known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aurora_pipeline.execution.bar_arrays import Floats
from aurora_pipeline.execution.book_state import CostForecast, PendingOrder
from aurora_pipeline.execution.broker import ExecutedOrder
from aurora_pipeline.policy.cost_fit import CostEvidence

MIDDLE_OF_BAR = 0.5
"""Bars from the decision to the average fill."""


@dataclass(frozen=True)
class ForecastRates:
    """The cost model at a decision, as the settings have it; all arrays of shape (n_names,).

    Attributes
    ----------
    spread, fee : ndarray
        Fractions of traded value.
    impact : ndarray
        kappa of ``kappa * |trade|**1.5``, trade and cost as fractions of NAV.
    move : ndarray
        Expected return per bar, fraction.
    nav : float
        USD.
    """

    spread: Floats
    fee: Floats
    impact: Floats
    move: Floats
    nav: float


def with_forecasts(
    orders: Sequence[PendingOrder], column: Mapping[str, int], rates: ForecastRates
) -> list[PendingOrder]:
    """Add to each order what it is expected to cost; the legs of one name share the impact of the whole trade."""
    traded = np.zeros(rates.spread.size)
    for order in orders:
        traded[column[order.instrument]] += order.shares * order.reference_price
    impact = rates.impact * np.sqrt(traded / rates.nav)

    def forecast(order: PendingOrder) -> CostForecast:
        index = column[order.instrument]
        found = rates.spread[index], impact[index], rates.fee[index], MIDDLE_OF_BAR * order.sign * rates.move[index]
        return CostForecast(*(float(value) if np.isfinite(value) else 0.0 for value in found))

    return [replace(order, forecast=forecast(order)) for order in orders]


def with_fills(evidence: CostEvidence, executed: Sequence[ExecutedOrder], stress: float) -> CostEvidence:
    """Count fills whose prices contain spread and impact.

    Parameters
    ----------
    evidence : CostEvidence
        Of the fills before.
    executed : sequence of ExecutedOrder
        All must have filled something.
    stress : float
        `costs.stress`, which their forecasts contain.
    """
    for item in executed:
        order = item.order
        forecast = order.forecast
        if forecast.spread <= 0.0 and forecast.impact <= 0.0:
            continue
        shortfall = order.sign * (item.price / order.reference_price - 1.0) - forecast.drift
        evidence = evidence.add(forecast.spread / stress, forecast.impact / stress, shortfall)
    return evidence
