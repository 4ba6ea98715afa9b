"""`aurora prove` on markets small enough for a test: it holds on sound code, and a seeded leak makes it fail."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from aurora_pipeline.adapters.home import HOME_VARIABLE
from aurora_pipeline.cli import app
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.models import training_pipeline
from aurora_pipeline.monitoring.scorer_null import ScorerDesign
from aurora_pipeline.workflows.proofs import prove_scorer
from aurora_pipeline_tests.end_to_end.conftest import SHORT, settings

SIZE = ("--sessions", "40", "--symbols", "16", "--alpha", "none", "--processes", "1", "--seeds", "5-5")
FEW = settings(*SHORT, "models.families=[ridge, lightgbm]")


def prove(home, *arguments):
    return CliRunner().invoke(app, ["prove", "--home", str(home), *arguments])


@pytest.mark.slow
def test_a_leak_in_the_scores_makes_the_proof_fail_and_the_clean_code_holds(tmp_path, monkeypatch):
    """The leak: every model's score leans towards the label it is to predict, past every check of the graph."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    clean = prove(tmp_path / "clean", *SIZE, *FEW)
    null = json.loads((tmp_path / "clean" / "reports" / "proof_pipeline.json").read_text())
    together = [verdict["holds"] for verdict in null["verdicts"] if "no alpha" in verdict["what"]]
    assert together == [True, True, True], clean.output
    assert set(null["markets"][0]["families"]) == {"ridge", "lightgbm"}
    assert len(null["markets"]) == 1

    from aurora_pipeline.workflows import proofs

    with monkeypatch.context() as nothing_runs:
        nothing_runs.setattr(proofs, "prove_market", None)
        prove(tmp_path / "clean", *SIZE, *FEW)
    again = json.loads((tmp_path / "clean" / "reports" / "proof_pipeline.json").read_text())
    assert again == null, "a market that was finished before is taken from there"

    original, homes = training_pipeline.predict, []
    prepare = proofs.prepare_home

    def remembered(*arguments):
        made = prepare(*arguments)
        homes.append(made[0])
        return made

    def leaky(trained, features):
        scores = original(trained, features)
        labels = homes[-1].lake.read("labels", columns=["symbol", "decision_time", "label"])
        seen = scores.join(labels, on=["symbol", "decision_time"], how="left", maintain_order="left")
        size = pl.col("label").std().over("decision_time")
        lean = (pl.col("score").std().over("decision_time") * pl.col("label") / size).fill_null(0.0)
        return seen.with_columns((pl.col("score") + lean).cast(pl.Float32).alias("score")).drop("label")

    monkeypatch.setattr(proofs, "prepare_home", remembered)
    monkeypatch.setattr(training_pipeline, "predict", leaky)
    caught = prove(tmp_path / "leaky", *SIZE, *FEW)
    assert caught.exit_code == 1, caught.output
    assert "it does not hold" in caught.output
    content = json.loads((tmp_path / "leaky" / "reports" / "proof_pipeline.json").read_text())
    wrong = [verdict["what"] for verdict in content["verdicts"] if not verdict["holds"]]
    assert "no alpha: z of all ICs together" in wrong


def test_scorer_nulls_are_counted_by_design():
    designs = (ScorerDesign(sessions=12, names=8, sectors=2), ScorerDesign(sessions=3))
    rows, holds = prove_scorer(range(1, 13), 1, designs)
    assert [row["seeds"] for row in rows] == [12, 12]
    assert rows[1]["rejection_rate"] == 1.0  # too short for a t: not honest
    assert not holds


@pytest.mark.parametrize("arguments", [("--seeds", "3-1"), ("--seeds", "x"), ("--alpha", "huge")])
def test_what_is_not_understood_is_refused_by_name(tmp_path, arguments):
    outcome = prove(tmp_path, *arguments)
    assert isinstance(outcome.exception, SettingsError)
    assert arguments[0] in str(outcome.exception)
