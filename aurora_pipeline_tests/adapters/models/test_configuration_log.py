from datetime import date

import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.models.configuration_log import (
    LOG,
    asked_for,
    new_configurations,
    note_configurations,
    own_configurations,
    recorded_configurations,
)
from aurora_pipeline.contracts import empty
from aurora_pipeline.errors import LakeError, SettingsError
from aurora_pipeline.settings import load_settings

NEXT = date(2024, 11, 5)


def wanted(*pairs):
    return load_settings(None, ["models.families=[ridge,lasso]", *pairs], {})


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.record_market(MarketRecord(name="hand"))
    return Home(tmp_path)


def trade(home):
    """Store the states of a session, so that a model trades."""
    import polars as pl

    schema = empty("model_states").schema
    row = {"session": date(2024, 11, 4), "model": "ridge", "family": "ridge", "state": "champion", "serves": True,
           "since": date(2024, 11, 4), "reason": "x", "decided_by": "test", "trial": 0, "matured_sessions": 0,
           "retirement_threshold": 3.0}  # fmt: skip
    frame = pl.DataFrame([row | dict.fromkeys(set(schema) - set(row))], schema=schema)
    home.lake.write("model_states", frame, "2024-11-04", fingerprint="x")


def test_before_anything_trades_a_change_founds_the_family_anew(home):
    assert note_configurations(home, wanted()) == []
    assert note_configurations(home, wanted("models.ridge_penalties=[7]")) == []
    entries = recorded_configurations(home)
    assert [(entry.family, entry.session, entry.founding) for entry in entries] == [
        ("ridge", None, True),
        ("lasso", None, True),
    ]
    assert own_configurations(home, wanted())["ridge"].values["ridge_penalties"] == [7.0]
    assert new_configurations(entries) == []


def test_a_change_is_a_challenger_of_the_family_it_concerns_and_the_own_model_stays(home):
    note_configurations(home, wanted())
    trade(home)
    before = own_configurations(home, wanted())
    said = note_configurations(home, wanted("models.ridge_penalties=[7]"))
    assert len(said) == 1
    assert said[0].startswith("ridge: its settings changed; the new configuration is a challenger from 2024-11-05 on")
    assert own_configurations(home, wanted("models.ridge_penalties=[7]")) == before
    (new,) = new_configurations(recorded_configurations(home))
    assert (new.family, new.session, new.values["ridge_penalties"]) == ("ridge", NEXT, [7.0])
    assert note_configurations(home, wanted("models.ridge_penalties=[7]")) == [], "said once"


def test_what_the_settings_asked_for_is_known_by_session(home):
    note_configurations(home, wanted())
    trade(home)
    now = wanted("models.ridge_penalties=[7]")
    note_configurations(home, now)
    entries = recorded_configurations(home)
    assert asked_for(entries, "ridge", date(2024, 11, 4), now)["ridge_penalties"] != [7.0]
    assert asked_for(entries, "ridge", NEXT, now)["ridge_penalties"] == [7.0]
    assert asked_for([], "ridge", NEXT, now)["ridge_penalties"] == [7.0]


def test_a_change_taken_back_before_its_session_leaves_no_challenger(home):
    note_configurations(home, wanted())
    trade(home)
    note_configurations(home, wanted("models.ridge_penalties=[7]"))
    note_configurations(home, wanted())
    assert new_configurations(recorded_configurations(home)) == []


def test_replacing_founds_the_family_anew_and_forgets_its_challengers(home):
    note_configurations(home, wanted())
    trade(home)
    note_configurations(home, wanted("models.ridge_penalties=[7]"))
    now = wanted("models.ridge_penalties=[9]")
    assert note_configurations(home, now, replace=True) == []
    assert own_configurations(home, now)["ridge"].values["ridge_penalties"] == [9.0]
    assert new_configurations(recorded_configurations(home)) == []


def test_replacing_takes_a_challengers_configuration_for_the_whole_history(home):
    note_configurations(home, wanted())
    trade(home)
    now = wanted("models.ridge_penalties=[7]")
    note_configurations(home, now)
    note_configurations(home, now, replace=True)
    assert own_configurations(home, now)["ridge"].values["ridge_penalties"] == [7.0]
    assert new_configurations(recorded_configurations(home)) == []


def test_a_family_added_later_counts_from_the_next_session_on(home):
    note_configurations(home, wanted())
    trade(home)
    more = load_settings(None, ["models.families=[ridge,lasso,xgboost]"], {})
    (said,) = note_configurations(home, more)
    assert said == "xgboost: a new family, a candidate from 2024-11-05 on"
    assert own_configurations(home, more)["xgboost"].session == NEXT


def test_a_family_with_states_may_not_vanish_unless_models_are_replaced(home):
    note_configurations(home, wanted())
    trade(home)
    one = load_settings(None, ["models.families=[ridge]"], {})
    with pytest.raises(SettingsError, match=r"no longer names lasso.*aurora models retire lasso"):
        note_configurations(home, one)
    assert note_configurations(home, one, replace=True) == []
    assert {entry.family for entry in recorded_configurations(home)} == {"ridge"}
    assert note_configurations(home, one) == []


def test_a_home_from_before_the_log_is_founded_as_it_stands(home):
    trade(home)
    assert note_configurations(home, wanted()) == []
    assert [(entry.session, entry.founding) for entry in recorded_configurations(home)] == [(None, True)] * 2


def test_a_line_that_was_changed_is_found(home):
    note_configurations(home, wanted())
    path = home.path / LOG
    path.write_text(path.read_text().replace('"founding": true', '"founding": false', 1))
    with pytest.raises(LakeError, match="line 1: the seal does not match"):
        recorded_configurations(home)
