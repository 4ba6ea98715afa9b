"""`aurora live` and what goes with it: serve a home, replay a session, check on it, close a day."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import (
    HomeOption,
    err,
    existing_home,
    marked,
    opened_home,
    out,
    print_table,
    require_free_port,
    verdict,
)
from aurora_pipeline.errors import LakeError, SettingsError

if TYPE_CHECKING:
    from aurora_pipeline.adapters.home import Home
    from aurora_pipeline.live.decision_log import Settled
    from aurora_pipeline.serving.service import Service

SHOWN = 20
RunningSession = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The running one, or the last that ended, if left out.")
]
Port = Annotated[int, typer.Option(help="Port of the UI on loopback.")]


def live(
    home: HomeOption = None,
    replay: Annotated[
        Path | None, typer.Option(help="Market folder whose past session is replayed, instead of trading now.")
    ] = None,
    session: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Past session, which a replay needs.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Session minutes per minute of a replay.", min=0.1)] = 30.0,
    bars: Annotated[int | None, typer.Option(help="Replay only the first so many bars.", min=1)] = None,
    replay_home: Annotated[
        Path | None, typer.Option(help="Home of the replay; `<home>/replays/<session>` if left out. Made anew.")
    ] = None,
    port: Port = 3000,
    stay: Annotated[bool, typer.Option("--stay/--exit", help="Keep the UI open after a replay.")] = True,
    feed: Annotated[
        list[str] | None,
        typer.Option(help="alpaca, edgar or finra; repeatable. Without one the inbox is filled by others."),
    ] = None,
    tape: Annotated[str, typer.Option(help="iex or sip, of alpaca.")] = "iex",
) -> None:
    """Trade bar by bar from the inbox, supervised; or replay a past session the same way."""
    from aurora_pipeline.live.homes import make_live
    from aurora_pipeline.serving.service import Service

    opened = opened_home(home)
    opened.require_local("the live book")
    require_free_port(port)
    if replay is None and (session is not None or bars is not None or replay_home is not None):
        raise SettingsError(
            "--session, --bars and --replay-home belong to a replay: give --replay MARKET, or leave them out to trade now"
        )
    if replay is None:
        opened = make_live(opened)
        with Service(opened, port, "live", _checked_feeds(opened, feed or [], tape)).running() as service:
            out.print(f"inbox {opened.path / 'inbox'}; UI on http://127.0.0.1:{port}; Ctrl-C ends it", highlight=False)
            _serve(service)
        return
    if session is None:
        raise SettingsError("--replay needs --session YYYY-MM-DD: the session to replay")
    _replay(opened, replay, session.date(), speed, bars, replay_home, port, stay=stay)


def _checked_feeds(home: Home, names: Sequence[str], tape: str) -> list[str]:
    """Return what the service is to run, after making each feed once: keys and tape are wrong now or not at all."""
    from aurora_pipeline.adapters.feeds.vendors import vendor_feeds
    from aurora_pipeline.adapters.live_market import live_folder
    from aurora_pipeline.adapters.vendors.alpaca import known_tape
    from aurora_pipeline.market.folder import MarketFolder

    for name in names:
        vendor_feeds(name, MarketFolder.open(live_folder(home)), datetime.now(tz=UTC), known_tape(tape))
    return [f"{name} {tape}" for name in names]


def _replay(
    source: Home,
    market: Path,
    session: date,
    speed: float,
    bars: int | None,
    target: Path | None,
    port: int,
    *,
    stay: bool,
) -> None:
    from aurora_pipeline.adapters.feeds.replayer import Replayer
    from aurora_pipeline.live.homes import make_replay
    from aurora_pipeline.live.replay import replay_session
    from aurora_pipeline.market.folder import MarketFolder
    from aurora_pipeline.serving.service import Service

    if not source.market_file.exists():
        raise source.without_market()
    folder = MarketFolder.open(market)
    if folder.manifest.name != source.market().name:
        raise LakeError(
            f"home {source.path} holds market {source.market().name}, not {folder.manifest.name}; bring one up to date on that "
            f"market first (`aurora run --market {market} --home ...`)"
        )
    feed = Replayer(folder, session)
    home = make_replay(source, session, (target or source.path / "replays" / session.isoformat()).absolute())
    with Service(home, port, "replay").running() as service:
        out.print(f"replay of {session} in {home.path}; UI on http://127.0.0.1:{port}", highlight=False)
        if not service.wait(service.ready, 120.0):
            raise LakeError(f"the UI did not come up within two minutes; look at {home.path / 'live' / 'logs'}")
        settled = replay_session(home, session, [feed], service.wait, speed=speed, bars=bars, told=_tell_bar)
        decided = sum(each.status == "decided" for each in settled)
        out.print(f"{len(settled)} bars: {decided} decided, {len(settled) - decided} skipped", highlight=False)
        if bars is None:
            _print_close(home, session)
        if stay:
            out.print("Ctrl-C ends it")
            _serve(service)


def close(home: HomeOption = None, session: RunningSession = None) -> None:
    """End a day that is over: settle what is left, make it again, compare, mature labels, prune. Exit code 1 if it differs."""
    from aurora_pipeline.adapters.clock import clock_of
    from aurora_pipeline.live.homes import require_live

    opened = existing_home(home)
    require_live(opened)
    now = clock_of(opened.path / "live").now()
    if not _print_close(opened, session.date() if session else opened.calendar.running_session(now)):
        raise typer.Exit(1)


def _print_close(home: Home, session: date) -> bool:
    from aurora_pipeline.defs.session_jobs import close_day

    report = close_day(home, session)
    out.print(
        f"{session}: {report['decided']} bars decided, {report['skipped']} skipped; parity: "
        f"{report['differences']} value(s) differ from a session made in one go, "
        f"{report['backfill_differences']} from the backfill",
        highlight=False,
    )
    if report["backfill_blocked"]:
        err.print(f"the assets refused the session: {report['backfill_blocked']}", highlight=False)
    for row in report["first_differences"]:
        err.print(str(row), highlight=False)
    return not (report["differences"] or report["backfill_differences"] or report["backfill_blocked"])


def parity(home: HomeOption = None, session: RunningSession = None) -> None:
    """Compare a live session, also one that runs, with the same session made in one go. Exit code 1 if it differs."""
    from aurora_pipeline.adapters.clock import clock_of
    from aurora_pipeline.live import parity as comparison
    from aurora_pipeline.live.homes import require_live

    opened = existing_home(home)
    require_live(opened)
    day = session.date() if session else opened.calendar.running_session(clock_of(opened.path / "live").now())
    found = comparison.parity(opened, day)
    out.print(f"{day}: {found.height} value(s) differ from the session made in one go", highlight=False)
    for row in found.head(SHOWN).iter_rows(named=True):
        err.print(str(row), highlight=False)
    if not found.is_empty():
        raise typer.Exit(1)


def preflight(
    home: HomeOption = None,
    session: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The running or coming one if left out.")
    ] = None,
) -> None:
    """Look before the open whether the session can be traded; exit code 1 if not."""
    from aurora_pipeline.adapters.clock import clock_of
    from aurora_pipeline.defs.session_jobs import train_fold
    from aurora_pipeline.live.preflight import run_preflight

    opened = existing_home(home)
    day = session.date() if session else opened.calendar.session_of(clock_of(opened.path / "live").now())
    checks = run_preflight(opened, day, train_fold)
    table = Table("check", "", "what was found")
    for check in checks:
        table.add_row(check.name, "ok" if check.passed else verdict("no"), check.found)
    print_table(table)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def health(home: HomeOption = None) -> None:
    """Tell whether the loop is alive, without it: for cron, as a dead-man check. Exit code 1, and an alert, if not."""
    from aurora_pipeline.live.health import check_health

    found = check_health(existing_home(home))
    for alert in found:
        err.print(marked(alert.severity, alert.text), soft_wrap=True)
    if found:
        raise typer.Exit(1)
    out.print("alive")


def _serve(service: Service) -> None:
    try:
        while True:
            service.look()
            time.sleep(0.5)
    except KeyboardInterrupt:
        out.print("ended")


def _tell_bar(settled: Settled, seconds: float) -> None:
    took = f"{seconds:.1f} s" if settled.status == "decided" else settled.reason
    when: datetime = settled.bar_end
    out.print(f"{when:%H:%M} UTC  {settled.status}  {took}", highlight=False)
