"""Which configuration each family has had from which session on, in a sealed log.

The first line of a family founds it: the family's own name stands for that configuration, and refits of it change nothing else.
A later line with other settings is a challenger's birth: it is trained, predicts in shadow and has to earn its place, while the
family's own model goes on as it was. To take a new configuration for the whole history instead is a person's choice
(`aurora run --replace-models`), which founds the family anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.lifecycle_log import next_session
from aurora_pipeline.adapters.storage.sealed_log import Line, SealedLog
from aurora_pipeline.errors import SettingsError
from aurora_pipeline.models.configuration import configuration
from aurora_pipeline.settings import Settings

LOG = "model_configurations.jsonl"


@dataclass(frozen=True)
class Configured:
    """One configuration of a family.

    Attributes
    ----------
    family : str
        Model family.
    session : date or None
        First session it is for; None from the start.
    values : dict
        Result of :func:`~aurora_pipeline.models.configuration.configuration`.
    founding : bool
        Whether the family's own name stands for it.
    """

    family: str
    session: date | None
    values: dict[str, Any]
    founding: bool

    def by(self, session: date) -> bool:
        """Whether it was there by a session."""
        return self.session is None or self.session <= session


def recorded_configurations(home: Home) -> list[Configured]:
    """Every configuration since its family was last founded, oldest first.

    Where several are for one session the last one counts, and one that the family had before is listed again: it is what the
    settings ask for from then on, but no other model.
    """
    found: dict[str, list[Configured]] = {}
    for line in SealedLog(home, LOG).lines():
        if line["configuration"] is None:
            found.pop(line["family"], None)
            continue
        session = date.fromisoformat(line["session"]) if line["session"] else None
        entry = Configured(line["family"], session, line["configuration"], line["founding"])
        history = [] if entry.founding else found[entry.family]
        found[entry.family] = [*(one for one in history if one.founding or one.session != session), entry]
    return [entry for history in found.values() for entry in history]


def own_configurations(home: Home, settings: Settings) -> dict[str, Configured]:
    """What each family's own name stands for; the settings in force where nothing is recorded."""
    recorded = {entry.family: entry for entry in recorded_configurations(home) if entry.founding}
    return {
        family: recorded.get(family, Configured(family, None, configuration(family, settings.models), founding=True))
        for family in settings.models.families
    }


def new_configurations(entries: Sequence[Configured]) -> list[Configured]:
    """Those that are another model than the family's own and than any before."""
    known: dict[str, list[dict[str, Any]]] = {}
    found = []
    for entry in entries:
        before = known.setdefault(entry.family, [])
        if not entry.founding and entry.values not in before:
            found.append(entry)
        before.append(entry.values)
    return found


def asked_for(entries: Sequence[Configured], family: str, session: date, settings: Settings) -> dict[str, Any]:
    """Configuration the settings asked for by a session; those in force where nothing is recorded."""
    held = [entry.values for entry in entries if entry.family == family and entry.by(session)]
    return held[-1] if held else configuration(family, settings.models)


def require_named_families(home: Home, settings: Settings, *, replace: bool = False) -> list[str]:
    """Families on record that the settings do not name, which may be only where history is made again or none trades yet.

    Raises
    ------
    SettingsError
        A family that has states is no longer named: it would vanish from history.
    """
    gone = sorted({entry.family for entry in recorded_configurations(home)} - set(settings.models.families))
    if gone and not replace and home.lake.partitions("model_states"):
        raise SettingsError(
            f"models.families no longer names {', '.join(gone)}, whose scores this home's history rests on; keep the name "
            f"and retire it (`aurora models retire {gone[0]} --reason ...`), or have history made again without it "
            "(`aurora run --replace-models`)"
        )
    return gone


def note_configurations(home: Home, settings: Settings, *, replace: bool = False) -> list[str]:
    """Record what the settings ask of each family now; nothing is written where that is what is recorded already.

    Before any state is stored nothing trades, so a changed configuration founds its family anew.

    Parameters
    ----------
    home : Home
        With its market recorded.
    settings : Settings
        In force.
    replace : bool
        Found every changed family anew: history is made again with the new configuration.

    Returns
    -------
    list of str
        What became a challenger, for a person to read.

    Raises
    ------
    SettingsError
        A family that has states is no longer named: it would vanish from history.
    """
    wanted = {family: configuration(family, settings.models) for family in settings.models.families}
    trades = not replace and bool(home.lake.partitions("model_states"))
    following = next_session(home, datetime.now(tz=UTC), None) if trades else None

    def more(_: list[Line]) -> list[Line]:
        entries = recorded_configurations(home)
        gone = require_named_families(home, settings, replace=replace)
        # A home from before there was this log is founded as it stands.
        begins = following.isoformat() if following and entries else None
        newest = {entry.family: entry.values for entry in entries if entry.founding or not replace}
        changed = {family: values for family, values in wanted.items() if newest.get(family) != values}
        return [
            {
                "session": begins,
                "family": family,
                "configuration": values,
                "founding": begins is None or family not in newest,
                "written_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
            }
            for family, values in [*changed.items(), *((family, None) for family in gone)]
        ]

    added = SealedLog(home, LOG).append(more)
    return [
        f"{line['family']}: "
        + (
            f"a new family, a candidate from {line['session']} on"
            if line["founding"]
            else f"its settings changed; the new configuration is a challenger from {line['session']} on, the old one goes on"
        )
        for line in added
        if line["session"] is not None
    ]
