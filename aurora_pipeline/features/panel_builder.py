"""One view of the features, and the panel of all: joined at decision times, transformed across the symbols of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aurora_pipeline.errors import ContractError
from aurora_pipeline.features.alternative_data_engine import compute_alternative_features
from aurora_pipeline.features.bar_views import BAR_VIEWS, compute_bar_views
from aurora_pipeline.features.codes import codes_of, moments_of, names_in
from aurora_pipeline.features.decision_rows import decision_rows
from aurora_pipeline.features.feature_spec import FeatureSpec
from aurora_pipeline.features.fundamental_engine import compute_fundamental_features
from aurora_pipeline.features.inputs import FeatureInputs
from aurora_pipeline.features.registry import REGISTRY, VIEWS, feature_names, unavailable_features
from aurora_pipeline.features.session_panel import session_panels
from aurora_pipeline.features.transforms import centred_rank, less_sector_mean, winsorised_z
from aurora_pipeline.settings import Settings

_KEY = ["session", "symbol", "decision_time"]
_STATE_VIEWS: dict[str, Callable[[FeatureInputs, pl.DataFrame], pl.DataFrame]] = {
    "fundamental": compute_fundamental_features,
    "alternative": compute_alternative_features,
}


def compute_views(inputs: FeatureInputs, views: Sequence[str] = VIEWS) -> dict[str, pl.DataFrame]:
    """Compute raw features of some views; what they share is laid out once.

    Returns
    -------
    dict of str to polars.DataFrame
        Per view `session`, `symbol`, `decision_time` and a Float32 column per feature of the view; null where missing and where
        the market's manifest forbids its use.
    """
    with ThreadPoolExecutor(inputs.settings.threads) as threads:
        threads.submit(session_panels, inputs)  # shared by all views, which wait for it where they need it
        rows = decision_rows(inputs)
        states = {
            view: threads.submit(compute, inputs, rows) for view, compute in _STATE_VIEWS.items() if view in views
        }
        frames = compute_bar_views(inputs, rows, [view for view in views if view in BAR_VIEWS])
        frames |= {view: future.result() for view, future in states.items()}
    unavailable = unavailable_features(inputs.manifest)
    return {view: _permitted(view, frames[view], set(unavailable)) for view in views}


def compute_view(view: str, inputs: FeatureInputs) -> pl.DataFrame:
    """Compute one view's raw features; as :func:`compute_views`."""
    return compute_views(inputs, [view])[view]


def compute_panel(inputs: FeatureInputs) -> pl.DataFrame:
    """Compute all views of the sessions asked for and the panel of them: table `features`."""
    return build_panel(list(compute_views(inputs).values()), inputs.universe, inputs.settings)


def _permitted(view: str, frame: pl.DataFrame, unavailable: set[str]) -> pl.DataFrame:
    forbidden = unavailable & set(feature_names(view))
    return frame.with_columns(pl.lit(None, pl.Float32).alias(name) for name in sorted(forbidden)).select(
        [*_KEY, *feature_names(view)]
    )


def build_panel(views: Sequence[pl.DataFrame], universe: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Join the views and transform every feature across the symbols of each decision time.

    Parameters
    ----------
    views : sequence of polars.DataFrame
        Tables `price_features` .. `alternative_features` over the same rows.
    universe : polars.DataFrame
        Table `universe` of their sessions: sectors.
    settings : Settings
        `features.minimum_peers`.

    Returns
    -------
    polars.DataFrame
        Table `features`, sorted by decision time and symbol: columns of the registry, null where missing.

    Raises
    ------
    ContractError
        If two views do not have the same rows, or a feature of the registry is in none of them.
    """
    joined = _joined(views)
    times = moments_of(joined.get_column("decision_time"))
    starts = np.concatenate([np.flatnonzero(np.diff(times, prepend=-1)), [times.size]]).astype(np.int64)
    sector, sectors = _sector_codes(joined, universe)
    peers = settings.features.minimum_peers

    def transformed(spec: FeatureSpec) -> pl.Series:
        values = joined.get_column(spec.name).to_numpy()  # missing values become NaN
        if spec.transform == "z":
            values = winsorised_z(values, starts)
        elif spec.transform != "none":
            values = centred_rank(values, starts)
        if spec.transform == "sector_rank":
            values = less_sector_mean(values, starts, sector, sectors, peers)
        return pl.Series(spec.name, values, dtype=pl.Float32, nan_to_null=True)

    with ThreadPoolExecutor(settings.threads) as threads:
        return joined.select(_KEY).with_columns(list(threads.map(transformed, REGISTRY)))


def _joined(views: Sequence[pl.DataFrame]) -> pl.DataFrame:
    first = views[0].select(_KEY)
    if not all(view.select(_KEY).equals(first) for view in views[1:]):
        views = [view.sort("decision_time", "symbol") for view in views]
    joined = views[0]
    for view in views[1:]:
        if not view.select(_KEY).equals(joined.select(_KEY)):
            raise ContractError(
                f"the views do not have the same rows: {joined.height} with {joined.columns[3:4]}, {view.height} with "
                f"{view.columns[3:4]}; materialise all views of these sessions again"
            )
        joined = joined.hstack(view.drop(_KEY))
    missing = [name for name in feature_names() if name not in joined.columns]
    if missing:
        raise ContractError(f"no view has the features {', '.join(missing)}; materialise the views again")
    return joined.sort("decision_time", "symbol")


def _sector_codes(rows: pl.DataFrame, universe: pl.DataFrame) -> tuple[NDArray[np.int64], int]:
    """Code of each row's sector, -1 if unknown, and the number of sectors."""
    names = names_in(universe.get_column("sector"))
    sectors = universe.select("session", "symbol", "sector")
    found = rows.select("session", "symbol").join(sectors, on=["session", "symbol"], how="left", maintain_order="left")
    return codes_of(found.get_column("sector"), names), len(names)
