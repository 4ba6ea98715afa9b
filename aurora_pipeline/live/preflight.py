"""Before the open: whether the session that comes can be traded, and everything its ticks will need.

Each check says what was found. A session whose checks fail is not stopped here: its ticks hold by their own rules. The point is
to hear of it while there is time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import uuid4

import polars as pl

from aurora_pipeline.adapters.book.book_store import BookStore
from aurora_pipeline.adapters.book.kill_switch import FileSwitch
from aurora_pipeline.adapters.clock import clock_of
from aurora_pipeline.adapters.home import Home
from aurora_pipeline.errors import AuroraError, BookError, LakeError, ModelError, SettingsError
from aurora_pipeline.execution.kill_switch import lifts_halt
from aurora_pipeline.execution.reconciliation import SHARE_TOLERANCE
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.live.alerting import tell
from aurora_pipeline.live.capital import capital_step
from aurora_pipeline.live.decision_log import decision_log
from aurora_pipeline.live.homes import extend_market
from aurora_pipeline.live.last_settings import settings_trouble
from aurora_pipeline.live.session_opening import BOOK, opening_of, reopen
from aurora_pipeline.live.tick import TickRunner
from aurora_pipeline.models.training_pipeline import load_trained
from aurora_pipeline.models.walk_forward import make_folds

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes
    ----------
    name : str
    passed : bool
    found : str
        What was found, or what is wrong and what to do.
    """

    name: str
    passed: bool
    found: str


def run_preflight(home: Home, session: date, train: Callable[[Home, str], None]) -> list[Check]:
    """Look at everything a session needs, fix its opening, and tell of what is wrong.

    Parameters
    ----------
    home : Home
    session : date
        Session that is about to open.
    train : callable
        Trains a fold that is due (:func:`aurora_pipeline.defs.session_jobs.train_fold`).
    """
    checks = [_checked("settings", lambda: _settings(home)), _checked("calendar", lambda: _calendar(home, session))]
    if all(check.passed for check in checks):
        home = extend_market(home, session)
        checks += [
            _checked("missed sessions", lambda: _catch_up(home, session)),
            _checked("data", lambda: _data(home, session)),
            _checked("disk", lambda: _disk(home)),
            _checked("clock", lambda: _clock(home)),
            _checked("training", lambda: _train_if_due(home, session, train)),
            _checked("opening", lambda: _opening(home, session)),
            _checked("models", lambda: _models(home, session)),
            _checked("book", lambda: _book(home, session)),
            _checked("kill switch", lambda: _kill_switch(home, session)),
            _checked("broker", lambda: _broker(home, session)),
            _checked("capital", lambda: _capital(home, session)),
        ]
    tell(home, [Alert("critical", f"preflight:{check.name}", check.found) for check in checks if not check.passed])
    return checks


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, passed=True, found=look())
    except AuroraError as error:
        return Check(name, passed=False, found=str(error))


def _settings(home: Home) -> str:
    if trouble := settings_trouble(home):
        raise SettingsError(trouble)
    settings = home.settings()
    return f"{len(settings.models.families)} families: {', '.join(settings.models.families)}"


def _calendar(home: Home, session: date) -> str:
    opened, closed = home.calendar.open(session), home.calendar.close(session)
    bars = len(home.calendar.bar_ends(session))
    return f"{session} from {opened:%H:%M} to {closed:%H:%M} UTC, {bars} bars"


def _catch_up(home: Home, session: date) -> str:
    """Settle sessions the service was down for: nothing was decided, positions stayed, the account goes on to their close."""
    held = home.lake.partitions("portfolio", book=BOOK)
    days = [day for day in home.sessions(home.settings()) if day < session and held and day.isoformat() >= held[-1]]
    store = BookStore(home.lake, BOOK)
    for day in days:
        newest = decision_log(home.path / "live", day).newest()
        if day.isoformat() not in held or newest not in {None, home.calendar.close(day)} or not store.ends(day):
            TickRunner(home, day).close()
    missed = [day for day in days if day.isoformat() not in held]
    return f"settled {', '.join(map(str, missed))} as skipped" if missed else "none"


def _data(home: Home, session: date) -> str:
    """The session before must be complete: its gaps become this one's."""
    before = home.calendar.shift(session, -1)
    quality = home.lake.read("data_quality", before, before)
    if quality.is_empty():
        raise LakeError(
            f"the lake has no bars of {before}; close that session (`aurora close`) or bring the home up to date"
        )
    alive = quality.filter(pl.col("present_bars") > 0)
    if alive.is_empty():
        raise LakeError(f"{before} has no bars: drop them into the inbox, then `aurora close --session {before}`")
    share = int(alive["missing_bars"].sum()) / max(1, int(alive["expected_bars"].sum()))
    limit = home.settings().quality.absent_share
    if share > limit:
        raise LakeError(
            f"{before} lacks {100 * share:.1f} % of its bars; quality.absent_share allows {100 * limit:.1f} %"
        )
    return f"{before}: {alive.height} symbols, {100 * share:.2f} % of bars absent"


def _disk(home: Home) -> str:
    free, reserve = shutil.disk_usage(home.path).free // _MEGABYTE, home.settings().live.disk_reserve_mb
    if free < 2 * reserve:
        raise LakeError(f"{free} MB free at {home.path}; free at least {2 * reserve}, twice live.disk_reserve_mb")
    return f"{free} MB free"


