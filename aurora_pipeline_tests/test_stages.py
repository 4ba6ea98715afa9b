"""Whether the stages declare all the code that makes their numbers: what they leave out would leave old numbers fresh."""

import pytest

from aurora_pipeline.fingerprints import FOUNDATIONS, code_hash, derivations, sections_of
from aurora_pipeline.settings import Settings
from aurora_pipeline.stages import VIEWS, build_stages
from aurora_pipeline_tests.reached_code import reached_attributes, reached_files

BODIES = {
    "session_data": ("defs/market_data.py", "session_data_asset"),
    "residual_returns": ("defs/features.py", "residual_returns_asset"),
    **{f"{view}_features": ("defs/features.py", "views_asset") for view in VIEWS},
    "feature_panel": ("defs/features.py", "feature_panel_asset"),
    "labels": ("defs/labels.py", "labels_asset"),
    "feature_audit": ("defs/feature_audit.py", "feature_audit_asset"),
    "trained_model/ridge": ("defs/models.py", "trained_model_asset"),
    "prediction/ridge": ("defs/models.py", "prediction_asset"),
    "drift": ("defs/lifecycle.py", "drift_asset"),
    "challengers": ("defs/lifecycle.py", "challengers_asset"),
    "shadow_predictions": ("defs/lifecycle.py", "shadow_predictions_asset"),
    "model_scores": ("defs/model_states.py", "model_scores_asset"),
    "model_states": ("defs/model_states.py", "model_states_asset"),
    "ensemble_weights": ("defs/ensemble.py", "ensemble_weights_asset"),
    "ensemble": ("defs/ensemble.py", "ensemble_asset"),
    "calibrated_signals": ("defs/ensemble.py", "calibrated_signals_asset"),
    "trade_book": ("defs/trade_book.py", "trade_book_asset"),
}
FRAME = (
    *(
        "defs/stage_run.py",
        "defs/session_asset.py",
        "defs/resources.py",
        "lineage.py",
        "fingerprints.py",
        "stage.py",
        "stages.py",
    ),
    *("settings/", "errors.py", "adapters/home.py", "adapters/storage/", "adapters/clock.py", "adapters/progress.py"),
)
"""What finds, opens and stores partitions, and the settings, whose values and derivations are part of the fingerprint."""
KEEPING = {
    *("adapters/worker_processes.py", "one_thread.py", "atomic.py"),
    *("adapters/book/book_store.py", "adapters/models/model_store.py", "adapters/models/model_registry.py"),
    *("adapters/models/model_lifecycle.py", "adapters/models/champion_set.py"),
    *("adapters/code_version.py", "__init__.py"),
    *("models/label_leakage.py", "monitoring/feature_audit_report.py", "monitoring/text_table.py"),
    "adapters/models/configuration_log.py",
}
"""What carries out, keeps, checks or shows what a stage made; and configurations, whose values are part of the fingerprint."""
STAGES = {stage.name: stage for stage in build_stages({"ridge": "configuration"}, 3)}
WRITERS: dict[str, list[str]] = {}
for _stage in STAGES.values():
    for _table in _stage.writes:
        WRITERS.setdefault(_table, []).append(_stage.name)


def _upstream(name, seen):
    """A stage and all it reads, whose fingerprints are part of its own."""
    if name not in seen:
        seen.add(name)
        for read in STAGES[name].reads:
            for source in WRITERS.get(read.table, [read.table] if read.table in STAGES else []):
                _upstream(source, seen)
    return [STAGES[stage] for stage in seen]


@pytest.mark.parametrize("name", STAGES)
def test_all_code_that_makes_a_stages_numbers_is_part_of_its_fingerprint(name):
    covered = (*{place for stage in _upstream(name, set()) for place in stage.code}, *FOUNDATIONS)
    reached = reached_files(*BODIES[name], walls=FRAME)
    assert len(reached) > 1
    hidden = {
        file
        for file in reached - KEEPING
        if file not in covered and not file.startswith(tuple(f"{place}/" for place in covered)) and file[:5] != "defs/"
    }
    assert not hidden


@pytest.mark.parametrize("name", STAGES)
def test_all_that_settings_derive_for_a_stage_is_part_of_its_fingerprint(name):
    given = Settings()
    covered = set().union(*(sections_of(given, stage.settings) for stage in _upstream(name, set())))
    hidden = {
        f"{section.__name__}.{method}"
        for section in sections_of(given, Settings.model_fields) - covered
        for method in derivations(section)
        if method in reached_attributes(*BODIES[name], walls=FRAME)
    }
    assert not hidden


@pytest.mark.parametrize("name", STAGES)
def test_declared_code_is_there(name):
    assert all(code_hash((place,)) != code_hash(()) for place in {*STAGES[name].code} - {*FOUNDATIONS})
