"""Costs from the event log: the newest training of each fold, the newest prediction run, nothing where there is nothing."""

import dagster as dg
import pytest

from aurora_pipeline.defs.stored_costs import stored_costs


def materialised(instance: dg.DagsterInstance, key: list[str], partition: str, **metadata: float) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key=dg.AssetKey(key), partition=partition, metadata=metadata)
    )


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


def test_the_newest_training_of_each_fold_counts_and_the_newest_prediction(instance):
    training = ["trained_model", "ridge"]
    materialised(instance, training, "2024-08", latency_ms=9000.0)
    for fold, milliseconds in (("2024-08", 1000.0), ("2024-09", 3000.0), ("2024-10", 2000.0)):
        materialised(instance, training, fold, latency_ms=milliseconds, rows=7.0)
    materialised(instance, ["prediction", "ridge"], "2024-08-09", latency_ms=90.0, sessions=1)
    materialised(instance, ["prediction", "ridge"], "2024-08-12", latency_ms=600.0, sessions=20)
    found = stored_costs(instance, ["ridge"])["ridge"]
    assert found.fit_seconds == 2.0
    assert found.predict_seconds == pytest.approx(0.03)


def test_the_fit_alone_counts_where_it_was_noted(instance):
    materialised(instance, ["trained_model", "ridge"], "2024-08", latency_ms=9000.0, fit_seconds=0.5)
    assert stored_costs(instance, ["ridge"])["ridge"].fit_seconds == 0.5


def test_what_the_log_does_not_have_is_none(instance):
    materialised(instance, ["trained_model", "lightgbm"], "2024-08", rows=7.0)
    materialised(instance, ["prediction", "lightgbm"], "2024-08-09", latency_ms=90.0)
    found = stored_costs(instance, ["lightgbm", "catboost"])
    assert found["lightgbm"] == (None, None)
    assert found["catboost"] == (None, None)