def _clock(home: Home) -> str:
    """The machine's clock against that of the disk the home lies on, which may be another machine's."""
    probe = home.path / f".clock-{uuid4().hex}"
    probe.touch()
    try:
        skew = abs(datetime.fromtimestamp(probe.stat().st_mtime, tz=UTC) - datetime.now(tz=UTC)).total_seconds()
    finally:
        probe.unlink()
    allowed = home.settings().live.clock_skew_seconds
    if skew > allowed:
        raise LakeError(
            f"this machine's clock and that of {home.path} differ by {skew:.0f} s; live.clock_skew_seconds is {allowed}"
        )
    return f"{skew:.2f} s between this machine and its disk"


def _opening(home: Home, session: date) -> str:
    """Fix the opening of what is there now: a look ahead on the evening before saw less."""
    reopen(home, session)
    opening = opening_of(home, session)
    calibrated = bool(opening.calibration["calibrated"].all())
    return f"{opening.weights.height} weights, calibrated: {calibrated}, {opening.volatility.height} names with a volatility"


def _train_if_due(home: Home, session: date, train: Callable[[Home, str], None]) -> str:
    """Train the families that have no model of this session's fold: on its first session, the monthly training."""
    settings = home.settings()
    fold = make_folds([day for day in home.sessions(settings) if day <= session], home.frequency, settings)[-1].key
    champions = home.champions()
    wanted = [family for family in settings.models.families if fold not in champions.get(family, {})]
    if wanted:
        train(home, fold)
    return f"fold {fold}: {'trained now' if wanted else 'trained before'}"


def _models(home: Home, session: date) -> str:
    """Every model that serves must load, its hashes match, and have been trained for this session's fold."""
    opening, settings = opening_of(home, session), home.settings()
    fold = make_folds([day for day in home.sessions(settings) if day <= session], home.frequency, settings)[-1].key
    champions = opening.champions
    for family, place in champions.directories.items():
        trained = load_trained(home.models / place)
        if champions.members[family] == family and trained.manifest["fold"] != fold:
            raise ModelError(
                f"{family} serves with the model of fold {trained.manifest['fold']}, {session} belongs to fold {fold}; run the "
                f"job train_fold for {fold}"
            )
    if champions.problems:
        raise ModelError("; ".join(champions.problems))
    if not champions.members:
        raise ModelError(f"no model trades {session}, the book closes its positions; see `aurora models list`")
    return f"{len(champions.members)} models of fold {fold} load, hashes match"


def _book(home: Home, session: date) -> str:
    """Positions of the state the book goes on from against those the ledger shows: what a broker would be asked for."""
    state = opening_of(home, session).state
    if state is None or state.session is None:
        return "starts flat"
    rows = home.lake.read("positions", state.session, state.session, book=BOOK)
    last = rows.filter(pl.col("decision_time") == home.calendar.close(state.session))
    shown = dict(last.select("instrument_id", "shares").iter_rows())
    held = {name: shares for name, shares in state.shares.items() if shares}
    if shown != held:
        names = sorted(name for name in {*shown, *held} if shown.get(name) != held.get(name))
        raise BookError(f"book {BOOK}: state and ledger of {state.session} differ in {', '.join(names[:5])}")
    if not state.complete:
        raise SettingsError(f"book {BOOK} ends within {state.session}; close that session first (`aurora close`)")
    return f"{len(held)} positions, NAV {state.nav:,.2f} USD, as in the ledger"


def _kill_switch(home: Home, session: date) -> str:
    """Whether orders may leave at the open."""
    state = FileSwitch(home.kill_switch_file).state(
        max(home.calendar.open(session), clock_of(home.path / "live").now())
    )
    if state.mode != "on":
        raise BookError(
            f"the kill switch says {state.mode} since {state.since}: {state.reason}; `aurora resume` trades again"
        )
    return "on"


def _broker(home: Home, session: date) -> str:
    """Positions the broker counts against the book's, and the orders of the last bar against those it was sent."""
    opening = opening_of(home, session)
    state = opening.state
    held = {name: shares for name, shares in state.shares.items() if shares} if state else {}
    theirs = opening.broker.positions
    if drift := sorted(
        name for name in {*held, *theirs} if abs(held.get(name, 0.0) - theirs.get(name, 0.0)) > SHARE_TOLERANCE
    ):
        shown = ", ".join(
            f"{name}: book {held.get(name, 0.0):g}, broker {theirs.get(name, 0.0):g}" for name in drift[:5]
        )
        raise BookError(f"book {BOOK} and broker differ in {len(drift)} name(s): {shown}; the session will take over what the "
                        "broker holds and halt until `aurora resume`")  # fmt: skip
    if state is not None and state.halted:
        switch = FileSwitch(home.kill_switch_file).state(home.calendar.open(session))
        if not lifts_halt(switch, datetime.fromisoformat(state.halted)):
            raise BookError(
                f"book {BOOK} is halted since {state.halted} by a difference to the broker; `aurora resume`"
            )
    pending = len(state.pending) if state else 0
    lost = pending - len(opening.broker.sent)
    return f"{len(theirs)} positions agree; {pending - lost} order(s) carried over" + (
        f", {lost} never sent" if lost else ""
    )


def _capital(home: Home, session: date) -> str:
    return capital_step(home, home.settings(), BOOK, session).text
