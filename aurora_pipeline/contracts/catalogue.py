"""The list of the lake's tables, and the one way to write a row: :func:`validated`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import dataframely as dy
import polars as pl

from aurora_pipeline.contracts import book_tables, market_tables, model_tables, signal_tables
from aurora_pipeline.errors import ContractError

Partitioning = Literal["none", "session"]


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    Attributes
    ----------
    name : str
        Folder below ``<home>/lake/``.
    schema : type[dataframely.Schema]
        Columns, types, bounds, key and units.
    known_at : str or None
        Column that says when a row could first be used; None where rows are known by their session's open.
    partitioning : {"session", "none"}
        Whether files are laid out by session (by month at frequency `session`) or as one file.
    branches : tuple of str
        Further hive levels below the session, such as ``("model",)``.
    extra : polars.DataType or None
        Type of columns beyond the schema, where the table has an open set of them.
    own_key : tuple of str
        Columns that identify a row, in the order it is sorted by, where one of them may be null; else the primary key does.
    """

    name: str
    schema: type[dy.Schema]
    known_at: str | None
    partitioning: Partitioning = "session"
    branches: tuple[str, ...] = ()
    extra: pl.DataType | None = None
    own_key: tuple[str, ...] = ()

    @property
    def key(self) -> list[str]:
        """Columns that identify a row; of a primary key the version (`known_at`) last."""
        return list(self.own_key) or sorted(self.schema.primary_key(), key=lambda column: column == "known_at")

    @property
    def description(self) -> str:
        """First line of the schema's docstring."""
        return (self.schema.__doc__ or "").strip().splitlines()[0]


def _feature_table(name: str) -> Table:
    return Table(name, signal_tables.Features, "decision_time", extra=pl.Float32())


_BOOK_BRANCH = ("book",)
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("universe", market_tables.Universe, None),
        Table("bars", market_tables.Bars, "known_at"),
        Table("session_bars", market_tables.DailyBars, "known_at"),
        Table("quarantine", market_tables.Quarantine, "known_at", branches=("source",)),
        Table("data_quality", market_tables.DataQuality, None),
        Table("daily_bars", market_tables.DailyBars, "known_at", "none"),
        Table("corporate_actions", market_tables.CorporateActions, "known_at", "none"),
        Table("earnings", market_tables.Earnings, "known_at", "none", own_key=market_tables.REPORTED_KEY),
        Table("fundamentals", market_tables.Fundamentals, "known_at", "none", own_key=market_tables.REPORTED_KEY),
        Table("short_interest", market_tables.ShortInterest, "known_at", "none"),
        Table("etf_flows", market_tables.EtfFlows, "known_at", "none"),
        Table("options", market_tables.Options, "known_at", "none"),
        Table("borrow", market_tables.Borrow, "known_at", "none"),
        Table("residual_returns", market_tables.ResidualReturns, "known_at"),
        _feature_table("price_features"),
        _feature_table("sector_features"),
        _feature_table("microstructure_features"),
        _feature_table("fundamental_features"),
        _feature_table("alternative_features"),
        _feature_table("features"),
        Table("labels", signal_tables.Labels, "matured_at"),
        Table("feature_audit", signal_tables.FeatureAudit, None, "none", branches=("fold",)),
        Table("predictions", signal_tables.Predictions, "decision_time", branches=("model",)),
        Table("drift", model_tables.Drift, None),
        Table("challengers", model_tables.Challengers, None),
        Table("shadow_predictions", signal_tables.Predictions, "decision_time"),
        Table("model_scores", model_tables.ModelScores, None),
        Table("model_states", model_tables.ModelStates, None),
        Table("ensemble_weights", signal_tables.EnsembleWeights, None),
        Table("ensemble", signal_tables.Ensemble, "decision_time"),
        Table("signals", signal_tables.Signals, "decision_time"),
        Table("model_comparison", signal_tables.ModelComparison, None, "none"),
        Table("model_contributions", model_tables.ModelContributions, None, "none"),
        Table("signal_quality", signal_tables.SignalQuality, None, "none"),
        Table("reliability", signal_tables.Reliability, None, "none"),
        Table("claims", signal_tables.Claims, None, "none"),
        Table("targets", book_tables.Targets, "decision_time", branches=_BOOK_BRANCH),
        Table("orders", book_tables.Orders, "decision_time", branches=_BOOK_BRANCH),
        Table("fills", book_tables.Fills, "fill_time", branches=_BOOK_BRANCH),
        Table("positions", book_tables.Positions, "decision_time", branches=_BOOK_BRANCH),
        Table("portfolio", book_tables.Portfolio, "decision_time", branches=_BOOK_BRANCH),
        Table("exposures", book_tables.Exposures, "decision_time", branches=_BOOK_BRANCH),
        Table("attribution", book_tables.Attribution, None, branches=_BOOK_BRANCH),
        Table("alpha_forgone", book_tables.AlphaForgone, "decision_time", branches=_BOOK_BRANCH),
        Table("events", book_tables.Events, "decision_time", branches=_BOOK_BRANCH),
    )
}
BOOK_TABLES = (
    "targets",
    "orders",
    "fills",
    "positions",
    "exposures",
    "attribution",
    "alpha_forgone",
    "events",
    "portfolio",
)
"""Tables of a book in the order they are written; the last one is what says that a session is there."""
FEATURE_FEEDS = (
    "daily_bars",
    "corporate_actions",
    "earnings",
    "fundamentals",
    "short_interest",
    "etf_flows",
    "options",
)
FEED_TABLES = (*FEATURE_FEEDS, "borrow")


def table(name: str) -> Table:
    """Look a table up by name; an unknown name is an error that lists the known ones."""
    if name not in TABLES:
        raise ContractError(f"no table {name!r}; the lake has {', '.join(sorted(TABLES))}")
    return TABLES[name]


def validated(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Enforce a table's contract.

    Parameters
    ----------
    name : str
        Table name.
    frame : polars.DataFrame
        Rows to be written. Integer columns are not cast to floats silently: types must match.

    Returns
    -------
    polars.DataFrame
        The same rows, columns in the declared order, sorted by key.

    Raises
    ------
    ContractError
        A column is missing, unknown or of a wrong type; a value is out of bounds; a key repeats.
    """
    declared = table(name)
    columns = list(declared.schema.columns())
    missing = [column for column in columns if column not in frame.columns]
    extra = [column for column in frame.columns if column not in columns]
    if missing:
        raise ContractError(f"table {name}: column(s) {', '.join(missing)} missing")
    if extra and declared.extra is None:
        raise ContractError(f"table {name}: column(s) {', '.join(extra)} not declared in its contract")
    wrong = [column for column in extra if frame.schema[column] != declared.extra]
    if wrong:
        raise ContractError(f"table {name}: column(s) {', '.join(wrong)} must be {declared.extra}")
    try:
        checked: pl.DataFrame = declared.schema.validate(frame.select(columns))
    except (dy.exc.ValidationError, dy.exc.SchemaError) as error:
        raise ContractError(f"table {name}: {error}") from error
    if extra:
        checked = pl.concat([checked, frame.select(extra)], how="horizontal")
    return checked.sort(declared.key)


def empty(name: str, extra: Iterable[str] = ()) -> pl.DataFrame:
    """Return a frame with a table's columns and no rows."""
    declared = table(name)
    return _declared(name).with_columns(pl.lit(None, declared.extra).alias(column) for column in extra)


@cache
def _declared(name: str) -> pl.DataFrame:
    frame: Any = table(name).schema.create_empty()
    return pl.DataFrame(frame)
