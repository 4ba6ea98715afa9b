"""A running session up to its newest bar: the backfill's functions on the rows known by then.

Frames in, frames out. Every look-back ends with the session's opening (:mod:`.session_opening`), and everything is computed
from the session's first bar on each time: what is stored of earlier decision times must come out again to the last bit, and a
restart has nothing to restore.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from aurora_pipeline.adapters.models.zoo import without_model
from aurora_pipeline.calendar import Frequency, SessionCalendar
from aurora_pipeline.contracts import FEATURE_FEEDS, empty
from aurora_pipeline.ensemble.ic_weighted_ensemble import combine
from aurora_pipeline.ensemble.signal_calibrator import apply_calibration
from aurora_pipeline.execution.kill_switch import KillSwitch
from aurora_pipeline.execution.session_inputs import SessionInputs, prepare_session_inputs
from aurora_pipeline.execution.session_result import SessionResult
from aurora_pipeline.execution.trade_book import run_session
from aurora_pipeline.features.inputs import FeatureInputs, ResidualInputs
from aurora_pipeline.features.panel_builder import build_panel, compute_views
from aurora_pipeline.features.sector_neutralizer import compute_residual_returns
from aurora_pipeline.live.paper_broker import RehearsedBroker
from aurora_pipeline.live.session_opening import BOOK, SessionOpening
from aurora_pipeline.market.ingest import BarTables, FeedTables, ingest_bars
from aurora_pipeline.market.manifest import MarketManifest
from aurora_pipeline.models.training_pipeline import TrainedModel, predict
from aurora_pipeline.policy.cost_model import borrow_rates

FREQUENCY: Frequency = "5min"
_RESIDUAL_FEEDS = ("daily_bars", "corporate_actions")
TRADED_TABLES = ("targets", "orders", "fills", "positions", "portfolio")
"""Tables of the book that a session under way must not change: what was decided, what came of it, what is held."""


@dataclass(frozen=True)
class MarketTables:
    """Bars to feature panel of the session so far.

    Attributes
    ----------
    bars : BarTables
        `universe`, `bars`, `session_bars`, `quarantine`, `data_quality`.
    residual_returns, features : polars.DataFrame
    views : dict of str to polars.DataFrame
    """

    bars: BarTables
    residual_returns: pl.DataFrame
    views: dict[str, pl.DataFrame]
    features: pl.DataFrame


@dataclass(frozen=True)
class SessionTables:
    """The whole session so far.

    Attributes
    ----------
    market : MarketTables
    predictions, ensemble, signals : polars.DataFrame
    failed : dict of str to str
        Families without new scores, with the reason.
    result : SessionResult
        Rows of the book's tables.
    inputs : SessionInputs
        What the book knew.
    positions : dict of str to float
        Shares by instrument as the broker counts them.
    timings_ms : dict of str to float
        Milliseconds by part.
    """

    market: MarketTables
    predictions: pl.DataFrame
    failed: dict[str, str]
    ensemble: pl.DataFrame
    signals: pl.DataFrame
    result: SessionResult
    inputs: SessionInputs
    positions: dict[str, float]
    timings_ms: dict[str, float]


def market_tables(
    opening: SessionOpening,
    raw: pl.DataFrame,
    feeds: FeedTables,
    until: datetime,
    manifest: MarketManifest,
    calendar: SessionCalendar,
) -> MarketTables:
    """Compute bars, residual returns and features.

    Parameters
    ----------
    opening : SessionOpening
    raw : polars.DataFrame
        Raw bars of the session, contract columns of `bars/`; those that end after `until` are left out here.
    feeds : FeedTables
        Everything the feeds have told.
    until : datetime
        Newest decision time.
    manifest : MarketManifest
    calendar : SessionCalendar
    """
    session, settings = opening.session, opening.settings
    known = raw.filter((pl.col("bar_start") < until).fill_null(value=True))
    made = ingest_bars(known, [session], feeds, manifest, calendar, opening.bars, settings, until)
    bars = pl.concat([opening.bars, made.bars])
    universe = pl.concat([opening.universe, made.universe])
    of_residuals = ResidualInputs(
        sessions=[session],
        calendar=calendar,
        frequency=FREQUENCY,
        manifest=manifest,
        settings=settings,
        bars=bars,
        session_bars=opening.session_bars,
        universe=universe,
        **{name: feeds[name] for name in _RESIDUAL_FEEDS},
    )
    residuals = compute_residual_returns(of_residuals)
    inputs = FeatureInputs.following(
        of_residuals,
        until=until,
        residual_returns=pl.concat([opening.residual_returns, residuals]),
        **{name: feeds[name] for name in FEATURE_FEEDS if name not in _RESIDUAL_FEEDS},
    )
    views = compute_views(inputs)
    return MarketTables(made, residuals, views, build_panel(list(views.values()), universe, settings))


def score(
    features: pl.DataFrame,
    models: Mapping[str, TrainedModel],
    stored: pl.DataFrame,
    failed: Mapping[str, Collection[datetime]],
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Score the decision times that have no score yet; a family that fails is left out, with its reason.

    Parameters
    ----------
    features : polars.DataFrame
        Table `features` of the session so far.
    models : mapping of str to TrainedModel
        Family to the model that serves.
    stored : polars.DataFrame
        Table `predictions` of the session as stored: scores that decisions rest on.
    failed : mapping of str to collection of datetime
        Decision times that were decided without a family: they stay without it.

    Returns
    -------
    predictions : polars.DataFrame
        Stored and new rows.
    failures : dict of str to str
        Family to what went wrong now.
    """
    parts, failures = [stored], {}
    for family, model in models.items():
        done = stored.filter(pl.col("model") == family).get_column("decision_time").unique()
        settled = pl.Series([*done, *failed.get(family, ())], dtype=done.dtype)
        rows = features.filter(~pl.col("decision_time").is_in(settled.implode()))
        if rows.is_empty():
            continue
        try:
            parts.append(predict(model, rows))
        except Exception as error:  # whatever a model library raises must not stop the other families
            failures[family] = f"{type(error).__name__}: {error}"
    return pl.concat(parts).sort("decision_time", "symbol", "model"), failures


