"""What the command line says of homes that are not there, of ports that are taken, and of texts with brackets."""

import errno
import os
import socket
import sqlite3
from datetime import date

import polars as pl
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from aurora_pipeline import __version__, cli
from aurora_pipeline.adapters.home import Home, MarketRecord
from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog
from aurora_pipeline.commands import book_commands
from aurora_pipeline.commands.explain_commands import _cell
from aurora_pipeline.errors import AuroraError, LakeError, SettingsError
from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision
from aurora_pipeline.reports.audits import run_leak_audit
from aurora_pipeline_tests.market.tiny import flat_sessions, sessions_from, universe, write_market
from aurora_pipeline_tests.monitoring.dashboard.stored_rows import rows

AT = "2024-12-18T15:00"
READING = (
    ["sql", "select 1"],
    ["export", "--duckdb", "copy.duckdb"],
    ["claims"],
    ["dashboard"],
    ["explain", "--symbol", "A", "--at", AT],
    ["close"],
    ["parity"],
    ["preflight"],
    ["health"],
    ["live", "--replay", "market", "--session", "2024-12-18", "--port", "0"],
    ["backfill", "--job", "predict", "--from", "2024-12-17", "--to", "2024-12-18"],
    ["audit", "features"],
    ["audit", "leaks"],
    ["book", "status"],
    ["book", "costs"],
    ["book", "capacity"],
    ["models", "list"],
    ["models", "history"],
    ["models", "promote", "ridge", "--reason", "test"],
    ["report", "models"],
    ["report", "dashboard"],
    ["report", "day"],
    ["report", "week"],
    ["bench", "tick", "--session", "2024-12-18"],
    ["soak", "--session", "2024-12-18"],
)


@pytest.fixture
def home(tmp_path):
    """Home that remembers a market and holds nothing of it."""
    made = Home(tmp_path / "home")
    record = MarketRecord(
        name="x", directory=tmp_path, first_session=date(2024, 12, 2), last_session=date(2024, 12, 20)
    )
    made.record_market(record)
    return made


