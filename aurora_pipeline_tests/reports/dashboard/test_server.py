import http.client
import threading

import pytest
from typer.testing import CliRunner

from aurora_pipeline.cli import app
from aurora_pipeline.errors import BookError, SettingsError
from aurora_pipeline.reports.dashboard.server import LOOPBACK, DashboardServer
from aurora_pipeline_tests.reports.dashboard.conftest import serving, store_session


def ask(server, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection(LOOPBACK, server.server_port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def test_the_first_answer_holds_the_numbers(tables):
    with serving(tables) as server:
        assert server.server_address[0] == LOOPBACK
        status, page, headers = ask(server)
        assert status == 200
        assert "1,006 USD" in page
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert ask(server, "/version")[1].strip() in page
        status, body, headers = ask(server, method="HEAD")
        assert (status, body, int(headers["Content-Length"])) == (200, "", len(page.encode()))


def test_what_is_stored_later_is_on_the_page_after_the_next_look(tables):
    with serving(tables) as server:
        before = ask(server, "/version")[1]
        store_session(tables, server.book, 2)
        server.look()
        assert ask(server, "/version")[1] != before
        assert "1,003 USD" in ask(server)[1]


def test_another_hosts_name_is_refused(tables):
    with serving(tables) as server:
        for host in ("evil.example", "evil.example:80", ""):
            assert ask(server, Host=host)[0] in {400, 403}
        assert ask(server, Host=f"localhost:{server.server_port}")[0] == 200


def test_nothing_can_be_written(tables):
    with serving(tables) as server:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert ask(server, method=method)[0] == 405, method


def test_only_reports_are_served_and_only_by_their_names(tables):
    (tables.reports / "claims.html").write_text("<p>claims</p>")
    (tables.reports / "secret.key").write_text("no")
    with serving(tables) as server:
        assert ask(server, "/reports/claims.html")[:2] == (200, "<p>claims</p>")
        for path in (
            "/reports/secret.key",
            "/reports/../settings.yaml",
            "/reports/%2e%2e/settings.yaml",
            "/reports/",
            "/lake",
        ):
            assert ask(server, path)[0] == 404


def test_a_book_is_chosen_by_name(tables):
    store_session(tables, "live", 0)
    with serving(tables) as server:
        other = next(name for name in ask(server)[1].split("?book=")[1:])
        backtest = other.partition('"')[0]
        assert server.book == "live"
        assert "1,002 USD" in ask(server)[1]
        assert "1,006 USD" in ask(server, f"/?book={backtest}")[1]
        status, text, _ = ask(server, "/?book=mine")
        assert status == 404
        assert "holds no book mine" in text


def test_a_port_that_is_taken_is_an_error_that_says_so(tables):
    with serving(tables) as server, pytest.raises(SettingsError, match="choose another with --port"):
        DashboardServer(tables, server.server_port)


def test_trouble_while_looking_does_not_end_the_watch(tables, monkeypatch, caplog):
    looks = threading.Semaphore(0)

    def broken(self):
        looks.release()
        raise OSError("gone for a moment")

    monkeypatch.setattr("aurora_pipeline.reports.dashboard.server.LOOK_SECONDS", 0.01)
    monkeypatch.setattr(DashboardServer, "look", broken)
    with DashboardServer(tables, 0) as server, server.looking():
        assert looks.acquire(timeout=30)
        assert looks.acquire(timeout=30)
    assert "gone for a moment" in caplog.text


def test_a_wrong_book_ends_the_command_before_it_serves(tables):
    result = CliRunner().invoke(app, ["dashboard", "--home", str(tables.path), "--book", "mine"])
    assert isinstance(result.exception, BookError)
