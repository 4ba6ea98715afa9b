"""Which stored partitions are missing or stale: the stages of :mod:`aurora_pipeline.stages` held against what the lake holds.

A stage's fingerprint of a partition is the hash of its name, the source of the code that makes it, the settings it reads and
the fingerprints of what it reads, back to the content of the market's files. It is stored inside the partition. A partition
is fresh if its stored fingerprint is the one that would be computed now; everything else is made again. The same declarations
give the edges of the asset graph, so the lineage on the screen is the lineage that is enforced.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.models.configuration_log import Configured, recorded_configurations
from aurora_pipeline.adapters.models.lifecycle_log import LifecycleLog
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.contracts import table
from aurora_pipeline.fingerprints import code_hash, derivation_hashes, joint_hash, settings_hash, told_by
from aurora_pipeline.market.folder import MarketFolder
from aurora_pipeline.models.stored_model import stored_fingerprint
from aurora_pipeline.models.walk_forward import Fold, make_folds
from aurora_pipeline.settings import Settings
from aurora_pipeline.stage import Read, Stage

TRAINED = "trained_model/"


class Lineage:
    """Fingerprints of one home under one set of settings.

    Parameters
    ----------
    home : Home
        Where partitions lie.
    settings : Settings
        Settings of the run.
    stages : sequence of Stage
        All stages, in order.
    book : str
        Branch the book's tables are written under.
    """

    def __init__(self, home: Home, settings: Settings, stages: Sequence[Stage], book: str) -> None:
        self.home = home
        self.settings = settings
        self.book = book
        self.sessions = home.sessions(settings)
        self.partitions = list(dict.fromkeys(partition_of(day, home.frequency) for day in self.sessions))
        self._position = {key: index for index, key in enumerate(self.partitions)}
        self._stages = {stage.name: stage for stage in stages}
        self._writer = {name: stage for stage in stages for name in stage.writes}
        self._feeds: dict[str, dict[str, str]] = {}
        self._memo: dict[tuple[str, str], str] = {}
        self._actual: dict[tuple[str, str], str] = {}
        self._seen: dict[tuple[str, str], str] = {}
        self._chains: dict[str, list[str]] = {}

    @cached_property
    def folds(self) -> list[Fold]:
        """Walk-forward folds of the span."""
        return make_folds(self.sessions, self.home.frequency, self.settings)

    @cached_property
    def reach(self) -> int:
        """Sessions the labels look ahead."""
        return max(read.sessions for stage in self._stages.values() for read in stage.reads if read.window == "ahead")

    def keys(self, stage: Stage) -> list[str]:
        """Every partition key (fold key, for a training stage) the stage can have."""
        if stage.by_fold:
            return [fold.key for fold in self.folds]
        return self.partitions[self._first_scored :] if stage.scored else self.partitions

    @cached_property
    def _folder(self) -> MarketFolder:
        return self.home.folder()

    @cached_property
    def _decisions(self) -> list[dict[str, Any]]:
        return LifecycleLog(self.home).lines()

    @cached_property
    def _configurations(self) -> list[Configured]:
        return recorded_configurations(self.home)

    @cached_property
    def _first_scored(self) -> int:
        return self._position[partition_of(self.folds[0].test_sessions[0], self.home.frequency)]

    def _applies(self, stage: Stage, key: str) -> bool:
        return not stage.scored or self._position[key] >= self._first_scored

    def desired(self, stage: Stage, key: str) -> str:
        """Fingerprint the partition (or fold) `key` of a stage would get if it and all before it were made now."""
        memo = (stage.name, key)
        if memo not in self._memo:
            self._memo[memo] = self._combine(stage, key, self._desired_of)
        return self._memo[memo]

    def actual(self, stage: Stage, key: str) -> str:
        """Fingerprint for a partition made now from what is stored, fresh or not.

        What is stored upstream is looked at once per instance: make a new one per step, and ask it before anything is read.
        """
        memo = (stage.name, key)
        if memo not in self._actual:
            self._actual[memo] = self._combine(stage, key, self._stored_of)
        return self._actual[memo]

    def unfinished(self, name: str, keys: Iterable[str]) -> list[str]:
        """Return the keys of which not every table is there that is written together with `name`."""
        return [key for key in keys if self.stored(self._writer[name], key) is None]

    def look_again(self, name: str, keys: Iterable[str]) -> None:
        """Forget what was seen of some partitions of a table that were not there yet."""
        for key in keys:
            self._seen.pop((self._writer[name].name, key), None)
        self._chains.clear()
        self._actual.clear()

    def content(self, stage: Stage, key: str) -> str:
        """Hash of everything stored that a partition made now would read, whichever stage reads it."""
        return joint_hash(*(f"{read.table}:{self._input(read, key, self._stored_of)}" for read in stage.reads))

    def stored(self, stage: Stage, key: str) -> str | None:
        """Fingerprint of what is stored; None where any of the stage's tables lacks the partition."""
        return _agreed(self._stored_table(name, key, stage) for name in stage.writes)

    def stale(self, stage: Stage, keys: Sequence[str]) -> list[str]:
        """Return the keys whose partition is missing or not what it would be now."""
        stored = self._stored_many(stage, keys)
        return [key for key in keys if stored[key] != self.desired(stage, key)]

    def _stored_many(self, stage: Stage, keys: Sequence[str]) -> dict[str, str | None]:
        """Fingerprints of many partitions of a stage, None as for :meth:`stored`."""
        if stage.by_fold:
            return {key: self.stored(stage, key) for key in keys}
        found = [self.home.lake.fingerprints(name, keys, **self._branches(name, stage)) for name in stage.writes]
        return {key: _agreed(table_of[key] for table_of in found) for key in keys}

    def _stored_table(self, name: str, key: str, stage: Stage) -> str | None:
        if stage.name.startswith(TRAINED):
            # A model that was withdrawn does not serve: its files alone are no trained model.
            place = self.home.champions().get(stage.name.partition("/")[2], {}).get(key)
            return stored_fingerprint(self.home.models / place) if place else None
        if "fold" in table(name).branches:
            return self.home.lake.fingerprint(name, None, fold=key)
        return self.home.lake.fingerprint(name, key, **self._branches(name, stage))

    def _branches(self, name: str, stage: Stage) -> dict[str, str]:
        """Branches a stage writes a table under, folds aside."""
        declared = table(name).branches
        values = {"model": stage.name.partition("/")[2], "book": self.book, "source": "bars"}
        return {branch: values[branch] for branch in declared}

    def _desired_of(self, stage: Stage, key: str) -> str:
        return self.desired(stage, key) if self._applies(stage, key) else ""

    def _stored_of(self, stage: Stage, key: str) -> str:
        if not self._applies(stage, key):
            return ""
        memo = (stage.name, key)
        if memo not in self._seen and not self.home.lake.on_disk and not stage.by_fold:
            # One listing for all of a stage's partitions instead of one for each.
            many = self._stored_many(stage, self.keys(stage))
            self._seen = {(stage.name, held): found or "absent" for held, found in many.items()} | self._seen
        if memo not in self._seen:
            self._seen[memo] = self.stored(stage, key) or "absent"
        return self._seen[memo]

    def _combine(self, stage: Stage, key: str, upstream: Callable[[Stage, str], str]) -> str:
        parts = [stage.name, code_hash(stage.code), settings_hash(self.settings, stage.settings), stage.configuration]
        parts += derivation_hashes(self.settings, stage.settings)
        parts += [f"{read.table}:{self._input(read, key, upstream)}" for read in stage.reads]
        return joint_hash("\n".join(parts))

    def _input(self, read: Read, key: str, upstream: Callable[[Stage, str], str]) -> str:
        if read.window == "feed":
            return self._feed(read.table).get(key, "")
        if read.window == "raw":
            return self._raw(self.partitions[: self._position[key] + 1])
        if read.window == "decisions":
            last = self._last(key)
            return joint_hash(
                *(json.dumps(line, sort_keys=True) for line in self._decisions if line["session"] <= f"{last}")
            )
        if read.window == "configurations":
            following = self.home.calendar.shift(self._last(key), 1)
            held = [entry for entry in self._configurations if entry.by(following)]
            return joint_hash(
                *(json.dumps([e.family, f"{e.session}", e.values, e.founding], sort_keys=True) for e in held)
            )
        if read.window == "model":
            served = [fold.key for fold in self.folds if key in self._partitions_of(fold.test_sessions)]
            return joint_hash(*(upstream(self._stages[read.table], fold) for fold in served))
        source = self._writer[read.table] if read.table in self._writer else self._stages[read.table]
        if read.window == "history":
            return self._chain(source, upstream)[self._position[key]]
        if read.window == "fold":
            fold = next(fold for fold in self.folds if fold.key == key)
            keys = self._partitions_of(fold.train_sessions)
            return self._chain(source, upstream, keys)[-1]
        if read.window == "same":
            return upstream(source, key)
        reach = -read.sessions if read.window == "back" else read.sessions
        return joint_hash(*(upstream(source, part) for part in self._around(key, reach)))

    def _last(self, key: str) -> date:
        return max(day for day in self.sessions if partition_of(day, self.home.frequency) == key)

    def _chain(self, source: Stage, upstream: Callable[[Stage, str], str], keys: Sequence[str] = ()) -> list[str]:
        """Running hash over partitions in order: the i-th entry covers everything up to the i-th."""
        memo = f"{source.name}:{upstream.__name__}"
        if not keys and memo in self._chains:
            return self._chains[memo]
        chain, digest = [], ""
        for key in keys or self.partitions:
            digest = joint_hash(digest, upstream(source, key))
            chain.append(digest)
        if not keys:
            self._chains[memo] = chain
        return chain

    def _around(self, key: str, reach: int) -> list[str]:
        """Partitions from `key` to the one `reach` sessions before its first or after its last session."""
        own = [index for index, day in enumerate(self.sessions) if partition_of(day, self.home.frequency) == key]
        low = max(0, own[0] + min(reach, 0))
        high = min(len(self.sessions) - 1, own[-1] + max(reach, 0))
        return self._partitions_of(self.sessions[low : high + 1])

    def _partitions_of(self, sessions: Sequence[date]) -> list[str]:
        return list(dict.fromkeys(partition_of(day, self.home.frequency) for day in sessions))

    def _raw(self, keys: Sequence[str]) -> str:
        folder = self._folder
        months = sorted({key[:7] for key in keys})
        return joint_hash(folder.content_hash("manifest"), *(folder.content_hash(f"bars/{month}") for month in months))

    def _feed(self, name: str) -> Mapping[str, str]:
        """Partition key to hash of everything the feed had told by that partition's last close."""
        if name not in self._feeds:
            closes = [self.home.calendar.close(day) for day in self.sessions]
            told = told_by(self.home.lake.read(name), closes)
            # The last session of a partition stands for it.
            self._feeds[name] = {
                partition_of(day, self.home.frequency): digest for day, digest in zip(self.sessions, told, strict=True)
            }
        return self._feeds[name]


def _agreed(found: Iterable[str | None]) -> str | None:
    """Return the one fingerprint all tables have; None where they differ or one has none."""
    distinct = set(found)
    return distinct.pop() if len(distinct) == 1 else None


def contiguous(keys: Sequence[str], axis: Sequence[str]) -> list[tuple[str, str]]:
    """Group keys into unbroken stretches of an axis: the ranges a run can be asked for."""
    stretches: list[tuple[str, str]] = []
    positions = sorted(bisect_left(axis, key) for key in keys)
    for position in positions:
        if stretches and bisect_left(axis, stretches[-1][1]) == position - 1:
            stretches[-1] = (stretches[-1][0], axis[position])
        else:
            stretches.append((axis[position], axis[position]))
    return stretches
