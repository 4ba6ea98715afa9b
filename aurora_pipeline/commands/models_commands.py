"""`aurora models`: who trades and why; promote, retire, roll back.

What a person decides holds from the open of the next session that has not begun; the running session is never touched.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.table import Table

from aurora_pipeline.commands.terminal import HomeOption, NewestSession, existing_home, market_named, out, print_table

if TYPE_CHECKING:
    from aurora_pipeline.adapters.home import Home
    from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision

models = typer.Typer(help="Who trades and why; promote, retire, roll back.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Model, as `aurora models list` names it.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept for ever.")]
From = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], help="First session it holds; the next one if left out."),
]


@models.command(name="list")
def list_(home: HomeOption = None, session: NewestSession = None) -> None:
    """States of a session, the newest stored one if left out, with the evidence and the files that serve."""
    from aurora_pipeline.adapters.models.champion_set import read_champion_set

    opened = existing_home(home)
    states = _states(opened, session.date() if session else None)
    table = Table("model", "state", "since", "sessions", "IC", "IC > 0", "IC too low", "gain", "decided by", "why")
    for row in states.sort("family", "model").iter_rows(named=True):
        evidence = [
            _number(row["skill_evidence"]),
            _against(row["retirement_evidence"], row["retirement_threshold"]),
            _against(row["gain_evidence"], row["promotion_threshold"]),
        ]
        table.add_row(
            row["model"],
            row["state"],
            str(row["since"]),
            str(row["matured_sessions"]),
            "" if row["information_coefficient"] is None else f"{row['information_coefficient']:.4f}",
            *evidence,
            row["decided_by"],
            row["reason"],
        )
    session_of = f"{market_named(opened)}, session {states.get_column('session')[0]}"
    out.print(f"{session_of}; evidence / threshold in natural logarithms", highlight=False)
    print_table(table)
    champions, problems = read_champion_set(opened)
    for champion in champions:
        out.print(f"{champion.family}: {champion.version} from models/{champion.directory}", highlight=False)
    if not champions:
        out.print("no model trades: the book takes no new positions", style="bold red")
    for problem in problems:
        out.print(problem, style="bold red", highlight=False)


@models.command()
def history(
    home: HomeOption = None,
    at: Annotated[datetime | None, typer.Option(help="Bar end in UTC; all changes if left out.")] = None,
) -> None:
    """Every change of state, or which version of each family served one bar."""
    from aurora_pipeline.monitoring.served_states import state_changes

    opened = existing_home(home)
    if at is not None:
        served = _served_at(opened, at.replace(tzinfo=UTC))
        table = Table("family", "model", "version")
        for row in served.iter_rows():
            table.add_row(*row)
        print_table(table)
        return
    changes = state_changes(opened.lake.read("model_states"))
    table = Table("session", "model", "state", "decided by", "why")
    for row in changes.select("session", "model", "state", "decided_by", "reason").iter_rows():
        table.add_row(*(str(cell) for cell in row))
    print_table(table)


@models.command()
def promote(model: Name, reason: Why, home: HomeOption = None, from_: From = None) -> None:
    """Make a model the champion of its family from the next session on."""
    _decide(existing_home(home), "promote", model, reason, from_)


@models.command()
def retire(model: Name, reason: Why, home: HomeOption = None, from_: From = None) -> None:
    """Take a model out from the next session on."""
    _decide(existing_home(home), "retire", model, reason, from_)


@models.command()
def rollback(
    family: Annotated[str, typer.Argument(help="Family whose former champion comes back.")],
    reason: Why,
    home: HomeOption = None,
    from_: From = None,
) -> None:
    """Bring a family's former champion back from the next session on."""
    _decide(existing_home(home), "rollback", family, reason, from_)


