"""The supervisor on processes that only sleep."""

import errno
import json
import os
import shutil
import signal
import sys
import time

import pytest

from aurora_pipeline.adapters.home import SERVED_VARIABLE, Home
from aurora_pipeline.live.alerting import kept_alerts
from aurora_pipeline.serving import service as service_module
from aurora_pipeline.serving.service import Service, ServiceError, Supervised


class Sleepers(Service):
    def processes(self):
        write = f"import os, time; open('served', 'w').write(os.environ['{SERVED_VARIABLE}']); time.sleep(60)"
        return [
            Supervised("daemon", [sys.executable, "-c", write]),
            Supervised("webserver", [sys.executable, "-c", write]),
        ]


@pytest.fixture
def service(tmp_path):
    return Sleepers(Home(tmp_path), 0, "replay")


def gone(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_dies_is_started_again_and_told_of(service):
    with service.running():
        service.look()
        first, other = service.process_id("daemon"), service.process_id("webserver")
        os.kill(first, signal.SIGKILL)
        assert service.wait(lambda: service.process_id("daemon") not in {first, None}, 20)
        assert service.restarts == {"daemon": 1}
        assert service.process_id("webserver") == other
    assert [row["key"] for row in kept_alerts(service.home)] == ["service:daemon"]


def test_what_dies_again_and_again_is_started_ever_more_slowly(tmp_path):
    class Dying(Service):
        def processes(self):
            return [Supervised("daemon", [sys.executable, "-c", "raise SystemExit(3)"])]

    service = Dying(Home(tmp_path), 0, "live")
    with service.running():
        assert service.wait(lambda: service.restarts.get("daemon", 0) >= 3, 30)
        (supervised,) = service.supervised
        assert supervised.due - time.monotonic() > 1.0


def test_a_full_disk_does_not_end_the_service(service, monkeypatch, capsys):
    with service.running():
        service.look()
        with monkeypatch.context() as full:
            full.setattr(service_module, "atomic_text", no_space)
            full.setattr(service_module, "tell", no_space)
            os.kill(service.process_id("daemon"), signal.SIGKILL)
            assert service.wait(lambda: service.restarts == {"daemon": 1} and service.process_id("daemon"), 10.0)
            service.look()
        assert capsys.readouterr().err.count("No space left") == 1
        alive = json.loads((service.home.path / "live" / "service.json").read_text())["alive_at"]
        service.look()
        assert json.loads((service.home.path / "live" / "service.json").read_text())["alive_at"] > alive


def no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("copied", [False, True])
def test_a_home_that_is_moved_ends_its_service_and_nothing_is_left_in_its_place(tmp_path, copied):
    home, moved = tmp_path / "home", tmp_path / "moved"
    service = Sleepers(Home(home), 0, "live")
    with service.running():
        service.look()
        processes = [service.process_id("daemon"), service.process_id("webserver")]
        home.rename(moved)
        if copied:
            shutil.copytree(moved, home)
        with pytest.raises(ServiceError, match="start `aurora live` again where the home lies now"):
            service.look()
    assert all(gone(process) for process in processes)
    assert home.exists() == copied
    with Sleepers(Home(moved), 0, "live").running():
        pass


def test_one_service_per_home(service):
    with (
        service.running(),
        pytest.raises(ServiceError, match="served already"),
        Sleepers(service.home, 0, "live").running(),
    ):
        pass


def test_everything_ends_with_the_supervisor_and_the_home_can_be_served_again(service):
    with service.running():
        service.look()
        processes = [service.process_id("daemon"), service.process_id("webserver")]
        content = json.loads((service.home.path / "live" / "service.json").read_text())
        assert content["processes"] == {"daemon": processes[0], "webserver": processes[1]}
        assert content["mode"] == "replay"
    assert all(gone(process) for process in processes)
    assert not (service.home.path / "live" / "service.json").exists()
    with service.running():
        service.look()


def test_the_processes_know_their_home_and_how_it_is_served(service):
    with service.running():
        assert service.wait((service.home.path / "served").exists, 20)
        assert service.wait(lambda: (service.home.path / "served").read_text() == "replay", 20)


def test_every_server_listens_on_loopback_only(tmp_path):
    commands = {each.name: each.command for each in Service(Home(tmp_path), 3111, "live").processes()}
    for name in ("code server", "webserver"):
        assert commands[name][commands[name].index("-h") + 1] == "127.0.0.1"
    assert "host: 127.0.0.1" in (tmp_path / "live" / "workspace.yaml").read_text()


def test_what_a_killed_supervisor_left_behind_is_ended_first(service):
    with service.running():
        service.look()
        left = (service.home.path / "live" / "service.json").read_text()
        orphan = service.supervised[0].popen
        service.supervised = service.supervised[1:]
    assert orphan.poll() is None
    (service.home.path / "live" / "service.json").write_text(left)
    with service.running():
        service.look()
        assert orphan.wait(timeout=10) == -signal.SIGKILL


def test_a_terminated_supervisor_ends_its_processes(service):
    processes = []

    def serve():
        with service.running():
            service.look()
            processes.extend([service.process_id("daemon"), service.process_id("webserver")])
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(SystemExit):
        serve()
    assert len(processes) == 2
    assert all(gone(process) for process in processes)


def test_the_databases_are_there_before_several_processes_could_race_for_them(tmp_path):
    Service(Home(tmp_path), 3111, "live").processes()
    made = {path.name for path in (tmp_path / "dagster").rglob("*.db")}
    assert made == {"runs.db", "index.db", "schedules.db"}


def test_each_feed_is_a_process_of_its_own(tmp_path):
    service = Service(Home(tmp_path), 3111, "live", ["alpaca iex", "edgar iex"])
    commands = {each.name: each.command[1:] for each in service.processes()}
    assert commands["feed alpaca"] == ["-m", "aurora_pipeline.live.feed_pump", "alpaca", "iex"]
    assert commands["feed edgar"] == ["-m", "aurora_pipeline.live.feed_pump", "edgar", "iex"]
