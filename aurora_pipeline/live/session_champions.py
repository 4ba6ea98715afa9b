"""Who trades a session that is about to open: the champion set, decided before its open, and the files that serve.

States follow from the same function as in a backfill (:mod:`aurora_pipeline.adapters.models.champions_in_force`). Then the
files of each champion are looked at: a family whose files are not what was written serves with its last good version, and
without one it does not trade. A family whose training failed sits the fold out; where no family has been trained for it all trade
with the fold before. Where no family is left the book goes flat. Whatever is not as it should be becomes an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.champion_set import read_champion_set, write_champion_set
from aurora_pipeline.adapters.models.champions_in_force import health_at_open, states_of_zoo
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.live.alert import Alert
from aurora_pipeline.settings import Settings

FINGERPRINT = "live"
"""What partitions of a running session carry: never fresh, so that the end of day makes them again."""


@dataclass(frozen=True)
class SessionChampions:
    """What trades one session.

    Attributes
    ----------
    members : dict of str to str
        Family to the name of the model that serves.
    directories : dict of str to str
        Family to the directory of its files, relative to `models/`.
    problems : tuple of str
        Families that had to fall back or drop out, or that trade with the model of an earlier fold; one line each.
    ignored : tuple of str
        Decisions of persons for this session that could not be carried out, each with the reason.
    """

    members: dict[str, str]
    directories: dict[str, str]
    problems: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def alerts(self, session: date) -> list[Alert]:
        """What somebody should hear of."""
        found = [Alert("warning", f"champion:{text.partition(':')[0]}", text) for text in self.problems]
        found += [
            Alert("warning", "decision", f"not carried out: {text}; see `aurora models list`") for text in self.ignored
        ]
        if not self.members:
            text = f"{session}: no model trades, the book closes its positions; see `aurora models list`"
            found.append(Alert("critical", "no_champion", text))
        return found


def states_before(home: Home, settings: Settings, axis: Sequence[date]) -> tuple[pl.DataFrame, list[str]]:
    """Compute table `model_states` of the last session of an axis from what the lake holds of the sessions before.

    Decisions of persons for that session that could not be carried out come with it.

    Parameters
    ----------
    home : Home
    settings : Settings
    axis : sequence of date
        Sessions from the first scored one to the wanted one.
    """
    states, ignored = states_of_zoo(home, settings, axis, health_at_open(home, settings, axis))
    own = [text for text in ignored if f" from {axis[-1]}: " in text]
    return states.filter(pl.col("session") == axis[-1]), own


def choose_champions(home: Home, settings: Settings, axis: Sequence[date]) -> SessionChampions:
    """Decide who trades the last session of an axis, record it as table `model_states` and champion set, and check the files.

    Parameters as in :func:`states_before`.
    """
    session = axis[-1]
    states, ignored = states_before(home, settings, axis)
    key = partition_of(session, home.frequency)
    home.lake.write("model_states", states, key, fingerprint=FINGERPRINT)
    write_champion_set(home, states, session)
    champions, problems = read_champion_set(home)
    day, told = session.isoformat(), {text.partition(":")[0] for text in problems}
    problems += [
        f"{champion.family}: the fold of {day} has not been trained; trades with {champion.version}, run the job train_fold"
        for champion in champions
        if champion.model == champion.family
        and champion.family not in told
        and not day.startswith(champion.directory.rpartition("/")[2])
    ]
    return SessionChampions(
        {champion.family: champion.model for champion in champions},
        {champion.family: champion.directory for champion in champions},
        tuple(problems),
        tuple(ignored),
    )
