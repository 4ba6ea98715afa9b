"""The process that runs are forked from, and what the launcher does with a run that is not its own."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from aurora_pipeline.adapters.home import SERVED_VARIABLE
from aurora_pipeline.defs.dead_runs import PROCESS_TAG
from aurora_pipeline.defs.warm_launcher import PRELOADED, WarmRunLauncher

KERNEL = (
    "import sys, numpy as np\n"
    "from aurora_pipeline.monitoring import distribution_shift as shift\n"
    "shift.distribution_shift(np.ones((1, 4)), np.ones((1, 4)))\n"
)


@pytest.mark.parametrize("families", [["ridge", "lightgbm"], ["catboost", "xgboost"]])
def test_it_has_loaded_definitions_kernels_and_the_libraries_of_the_home_s_families(families, tmp_path):
    (tmp_path / "settings.yaml").write_text(f"models:\n  families: {families}\n")
    environment = os.environ | {"AURORA_HOME": str(tmp_path)}
    # Whatever ran before, there is a compiled kernel now.
    subprocess.run([sys.executable, "-c", KERNEL], env=environment, check=True)
    code = (
        f"import sys, {PRELOADED}\n"
        "from aurora_pipeline.monitoring import distribution_shift as shift\n"
        "print(*sorted({'mlflow', 'lightgbm', 'xgboost', 'catboost', 'sklearn'} & set(sys.modules)))\n"
        "print(len(shift._compare.signatures), 'aurora_pipeline.definitions' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    libraries, rest = done.stdout.splitlines()
    compiled, definitions = rest.split()
    assert libraries.split() == sorted(set(families) & {"lightgbm", "xgboost", "catboost"})
    assert definitions == "True"
    assert int(compiled) >= 1


def test_importing_a_model_library_starts_no_thread(tmp_path):
    code = (
        "import os\n"
        "import scipy.linalg  # its OpenBLAS starts threads and survives a fork\n"
        "import aurora_pipeline.definitions\n"
        "from aurora_pipeline.live.model_loading import import_libraries\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "import_libraries(aurora_pipeline.definitions.home.settings().models.families)\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    environment = os.environ | {"AURORA_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0", "a fork would not take these threads along"


class Instance:
    """What the launcher asks of Dagster's instance."""

    def __init__(self, process):
        self.run, self.told = SimpleNamespace(is_finished=False, tags={PROCESS_TAG: str(process)}), []

    def get_run_by_id(self, _):
        return self.run

    def report_run_canceling(self, run):
        self.told.append(run)


@pytest.mark.parametrize(("home", "interrupted"), [("own", True), ("another", False)])
def test_only_a_process_of_the_same_home_is_interrupted(home, interrupted, monkeypatch):
    monkeypatch.setenv(SERVED_VARIABLE, "live")
    monkeypatch.setenv("DAGSTER_HOME", "own")
    environment = os.environ | {"DAGSTER_HOME": home}
    # Where the tests themselves are started in the background of a shell, SIGINT comes ignored.
    sleeping = (
        "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", sleeping], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.stdout.readline()
            instance = Instance(process.pid)
            launcher = WarmRunLauncher()
            monkeypatch.setattr(WarmRunLauncher, "_instance", instance)
            assert launcher.terminate("run") is interrupted
            assert bool(instance.told) is interrupted
            if interrupted:
                process.wait(30)
            else:
                assert process.poll() is None
        finally:
            process.kill()
