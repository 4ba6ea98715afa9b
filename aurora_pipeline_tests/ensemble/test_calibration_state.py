"""When a session is calibrated, and which of the two methods serves it."""

from types import SimpleNamespace

import numpy as np
import pytest

from aurora_pipeline.ensemble.calibration_state import STATE_SCHEMA, RunningCalibration
from aurora_pipeline.settings import CalibrationSettings


def issued(*, matured=5, errors=20, compared=20, t=1.65, ic=0.05):
    """State with given evidence, by column."""
    running = RunningCalibration(CalibrationSettings(minimum_sessions=5, prior_sessions=30.0), 1)
    running.conformal.observe(np.linspace(-1.0, 1.0, 100), 1.0, None)
    running.isotonic.observe(np.linspace(-1.0, 1.0, 100), np.linspace(-0.1, 0.1, 100), 100)
    running.matured, running.errors, running.compared = set(range(matured)), errors, set(range(compared))
    passed = {"add": lambda *_: None}
    running.advantage = SimpleNamespace(t=t, **passed)
    running.ic = SimpleNamespace(mean=ic, information=10.0, believable_share=0.5, standard_error=0.01, **passed)
    return dict(zip(list(STATE_SCHEMA)[1:], running.issue(), strict=True)), running.issued[-1]


@pytest.mark.parametrize(
    ("evidence", "calibrator"),
    [
        ({}, "isotonic"),
        ({"t": 1.64}, "grinold"),
        ({"compared": 19}, "grinold"),
        ({"ic": -0.05}, "grinold"),  # nothing to take the place of
        ({"matured": 4}, None),
        ({"errors": 19}, None),
        ({"ic": None}, None),
    ],
)
def test_the_map_serves_where_its_advantage_is_significant(evidence, calibrator):
    state, made = issued(**evidence)
    assert state["calibrator"] == calibrator
    assert state["calibrated"] is (calibrator is not None)
    assert made.isotonic is (calibrator == "isotonic" or (evidence.keys() & {"matured", "errors"} != set()))
    assert (state["knots"] is None) is (calibrator != "isotonic")
    assert (state["error_lower_90"] is None) is (calibrator is None)


def test_the_slope_is_shrunk_twice_and_never_negative():
    state, made = issued()
    assert state["shrunk_ic"] == pytest.approx(0.05 * 0.5 * 10.0 / 40.0)
    assert made.forecasts.max() == pytest.approx(0.1 * 0.5 * 10.0 / 40.0, rel=0.1)
    state, made = issued(ic=-0.05)
    assert state["shrunk_ic"] == 0.0
    assert not made.forecasts.any()
