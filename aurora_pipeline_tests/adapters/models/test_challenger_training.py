"""A challenger is trained on the decision times a champion's fold is trained on, no others."""

import json
from datetime import date

import numpy as np
import polars as pl
import pytest

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.models.challenger_store import DueVersion, challenger_name, train_challengers
from aurora_pipeline.adapters.stage_inputs.fold import read_fold_inputs
from aurora_pipeline.contracts import empty
from aurora_pipeline.features.registry import feature_names
from aurora_pipeline.models.configuration import configuration
from aurora_pipeline.models.training_pipeline import train_model
from aurora_pipeline.models.walk_forward import Fold
from aurora_pipeline.settings import Settings

SESSIONS = [date(2025, 1, day) for day in (2, 3, 6, 7, 8, 10)]
SERVES_FROM = date(2025, 1, 13)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
SETTINGS = Settings.model_validate(
    {
        "walk_forward": {"minimum_train_sessions": 4, "sample_bars": 13},
        "models": {"families": ["ridge"], "views": ["price"]},
        "threads": 1,
    }
)
DUE = DueVersion(
    challenger_name("ridge", SESSIONS[-1]),
    "ridge",
    SESSIONS[-1],
    json.dumps(configuration("ridge", SETTINGS.models)),
    "asked",
)


def write(home, noise):
    """Features and labels of every bar's end; those that training does not sample are drawn with seed `noise`."""
    names = feature_names("price")
    for number, session in enumerate(SESSIONS):
        ends = home.calendar.bar_ends(session)
        keys = [(session, symbol, end) for symbol in SYMBOLS for end in ends]
        rows = pl.DataFrame(keys, schema=empty("features").schema, orient="row")
        sampled = np.tile(np.arange(len(ends)) % 13 == 6, len(SYMBOLS))
        shape = (rows.height, len(names) + 1)
        kept, other = np.random.default_rng(number), np.random.default_rng([number, noise])
        values = np.where(sampled[:, None], kept.normal(size=shape), other.normal(size=shape))
        features = rows.with_columns(pl.Series(name, values[:, place], pl.Float32) for place, name in enumerate(names))
        home.lake.write("features", features, session.isoformat(), fingerprint=str(noise))
        labels = rows.with_columns(
            pl.Series("label", values[:, 0] + 0.3 * values[:, -1]),
            pl.lit(home.calendar.close(session)).cast(empty("labels").schema["matured_at"]).alias("matured_at"),
            pl.lit(1, pl.Int32).alias("horizon_bars"),
        )
        home.lake.write("labels", labels.select(empty("labels").columns), session.isoformat(), fingerprint=str(noise))


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    made.record_market(MarketRecord(name="hand", first_session=SESSIONS[0], last_session=SESSIONS[-1]))
    write(made, 1)
    return made


def trained(home):
    (row,) = train_challengers(home, SETTINGS, [(DUE, SERVES_FROM)], SESSIONS)
    return row


def test_a_challenger_is_the_model_a_fold_of_the_same_sessions_would_train(home):
    fold = Fold(
        SERVES_FROM.isoformat(), (SESSIONS[0], SESSIONS[-1]), (SERVES_FROM, SERVES_FROM), SESSIONS, [SERVES_FROM]
    )
    features, labels = read_fold_inputs(home, SETTINGS, fold)
    champion = train_model("ridge", fold, features, labels, SETTINGS, feature_names("price"))
    row = trained(home)
    assert row["session"] == SESSIONS[-1]
    assert row["serves_from"] == SERVES_FROM
    directory = home.models / row["directory"]
    assert (directory / "manifest.json").is_file()
    assert row["model_version"] == champion.version


def test_bars_between_the_sampled_decision_times_teach_a_challenger_nothing(home):
    before = trained(home)["model_version"]
    write(home, 2)
    assert trained(home)["model_version"] == before
