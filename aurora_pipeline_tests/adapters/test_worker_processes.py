"""Worker processes end with who started them, however that went."""

import os
import signal
import subprocess
import sys
import time

import pytest

from aurora_pipeline.adapters.worker_processes import worker_pool

STARTER = """
import sys, time
from pathlib import Path
from aurora_pipeline_tests.adapters.test_worker_processes import stay
from aurora_pipeline.adapters.worker_processes import worker_pool

if __name__ == "__main__":
    try:
        with worker_pool(2) as pool:
            for future in [pool.submit(stay, sys.argv[1]) for _ in range(2)]:
                future.result()
    finally:
        Path(sys.argv[1], "tidied").touch()
"""


def stay(folder):
    open(os.path.join(folder, f"worker-{os.getpid()}"), "w").close()
    time.sleep(120)


def number(value):
    return value + 1


def fail():
    raise ValueError("no")


def gone(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{process}/cmdline", "rb") as handle:
        return handle.read() == b""


def wait(until, seconds=90):
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_starter_ends_every_worker_in_the_middle_of_its_task(tmp_path, number):
    process = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)])
    wait(lambda: len(list(tmp_path.glob("worker-*"))) == 2)
    workers = [int(path.name.partition("-")[2]) for path in tmp_path.glob("worker-*")]
    assert not any(gone(worker) for worker in workers)
    process.send_signal(number)
    assert process.wait(timeout=60) == (128 + signal.SIGTERM if number == signal.SIGTERM else -signal.SIGKILL)
    wait(lambda: all(gone(worker) for worker in workers), 20)
    assert (tmp_path / "tidied").exists() == (number == signal.SIGTERM)


def test_an_error_in_the_block_does_not_wait_for_the_tasks_that_still_run(tmp_path):
    began = time.monotonic()

    def run():
        with worker_pool(2) as pool:
            pool.submit(stay, str(tmp_path))
            wait(lambda: bool(list(tmp_path.glob("worker-*"))))
            pool.submit(fail).result()

    with pytest.raises(ValueError, match="no"):
        run()
    assert time.monotonic() - began < 100
    wait(lambda: all(gone(int(path.name.partition("-")[2])) for path in tmp_path.glob("worker-*")), 20)


def test_results_come_back_and_the_handler_of_the_signal_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with worker_pool(1) as pool:
        assert list(pool.map(number, [1, 2])) == [2, 3]
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