def _decide(opened: Home, kind: str, model: str, reason: str, from_: datetime | None) -> None:
    from aurora_pipeline.adapters.clock import clock_of
    from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog, next_session, user_name
    from aurora_pipeline.errors import ModelError
    from aurora_pipeline.live.session_opening import reopen
    from aurora_pipeline.monitoring.lifecycle_decisions import LifecycleDecision

    session = next_session(opened, clock_of(opened.path / "live").now(), from_.date() if from_ else None)
    states = _states(opened, None)
    known = states.get_column("family" if kind == "rollback" else "model").unique().sort().to_list()
    if model not in known:
        raise ModelError(f"no {'family' if kind == 'rollback' else 'model'} {model!r}; there are {', '.join(known)}")
    if kind == "rollback":
        _check_rollback(opened, model, session)
        model = states.filter(pl.col("family") == model).sort("trial").get_column("model")[0]
    if kind == "promote" and _reigns(opened, model, session):
        out.print(
            f"{model} already is the champion of its family before {session}: nothing was recorded", highlight=False
        )
        return
    decision: LifecycleDecision = LifecycleDecision(session, kind, model, user_name(), reason)  # type: ignore[arg-type]
    LifecycleLog(opened).append(decision)
    out.print(f"{kind} {model}: holds from the open of {session} on; states follow with the next run", highlight=False)
    if opened.market().live and reopen(opened, session):
        out.print(
            f"what {session} opens with had been fixed and is made anew with it; `aurora preflight` looks at it again",
            highlight=False,
        )


def _reigns(opened: Home, model: str, session: date) -> bool:
    """Whether a model is the champion of its family when a session begins, and nothing decided so far says otherwise."""
    from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog

    states = opened.lake.read("model_states").filter(pl.col("session") < session)
    newest = states.filter(pl.col("session") == pl.col("session").max())
    own = newest.filter(pl.col("model") == model)
    if own.is_empty() or own["state"][0] != "champion":
        return False
    rivals = set(states.filter(pl.col("family") == own["family"][0]).get_column("model"))
    return not any(
        said.model in rivals and said.session > own["session"][0] for said in LifecycleLog(opened).decisions()
    )


def _check_rollback(opened: Home, family: str, session: date) -> None:
    from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog
    from aurora_pipeline.errors import ModelError
    from aurora_pipeline.monitoring.lifecycle_decisions import nothing_at_hand
    from aurora_pipeline.monitoring.standings import withdrawn

    states = opened.lake.read("model_states").filter(pl.col("family") == family, pl.col("session") < session)
    newest = states.filter(pl.col("session") == states.get_column("session").max())
    current = set(newest.filter("serves").get_column("model"))
    last_served = states.filter("serves").group_by("model").agg(pl.col("session").max()).sort("session", "model")
    newest_service = dict(last_served.iter_rows())
    # A promotion that was decided but has not been run yet counts as well.
    promised = {
        said.model
        for said in LifecycleLog(opened).decisions()
        if said.kind == "promote" and said.session < session and newest_service.get(said.model, date.min) < said.session
    } & set(states.get_column("model"))
    former = [name for name in last_served.get_column("model") if name not in current]
    if not former and not promised - current:
        raise ModelError(f"family {family} never had another champion before {session}: nothing to roll back to")
    retired = {
        row["model"]: row["reason"] for row in newest.iter_rows(named=True) if withdrawn(row["state"], row["reason"])
    }
    if not promised and set(former) <= set(retired):
        raise ModelError(nothing_at_hand(family, {name: retired[name] for name in former}))


def _states(opened: Home, session: date | None) -> pl.DataFrame:
    from aurora_pipeline.errors import LakeError

    states = opened.lake.read("model_states", session, session)
    if states.is_empty():
        raise LakeError(
            f"home {opened.path} has no model states{f' of {session}' if session else ''}; `aurora run` makes them"
        )
    return states.filter(pl.col("session") == pl.col("session").max())


def _served_at(opened: Home, moment: datetime) -> pl.DataFrame:
    """Family, model and version whose scores of a bar entered the ensemble, from the rows themselves."""
    from aurora_pipeline.adapters.models.zoo import champion_sets, read_served
    from aurora_pipeline.errors import LakeError

    day = moment.date()
    ((_, members),) = champion_sets(opened.lake.read("model_states", day, day), [day])
    rows = read_served(opened, members, day, day).filter(pl.col("decision_time") == moment)
    if rows.is_empty():
        raise LakeError(f"no model served {moment:%Y-%m-%d %H:%M} UTC: give the end of a bar of a scored session")
    served = rows.select("model", "model_version").unique().sort("model")
    names = pl.Series([members[family] for family in served.get_column("model")], dtype=pl.String)
    return served.select(
        pl.col("model").alias("family"), names.alias("model"), pl.col("model_version").alias("version")
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _against(value: float | None, threshold: float | None) -> str:
    return "" if value is None or threshold is None else f"{value:.2f} / {threshold:.2f}"
