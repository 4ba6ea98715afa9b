from datetime import UTC, date, datetime

import polars as pl
import pytest

from aurora_pipeline.contracts import TABLES, empty, table, validated
from aurora_pipeline.errors import ContractError

WHEN = datetime(2025, 1, 2, 15, 0, tzinfo=UTC)


def _labels(**changes):
    row = {
        "session": date(2025, 1, 2),
        "symbol": "AAA",
        "decision_time": WHEN,
        "label": 0.01,
        "horizon_bars": 78,
        "matured_at": WHEN,
    }
    return pl.DataFrame([row | changes], schema=empty("labels").schema)


def test_a_sound_frame_passes_and_is_sorted_by_key():
    frame = pl.concat([_labels(symbol="BBB"), _labels(symbol="AAA")])
    assert validated("labels", frame).get_column("symbol").to_list() == ["AAA", "BBB"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (_labels().drop("label"), "label missing"),
        (_labels().with_columns(extra=pl.lit(1)), "extra not declared"),
        (_labels().with_columns(pl.col("label").cast(pl.String)), "label"),
        (_labels(label=None), "label"),
        (pl.concat([_labels(), _labels()]), "primary_key"),
        (_labels().with_columns(pl.col("decision_time").dt.replace_time_zone(None)), "decision_time"),
    ],
)
def test_what_breaks_the_contract_is_refused_by_name(frame, message):
    with pytest.raises(ContractError, match=message):
        validated("labels", frame)


def test_several_periods_may_be_reported_at_one_moment_but_each_once():
    ends = [None, date(2024, 6, 30), date(2024, 9, 30)]
    rows = [{"symbol": "AAA", "instrument_id": "AAA", "known_at": WHEN, "fiscal_period_end": end} for end in ends]
    frame = pl.concat([pl.DataFrame(rows), empty("earnings")], how="diagonal_relaxed").select(empty("earnings").columns)
    assert validated("earnings", frame).get_column("fiscal_period_end").to_list() == ends
    for repeated in frame.iter_slices(1):
        with pytest.raises(ContractError, match="one_row_per_period_and_moment"):
            validated("earnings", pl.concat([frame, repeated]))


def test_nan_is_refused_because_missing_is_null():
    with pytest.raises(ContractError, match="label"):
        validated("labels", _labels(label=float("nan")))


def test_features_take_any_float32_column_and_nothing_else():
    frame = empty("features", ["momentum"])
    assert validated("features", frame).columns[-1] == "momentum"
    with pytest.raises(ContractError, match="momentum must be Float32"):
        validated("features", frame.with_columns(pl.col("momentum").cast(pl.Float64)))


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_has_a_key_a_description_and_a_description_of_every_column(name):
    declared = table(name)
    assert declared.key
    assert declared.description
    for column, spec in declared.schema.columns().items():
        assert spec.description, f"{name}.{column}"
    assert declared.known_at is None or declared.known_at in declared.schema.columns()


def test_an_unknown_table_lists_the_known_ones():
    with pytest.raises(ContractError, match="residual_returns"):
        table("residuals")
