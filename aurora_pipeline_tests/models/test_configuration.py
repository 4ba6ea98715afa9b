import pytest

from aurora_pipeline.models.configuration import _FAMILY, COMMON, configuration, configured
from aurora_pipeline.models.model_factory import FAMILIES, create_model, search_space
from aurora_pipeline.settings import ModelSettings, Settings


class Noting(ModelSettings):
    """Notes which settings are read."""

    def __getattribute__(self, name):
        if name in type(self).model_fields:
            object.__getattribute__(self, "__dict__").setdefault("_read", set()).add(name)
        return super().__getattribute__(name)


def test_every_family_has_its_settings_named():
    assert set(_FAMILY) == set(FAMILIES), "`_FAMILY` of models/configuration.py names the settings of every family"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_configuration_has_what_its_family_reads_and_what_is_searched(family):
    models = Noting()
    create_model(family, Settings().model_copy(update={"models": models}))
    read = models.__dict__["_read"]
    assert read | set(search_space(family)) | set(COMMON) == set(configuration(family, ModelSettings()))


def test_every_setting_of_the_models_belongs_to_a_configuration():
    known = {name for family in FAMILIES for name in configuration(family, ModelSettings())}
    assert known == set(ModelSettings.model_fields) - {"families"}


def test_which_families_are_trained_beside_it_is_no_part_of_a_configuration():
    few = ModelSettings(families=("ridge",))
    assert configuration("ridge", few) == configuration("ridge", ModelSettings())


def test_a_configuration_goes_back_into_settings():
    values = configuration("ridge", ModelSettings(ridge_penalties=(7.0,), views=("price",)))
    own = configured(Settings(), values).models
    assert (own.ridge_penalties, own.views) == ((7.0,), ("price",))
    assert own.tree_rounds == ModelSettings().tree_rounds
    assert configuration("ridge", own) == values
