from datetime import date

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.contracts import empty
from aurora_pipeline.defs.challenger_sensor import challenger_sensor
from aurora_pipeline.defs.jobs import CHALLENGER_JOB

QUIET, LOUD = date(2024, 11, 25), date(2024, 11, 26)


def drift(session, drifted):
    row = {
        "session": session, "kind": "residual", "subject": "ridge", "value": -0.1, "reference": 0.1, "psi": None, "ks": None,
        "missing": 0.0, "reference_missing": 0.0, "z": -4.0 if drifted else -1.0, "drifted": drifted,
    }  # fmt: skip
    return pl.DataFrame([row], schema=empty("drift").schema)


def looked(home, cursor=None):
    with dg.build_sensor_context(cursor=cursor) as context:
        return challenger_sensor(home)(context)


def test_the_sensor_trains_a_challenger_once_after_a_session_that_drifted(tmp_path):
    home = Home(tmp_path)
    home.record_market(MarketRecord())
    home = Home(tmp_path)
    assert "no session's drift" in looked(home).skip_message
    home.lake.write("drift", drift(QUIET, False), "2024-11-25", fingerprint="x")
    quiet = looked(home)
    assert "asks for a challenger" in quiet.skip_reason.skip_message
    assert quiet.cursor == "2024-11-25"
    home.lake.write("drift", drift(LOUD, True), "2024-11-26", fingerprint="x")
    loud = looked(home, quiet.cursor)
    (request,) = loud.run_requests
    assert request.partition_key == "2024-11-26"
    assert request.tags["aurora/drift"] == "ridge: residual drift of ridge: z -4.0"
    assert "has been looked at" in looked(home, loud.cursor).skip_message


def test_the_job_it_starts_trades_nothing(tmp_path):
    from aurora_pipeline.defs.graph import build_definitions

    definitions = build_definitions(Home(tmp_path))
    job = definitions.resolve_job_def(CHALLENGER_JOB)
    assert {node.name for node in job.nodes} == {"challengers"}
    assert definitions.resolve_sensor_def("drift_asks_for_challenger").job_name == CHALLENGER_JOB