def called(monkeypatch, capsys, *words):
    """Exit code and everything printed by the command line as a shell would call it."""
    monkeypatch.setattr("sys.argv", ["aurora", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    printed = capsys.readouterr()
    return left.value.code, printed.out + printed.err


def states(home, model="ridge", state="champion"):
    """Store one session of states."""
    row = {"session": date(2024, 12, 18), "family": "ridge", "model": model, "state": state, "serves": True}
    home.lake.write("model_states", rows("model_states", row), "2024-12-18", fingerprint="test")


@pytest.mark.parametrize("words", READING, ids=lambda words: " ".join(words[:2]))
def test_a_home_that_is_not_there_is_told_in_one_sentence_and_not_made(words, tmp_path, monkeypatch, capsys):
    (tmp_path / "market").mkdir()
    monkeypatch.chdir(tmp_path)
    code, text = called(monkeypatch, capsys, *words, "--home", tmp_path / "typo")
    assert (code, text.splitlines()) == (
        2, [f"aurora: home {tmp_path / 'typo'} has no market yet; start with `aurora run --home {tmp_path / 'typo'}`"],
    )  # fmt: skip
    assert [entry.name for entry in tmp_path.iterdir()] == ["market"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_home_that_cannot_be_written_is_told_in_one_sentence(number, home, monkeypatch, capsys):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number), str(home.path / "market.json"))

    monkeypatch.setattr("aurora_pipeline.workflows.main_job.run_main_job", refused)
    code, text = called(monkeypatch, capsys, "run", "--home", str(home.path))
    assert code == AuroraError.exit_code
    assert os.strerror(number) in text
    assert str(home.path / "market.json") in text


def test_a_disk_that_dagsters_database_finds_full_is_told_with_what_to_do(home, monkeypatch, capsys):
    def full(*_, **__):
        database = sqlite3.connect(":memory:")
        database.execute("PRAGMA max_page_count = 1")
        try:
            database.execute("CREATE TABLE runs (id)")
        except sqlite3.OperationalError as error:
            raise RuntimeError("could not store event") from error

    monkeypatch.setattr("aurora_pipeline.workflows.main_job.run_main_job", full)
    code, text = called(monkeypatch, capsys, "run", "--home", str(home.path))
    assert code == AuroraError.exit_code
    assert "database or disk is full" in text
    assert "make room on its disk, then give the same command again" in text


def test_health_of_a_home_that_was_never_live_fails(home, monkeypatch, capsys):
    code, text = called(monkeypatch, capsys, "health", "--home", home.path)
    assert code == 1
    assert "was never live" in text
    assert "alive\n" not in text.splitlines()


def test_texts_with_brackets_and_colons_are_printed_as_they_are(home, monkeypatch, capsys):
    code, text = called(monkeypatch, capsys, "sql", "select * from '[/x]'", "--home", home.path)
    assert code == 2
    assert "[/x]" in text
    code, text = called(monkeypatch, capsys, "settings", "--set", "models.families=[rigde]", "--home", home.path)
    assert code == 2
    assert "[rigde]" in text
    cells = "select '[red]x[/red]' a, '[b]' b, ':warning:' c, 1 as \"[d]\""
    code, text = called(monkeypatch, capsys, "sql", cells, "--home", home.path)
    assert code == 0
    assert all(each in text for each in ("[red]x[/red]", "[b]", ":warning:", "[d]"))
    code, text = called(monkeypatch, capsys, "kill", "--reason", "prices [look] wrong", "--home", home.path)
    assert code == 0
    assert "prices [look] wrong" in text


@pytest.mark.parametrize("words", [["ui"], ["live"], ["live", "--replay", "market", "--session", "2024-12-18"]])
def test_a_port_that_is_taken_is_refused_before_anything_starts(words, home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(cli.app, [*words, "--home", str(home.path), "--port", port])
    assert isinstance(done.exception, SettingsError)
    assert f"port {port} of 127.0.0.1 cannot be had" in str(done.exception)
    assert [entry.name for entry in home.path.iterdir()] == ["market.json"]


@pytest.mark.parametrize("words", [["dashboard"], ["ui"]])
def test_a_port_that_is_none_is_refused(words, home):
    (home.path / "lake").mkdir(parents=True, exist_ok=True)
    done = CliRunner().invoke(cli.app, [*words, "--home", str(home.path), "--port", "80000"])
    assert isinstance(done.exception, SettingsError)
    assert "port 80000 of 127.0.0.1 cannot be had" in str(done.exception)


@pytest.mark.parametrize("words", [["run"], ["sql", "select 1"], ["kill"]])
def test_a_file_in_the_place_of_a_home_is_named(words, tmp_path, monkeypatch, capsys):
    file = tmp_path / "bars.csv"
    file.write_text("symbol\n")
    code, printed = called(monkeypatch, capsys, *words, "--home", file)
    assert code == 2
    assert "is a file; name a directory" in printed


def test_a_proof_on_a_preset_that_is_none_fails_before_any_market_is_made(tmp_path, monkeypatch, capsys):
    code, printed = called(
        monkeypatch, capsys, "prove", "--preset", "smal", "--home", tmp_path, "--root", tmp_path / "made"
    )
    assert code == 2
    assert "expected one of reference" in printed
    assert not (tmp_path / "made").exists()


def commands(group=None, words=()):
    """Every command with its words."""
    for name, command in (group or get_command(cli.app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


@pytest.mark.parametrize(("words", "command"), list(commands()))
def test_every_command_and_every_option_says_what_it_does(words, command):
    assert command.help
    assert [part.name for part in command.params if not getattr(part, "help", None)] == []


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert called(monkeypatch, capsys, "--version") == (0, f"{__version__}\n")


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (date(2024, 12, 20), date(2024, 12, 18), "ends on 2024-12-18, before it begins on 2024-12-20"),
        (date(2030, 1, 2), None, "no session from 2030-01-02 on; it has 2024-12-02 to 2024-12-20"),
        (None, date(2020, 1, 2), "no session before 2020-01-02"),
        (date(2024, 12, 7), date(2024, 12, 8), "no session from 2024-12-07 to 2024-12-08"),
    ],
)
def test_a_leak_audit_of_an_odd_range_says_what_is_odd(home, first, last, message):
    with pytest.raises(LakeError, match=message):
        run_leak_audit(home, first, last, 1)


def test_promoting_the_reigning_champion_records_nothing(home):
    words = ["models", "promote", "ridge", "--reason", "again", "--home", str(home.path)]
    states(home)
    done = CliRunner().invoke(cli.app, words)
    assert (done.exit_code, LifecycleLog(home).decisions()) == (0, [])
    assert "ridge already is the champion" in done.output
    LifecycleLog(home).append(LifecycleDecision(date(2024, 12, 19), "retire", "ridge", "person:x", "test"))
    done = CliRunner().invoke(cli.app, words)
    assert [said.kind for said in LifecycleLog(home).decisions()] == ["retire", "promote"], done.output


def test_promoting_a_model_that_does_not_reign_is_recorded(home):
    states(home, state="probation")
    done = CliRunner().invoke(cli.app, ["models", "promote", "ridge", "--reason", "test", "--home", str(home.path)])
    assert [said.kind for said in LifecycleLog(home).decisions()] == ["promote"], done.output


def test_a_rollback_to_a_retired_model_is_refused_and_one_to_a_replaced_model_is_recorded(home, monkeypatch, capsys):
    words = ["models", "rollback", "ridge", "--reason", "test", "--home", str(home.path)]
    states(home)
    for reason, refused in (("evidence 3.01 (limit 3.00)", True), ("replaced by ridge~short: better", False)):
        shown = [
            {"family": "ridge", "session": date(2024, 12, 19), "reason": why, **row}
            for row, why in (
                ({"model": "ridge", "state": "retired", "serves": False}, reason),
                ({"model": "ridge~short", "state": "champion", "serves": True}, "better"),
            )
        ]
        home.lake.write("model_states", rows("model_states", *shown), "2024-12-19", fingerprint="test")
        code, text = called(monkeypatch, capsys, *words)
        assert code == (2 if refused else 0), text
        assert ("(ridge: evidence 3.01 (limit 3.00))" in " ".join(text.split())) == refused
        assert len(LifecycleLog(home).decisions()) == (0 if refused else 1)


def test_a_promotion_that_has_not_been_run_yet_can_be_rolled_back(home, monkeypatch, capsys):
    shown = [
        {"session": date(2024, 12, 18), "family": "ridge", "model": "ridge", "state": "champion", "serves": True},
        {"session": date(2024, 12, 18), "family": "ridge", "model": "ridge~short", "state": "shadow", "serves": False},
    ]
    home.lake.write("model_states", rows("model_states", *shown), "2024-12-18", fingerprint="test")
    rolled = ["models", "rollback", "ridge", "--reason", "test", "--from", "2024-12-19", "--home", home.path]
    assert called(monkeypatch, capsys, *rolled)[0] == 2
    promoted = ["models", "promote", "ridge~short", "--reason", "test", "--from", "2024-12-18", "--home", home.path]
    assert called(monkeypatch, capsys, *promoted)[0] == 0
    code, text = called(monkeypatch, capsys, *rolled)
    assert code == 0, text


def test_losses_are_shown_in_basis_points_and_times_to_the_second():
    measures = {
        "forecast volatility, mean": 0.0081,
        "value at risk 95 %, from the forecast": 0.000845,
        "expected shortfall 95 %, from the sessions": None,
        "beta to the market, realised": 0.123,
    }
    risk = pl.DataFrame({"measure": list(measures), "value": list(measures.values())})
    assert dict(book_commands._measured(risk).rows()) == {
        "forecast volatility, mean": "0.81 %",
        "value at risk 95 %, from the forecast": "8.45 bps",
        "expected shortfall 95 %, from the sessions": "",
        "beta to the market, realised": "0.123",
    }
    assert book_commands._cell("since", "2024-12-18 15:00:01.123456+00:00") == "2024-12-18 15:00:01 UTC"


def test_large_numbers_are_shown_whole():
    assert [_cell(value) for value in (123456.0, 1375, 0.0067199, True)] == ["123,456", "1,375", "0.0067199", "True"]


def test_models_are_listed_where_the_market_folder_is_gone(home, monkeypatch, capsys):
    states(home)
    code, said = called(monkeypatch, capsys, "models", "list", "--home", home.path)
    assert code == 0
    assert "x (its folder cannot be read), session 2024-12-18" in said


@pytest.mark.parametrize("command", ["close", "parity", "preflight"])
def test_what_needs_a_live_home_says_how_to_make_one(command, home, monkeypatch, capsys):
    code, said = called(monkeypatch, capsys, command, "--home", home.path, "--session", "2024-12-18")
    assert code == 2
    assert "is not live; `aurora live --home" in said.replace("\n", " ")


def test_check_says_which_fold_bars_alone_lose_and_what_to_change(tmp_path, monkeypatch, capsys):
    sessions = sessions_from("2025-03-10", 64)
    folder = write_market(tmp_path / "market", universe("AAA", "BBB"), flat_sessions(["AAA", "BBB"], sessions))
    told = " ".join(called(monkeypatch, capsys, "check", folder)[1].split())
    assert "- will not train: fold 2025-06." in told
    assert "20 have no eligible stock yet" in told
    assert "fold 2025-06 has 39 session(s) to train on" in told
    assert "asks for 40: raise warm_up_sessions to 61 or lower walk_forward.minimum_train_sessions to 39" in told
    told = called(monkeypatch, capsys, "check", folder, "--set", "warm_up_sessions=61")[1]
    assert "bars accepted" in told
    assert "will not train" not in told