def signal_tables(opening: SessionOpening, predictions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return tables `ensemble` and `signals` under the session's weights and calibration."""
    ensemble = combine(predictions, opening.weights)
    horizon = opening.settings.horizon_bars(FREQUENCY)
    return ensemble, apply_calibration(ensemble, opening.calibration, opening.volatility, horizon)


def trade(
    opening: SessionOpening,
    market: MarketTables,
    signals: pl.DataFrame,
    feeds: FeedTables,
    until: datetime,
    skipped: Sequence[datetime],
    manifest: MarketManifest,
    calendar: SessionCalendar,
    switch: KillSwitch,
    sent: Collection[str],
) -> tuple[SessionResult, SessionInputs, dict[str, float]]:
    """Run the live book from its opening state to the newest bar.

    At a skipped bar nothing is wanted and nothing is sent: what is held stays, orders of the bar before still fill, the
    account is kept. Where no model trades the session, nothing is eligible and the book goes flat, as in a backfill.

    Parameters
    ----------
    sent : collection of str
        Ids of the orders the broker was sent in this session; those of the newest decision are on trial.

    Returns
    -------
    result : SessionResult
        Rows of the book's tables; targets of decisions only.
    inputs : SessionInputs
        What the book knew.
    positions : dict of str to float
        What the broker holds then.
    """
    settings, universe = opening.settings, market.bars.universe
    inputs = prepare_session_inputs(
        opening.session,
        calendar,
        FREQUENCY,
        manifest,
        settings,
        bars=market.bars.bars,
        signals=signals,
        universe=universe if opening.champions.members else without_model(universe),
        returns=opening.returns,
        session_bars=opening.session_bars,
        daily_bars=feeds["daily_bars"],
        corporate_actions=feeds["corporate_actions"],
        scores=opening.scores,
        borrow=feeds["borrow"],
        through=until,
    )
    idle = np.array([end in set(skipped) for end in inputs.decision_times], dtype=bool)
    inputs = replace(inputs, fresh=inputs.fresh & ~idle[:, None])
    rates = borrow_rates(inputs.symbols, settings.costs, inputs.quoted_borrow)
    unlendable = [name for name, rate in zip(inputs.instruments, rates, strict=True) if np.isnan(rate)]
    view = replace(opening.broker, sent=opening.broker.sent | frozenset(sent))
    broker = RehearsedBroker(view, until, settings.book.participation, unlendable)
    result = run_session(opening.state, opening.session, inputs, settings, BOOK, broker=broker, switch=switch)
    if idle.any():
        times = pl.Series(list(skipped), dtype=empty("targets").schema["decision_time"])
        kept = result.targets.filter(~pl.col("decision_time").is_in(times.implode()))
        result = replace(result, targets=kept)
    return result, inputs, broker.positions()
