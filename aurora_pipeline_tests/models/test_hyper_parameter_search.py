from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from aurora_pipeline.errors import SettingsError
from aurora_pipeline.models.hyper_parameter_search import fit_family
from aurora_pipeline.models.model_factory import FAMILIES, create_model, search_space
from aurora_pipeline.settings import ModelSettings, Settings
from aurora_pipeline_tests.models.test_model_families import BLOCK, settings_with


def searching(trials: int, **models: float) -> Settings:
    settings = settings_with(threads=1)
    return settings.model_copy(
        update={"models": settings.models.model_copy(update={"search_trials": trials, **models})}
    )


def test_off_by_default_it_is_the_fit_with_the_settings_as_they_are() -> None:
    assert Settings().models.search_trials == 0
    model, described = fit_family("elastic_net", searching(0), BLOCK)
    plain = create_model("elastic_net", searching(0))
    plain.fit(BLOCK)
    assert described == plain.describe()
    assert np.array_equal(model.predict(BLOCK.X), plain.predict(BLOCK.X))


def test_every_candidate_is_counted_and_every_trial_recorded() -> None:
    settings = searching(4)
    _, described = fit_family("elastic_net", settings, BLOCK)
    assert len(described["searched"]) == 4
    assert described["trials"] == 4 * len(settings.models.elastic_net_penalties)
    assert described["searched"][0]["settings"] == {"elastic_net_ridge_rows": settings.models.elastic_net_ridge_rows}


@pytest.mark.parametrize("family", ["elastic_net", "random_forest", "ranker"])
def test_the_best_trial_is_what_gets_fitted(family: str) -> None:
    model, described = fit_family(family, searching(4), BLOCK)
    best = max(described["searched"], key=lambda trial: trial["validation_ic"])
    assert described["validation_ic"] == best["validation_ic"]
    assert described["settings"] == best["settings"]
    alone = create_model(family, searching(0, **best["settings"]))
    alone.fit(BLOCK)
    assert np.array_equal(model.predict(BLOCK.X), alone.predict(BLOCK.X))


def test_a_search_repeats_to_the_last_bit_and_the_seed_moves_it() -> None:
    first, second = (fit_family("random_forest", searching(3), BLOCK) for _ in range(2))
    assert first[1] == second[1]
    assert np.array_equal(first[0].predict(BLOCK.X), second[0].predict(BLOCK.X))
    other = fit_family("random_forest", searching(3).model_copy(update={"seed": 2}), BLOCK)
    assert other[1]["searched"][1]["settings"] != first[1]["searched"][1]["settings"]


def test_trials_stay_within_the_bounds_and_a_setting_outside_starts_at_the_nearest() -> None:
    _, described = fit_family("elastic_net", searching(6, elastic_net_ridge_rows=0.0), BLOCK)
    bounds = search_space("elastic_net")["elastic_net_ridge_rows"]
    tried = [trial["settings"]["elastic_net_ridge_rows"] for trial in described["searched"]]
    assert tried[0] == bounds.low
    assert all(bounds.low <= value <= bounds.high for value in tried)
    assert len(set(tried)) == 6


def test_a_search_never_sees_more_than_the_tail() -> None:
    """Turning the tail's targets round turns every trial's score round: the tail entered none of the fits it judged."""
    alone = dataclasses.replace(BLOCK, splits=((BLOCK.fit, BLOCK.validation),))
    target = BLOCK.target.copy()
    target[BLOCK.validation] *= -1.0
    turned = dataclasses.replace(alone, target=target)
    for family in ("elastic_net", "lightgbm"):
        described = [fit_family(family, searching(1), block)[1] for block in (alone, turned)]
        clean, opposite = (entry["tail_ic"] for entry in described)
        assert {choice: -ic for choice, ic in opposite.items()} == clean


@pytest.mark.parametrize("family", FAMILIES)
def test_spaces_name_settings_and_hold_the_defaults(family: str) -> None:
    defaults = ModelSettings()
    for name, bounds in search_space(family).items():
        assert name in ModelSettings.model_fields
        assert bounds.low < bounds.high
        assert type(bounds.low) is type(bounds.high) is type(getattr(defaults, name))
        assert bounds.low <= getattr(defaults, name) <= bounds.high
        for value in (bounds.low, bounds.high):
            ModelSettings.model_validate({name: value})


def test_families_without_a_space_are_fitted_as_they_are() -> None:
    _, described = fit_family("ridge", searching(5), BLOCK)
    assert described["trials"] == len(Settings().models.ridge_penalties)
    assert "searched" not in described


def test_an_unknown_family_has_no_space() -> None:
    with pytest.raises(SettingsError, match="no family 'oracle'"):
        search_space("oracle")


def test_the_library_is_imported_only_for_a_search() -> None:
    program = (
        "import sys, aurora_pipeline.models.training_pipeline\n"
        "print([name for name in ('optuna', 'lightgbm', 'xgboost', 'catboost') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
