"""Twelve ways of looking ahead, each put into the code and each found by the check that is named for it."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.calendar import TIMESTAMP
from aurora_pipeline.features import (
    as_of,
    bar_views,
    membership,
    panel_builder,
    residual_kernel,
    sector_neutralizer,
    session_panel,
)
from aurora_pipeline.features.leakage import FEATURE_CHECKS, feature_leaks
from aurora_pipeline.features.panel_builder import compute_panel
from aurora_pipeline.models import label_leakage, labels
from aurora_pipeline.models.label_leakage import LABEL_CHECKS, LabelInputs, label_cuts, label_leaks
from aurora_pipeline_tests.features.leaky_market import cut_of, leaky_inputs
from aurora_pipeline_tests.features.tiny_market import CALENDAR, with_residuals

FAR = 2**62


@pytest.fixture(scope="module")
def intraday():
    return leaky_inputs()


@pytest.fixture(scope="module")
def daily():
    return leaky_inputs("session")


def caught(inputs):
    """Names of the checks that find something in features computed and checked by the code as it now is."""
    own = inputs.with_frames()
    found = feature_leaks(own, compute_panel(own), [cut_of(inputs)], 5, FEATURE_CHECKS)
    return set(found.get_column("check"))


def label_inputs(inputs):
    return LabelInputs(
        sessions=inputs.sessions[:2],
        residual_returns=inputs.residual_returns,
        universe=inputs.universe,
        calendar=CALENDAR,
        frequency="5min",
        horizon_bars=12,
        execution_lag_bars=1,
    )


def caught_labels(inputs):
    own = label_inputs(inputs)
    found = label_leaks(own, own.labels(), [cut_of(inputs)], 5, LABEL_CHECKS)
    return set(found.get_column("check"))


def test_clean_code_passes_on_the_leaky_market(intraday, daily):
    assert caught(intraday) == set()
    assert caught(daily) == set()
    assert caught_labels(intraday) == set()


def test_unlagged_beta(monkeypatch, daily):
    lagged = sector_neutralizer._row
    monkeypatch.setattr(sector_neutralizer, "_row", lambda history, session: lagged(history, session) + 1)
    assert "lagged_beta" in caught(with_residuals(daily))


def test_entry_at_the_close_of_the_decision_bar(monkeypatch, intraday):
    late = labels.compute_labels
    monkeypatch.setattr(label_leakage, "compute_labels", lambda *given: late(*given[:-1], 0))
    assert "entry" in caught_labels(intraday)


def test_restated_filing(monkeypatch, intraday):
    known = as_of.known_periods

    def newest(period, told, starts, instrument, moment, depth, reach):
        return known(period, told, starts, instrument, np.full_like(moment, FAR), depth, FAR)

    monkeypatch.setattr(as_of, "known_periods", newest)
    assert {"truncation", "poison"} <= caught(intraday)


def test_forward_filled_label(monkeypatch, intraday):
    honest = labels.compute_labels

    def filled(sessions, *given):
        rows = honest(sessions, *given)
        grid = CALENDAR.grid(list(sessions)).select("session", pl.col("bar_end").alias("decision_time"))
        return (
            grid.join(rows.select("symbol").unique(), how="cross")
            .join(rows, on=["session", "symbol", "decision_time"], how="left")
            .sort("symbol", "decision_time")
            .with_columns(pl.col("label", "matured_at", "horizon_bars").forward_fill().over("symbol"))
            .drop_nulls("label")
        )

    monkeypatch.setattr(label_leakage, "compute_labels", filled)
    assert "label_truncation" in caught_labels(intraday)


def test_verdict_on_a_label_before_it_fell(monkeypatch, intraday):
    rows, early = intraday.residual_returns, CALENDAR.bar_ends(intraday.sessions[0])[8]
    gone = pl.when(pl.col("bar_end") == early).then(pl.lit(early + timedelta(days=30), TIMESTAMP))
    withdrawn = intraday.with_frames(residual_returns=rows.with_columns(gone.alias("quarantined_at")))
    moments = label_cuts(label_inputs(withdrawn), label_inputs(withdrawn).labels())

    def found():
        own = label_inputs(withdrawn)
        return set(label_leaks(own, own.labels(), moments, 5, LABEL_CHECKS).get_column("check"))

    assert found() == set()
    honest = labels.compute_labels

    def hindsight(sessions, returns, *given):
        return honest(sessions, returns.filter(pl.col("quarantined_at").is_null()), *given)

    monkeypatch.setattr(label_leakage, "compute_labels", hindsight)
    assert "label_truncation" in found()


def test_z_score_over_the_full_sample(monkeypatch, intraday):
    z = panel_builder.winsorised_z
    monkeypatch.setattr(panel_builder, "centred_rank", lambda values, starts: z(values, np.array([0, values.size])))
    assert {"truncation", "poison"} <= caught(intraday)


def test_publication_date_ignored(monkeypatch, intraday):
    honest = panel_builder._STATE_VIEWS["alternative"]

    def early(inputs, rows):
        settled = pl.col("settlement_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        published = inputs.short_interest.with_columns(settled.alias("known_at"))
        return honest(inputs.with_frames(short_interest=published), rows)

    monkeypatch.setitem(panel_builder._STATE_VIEWS, "alternative", early)
    assert "truncation" in caught(intraday)


def test_peer_mean_that_includes_the_stock_itself(monkeypatch, intraday):
    def everybody(filled, row, start, column, members, sector, code, minimum):
        inside = [peer for place, peer in enumerate(members) if code < 0 or sector[place] == code]
        moves = filled[row, inside] / filled[start, inside] - 1.0
        return float(np.nanmean(moves)) if len(moves) >= minimum else np.nan

    monkeypatch.setattr(residual_kernel, "_peer_mean", everybody)
    monkeypatch.setattr(sector_neutralizer, "bar_residuals", residual_kernel.bar_residuals.py_func)
    assert "peers" in caught(with_residuals(intraday))


def test_total_of_the_session_used_inside_it(monkeypatch, intraday):
    honest = bar_views.BAR_VIEWS["price"]

    def total(history):
        values = honest.bars(history)
        whole = values["session_range_position"]
        return values | {"session_range_position": np.repeat(whole[-1:], whole.shape[0], axis=0)}

    monkeypatch.setitem(bar_views.BAR_VIEWS, "price", replace(honest, bars=total))
    assert "truncation" in caught(intraday)


def test_ranks_among_survivors_only(monkeypatch, intraday):
    honest = panel_builder.decision_rows

    def survivors(inputs):
        newest = inputs.bars.filter(pl.col("bar_end") == pl.col("bar_end").max())
        return honest(inputs).filter(pl.col("instrument_id").is_in(newest.get_column("instrument_id").implode()))

    monkeypatch.setattr(panel_builder, "decision_rows", survivors)
    own = intraday.with_frames()
    found = feature_leaks(own, compute_panel(own), [cut_of(intraday)], 5, FEATURE_CHECKS[:1])
    assert found.filter(pl.col("column") == "row").get_column("symbol").unique().to_list() == ["GGG"]


def test_sector_of_tomorrow(monkeypatch, intraday):
    honest = membership.Membership.stock_sectors

    def tomorrow(self, session):
        after = CALENDAR.shift(session, 1)
        return honest(self, after if after in self.sessions else session)

    monkeypatch.setattr(membership.Membership, "stock_sectors", tomorrow)
    assert {"truncation", "poison"} & caught(intraday)


def test_price_level_adjusted_for_later_splits(monkeypatch, intraday):
    honest = session_panel._build

    def adjusted(inputs, *given):
        panel = honest(inputs, *given)
        splits = dict(inputs.corporate_actions.select("instrument_id", "ratio").iter_rows())
        ratio = np.array([splits.get(name, 1.0) for name in panel.instruments])
        return replace(panel, close=panel.close / ratio, volume=panel.volume * ratio)

    monkeypatch.setattr(session_panel, "_build", adjusted)
    assert "truncation" in caught(intraday)


def test_price_level_as_a_feature(monkeypatch, intraday):
    honest = bar_views.BAR_VIEWS["price"]

    def level(history):
        return honest.daily(history) | {"return_5": history.panel.close[history.first :]}

    monkeypatch.setitem(bar_views.BAR_VIEWS, "price", replace(honest, daily=level))
    assert caught(intraday) == {"scale"}
