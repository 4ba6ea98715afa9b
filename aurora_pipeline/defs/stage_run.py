"""What every partitioned asset body shares: which sessions, read with look-back, write with fingerprints, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg
import polars as pl

from aurora_pipeline.adapters.home import Home
from aurora_pipeline.adapters.progress import report
from aurora_pipeline.adapters.storage.lake import partition_of
from aurora_pipeline.calendar import BARS_PER_SESSION
from aurora_pipeline.errors import LakeError
from aurora_pipeline.lineage import Lineage
from aurora_pipeline.stage import Stage
from aurora_pipeline.stages import block_sessions, book_name, plan_stages

BLOCKED = "blocked"
_GRACE_SECONDS = 30.0
"""How long a look-back may be missing before anybody is seen to work on it: two ranges are rarely started in one instant."""
_WAIT_SECONDS = 600.0
"""How long it may be missing while somebody is at work."""
_POLL_SECONDS = 0.5
_ACTIVE = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED)


class StageRun:
    """One step of one run: a stage over a range of partitions.

    Parameters
    ----------
    context : dagster.AssetExecutionContext
        Of the asset being materialised.
    home : Home
        The installation.
    name : str
        Stage, see :mod:`aurora_pipeline.stages`.
    beside : StageRun, optional
        Of another stage in the same step, whose reads are this one's too.

    Notes
    -----
    Fingerprints are taken before anything is read. What is corrected upstream while the step computes therefore leaves its
    partitions stale, never fresh with numbers of before.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, home: Home, name: str, beside: StageRun | None = None
    ) -> None:
        self.context = context
        self.home = home
        self.settings = home.settings()
        stages = plan_stages(home, self.settings)
        lineage = None if beside is None else beside.lineage
        self.lineage: Lineage = lineage or Lineage(home, self.settings, stages, book_name(self.settings))
        self.stage: Stage = next(stage for stage in stages if stage.name == name)
        self.keys = self._keys_inside_the_market(context.partition_keys)
        self.fingerprints(self.keys)
        self.sessions = home.sessions_of(self.keys, self.settings)
        self.rows = 0
        self._written: list[tuple[str, str, dict[str, str]]] = []
        self._started = time.perf_counter()

    def _keys_inside_the_market(self, keys: Sequence[str]) -> list[str]:
        possible = set(self.lineage.keys(self.stage))
        inside = [key for key in keys if key in possible]
        own = self.lineage.keys(self.stage)
        for key in (key for key in keys if key not in possible):
            # Dagster counts every partition of a range as materialised, made or not.
            why = f"nothing is stored: {self.stage.name} begins with {own[0]} and ends with {own[-1]}"
            for asset in self.context.selected_asset_keys:
                self.context.add_asset_metadata({"not_made": why}, asset_key=asset, partition_key=key)
        if not inside:
            raise LakeError(
                f"{self.stage.name}: none of the partitions asked for ({keys[0]} to {keys[-1]}) can be made; this market "
                f"and these settings give {own[0]} to {own[-1]}"
            )
        return inside

    @property
    def scored_from(self) -> date:
        """First session of the first walk-forward fold."""
        return self.lineage.folds[0].test_sessions[0]

    def blocks(self, size: int | None = None) -> Iterator[tuple[list[str], list[date]]]:
        """Go through the blocks of :meth:`cut`, reporting progress after each."""
        done = 0
        for keys, sessions in self.cut(size):
            yield keys, sessions
            done += len(sessions)
            report(self.stage.name, done, len(self.sessions))

    def cut(self, size: int | None = None) -> list[tuple[list[str], list[date]]]:
        """Cut the range into blocks of whole partitions of about `size` sessions.

        Without a size as many as fit: fewer the more names and bars the market has.
        """
        if size is None:
            names = self.home.folder().universe().get_column("symbol").n_unique()
            size = block_sessions(names, BARS_PER_SESSION[self.home.frequency])
        by_key: dict[str, list[date]] = {}
        for day in self.sessions:
            by_key.setdefault(partition_of(day, self.home.frequency), []).append(day)
        blocks: list[tuple[list[str], list[date]]] = []
        for key, days in by_key.items():
            if not blocks or len(blocks[-1][1]) >= size:
                blocks.append(([], []))
            blocks[-1][0].append(key)
            blocks[-1][1].extend(days)
        return blocks

    def before(self, session: date, count: int) -> date | None:
        """Return the session `count` sessions before, or the market's first; None if there is nothing before."""
        index = self.lineage.sessions.index(session)
        return self.lineage.sessions[max(0, index - count)] if index else None

    def after(self, session: date, count: int) -> date:
        """Return the session `count` sessions after, or the market's last."""
        index = self.lineage.sessions.index(session)
        return self.lineage.sessions[min(len(self.lineage.sessions) - 1, index + count)]

    def read_back(
        self, name: str, sessions: Sequence[date], count: int, columns: Sequence[str] | None = None, **branches: str
    ) -> pl.DataFrame:
        """Read a table over `sessions` and the `count` sessions before them.

        Raises
        ------
        LakeError
            A session looked back to was never computed; a silent gap would look like missing data.
        """
        first = self.require(name, sessions, count, **branches)
        return self.home.lake.read(name, first, sessions[-1], columns, **branches)

    def require(self, name: str, sessions: Sequence[date], count: int, **branches: str) -> date:
        """Wait until a table is there over `sessions` and the `count` sessions before them; returns the first of those.

        Raises
        ------
        LakeError
            As for :meth:`read_back`.
        """
        first, last = self.before(sessions[0], count) or sessions[0], sessions[-1]
        wanted = {partition_of(day, self.home.frequency) for day in self.lineage.sessions if first <= day <= last}
        waited = 0.0
        awaited: set[str] = set()
        while missing := (
            sorted(wanted - set(self.home.lake.partitions(name, **branches)))
            or self.lineage.unfinished(name, sorted(awaited))
        ):
            if waited >= _WAIT_SECONDS or (waited >= _GRACE_SECONDS and not self._others_at_work()):
                raise LakeError(
                    f"{self.stage.name} of {self.sessions[0]} to {self.sessions[-1]} looks back to {name} of "
                    f"{missing[0]} to {missing[-1]}, which the lake does not have; materialise those first "
                    "(`aurora run` does what is missing, in order)"
                )
            awaited |= set(missing)
            time.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
        if awaited:
            self.lineage.look_again(name, awaited)
            self.fingerprints(self.keys)
        return first

    def _others_at_work(self) -> bool:
        active = self.context.instance.get_runs(filters=dg.RunsFilter(statuses=list(_ACTIVE)))
        return any(run.run_id != self.context.run_id for run in active)

    def fingerprints(self, keys: Sequence[str]) -> dict[str, str]:
        """Fingerprint of each partition about to be written."""
        return {key: self.lineage.actual(self.stage, key) for key in keys}

    def write(
        self, name: str, frame: pl.DataFrame, keys: Sequence[str], asset: str | None = None, **branches: str
    ) -> None:
        """Write partitions and attach row and null counts to the asset's materialisation of each."""
        written = self.home.lake.write_sessions(name, frame, self.fingerprints(keys), **branches)
        for key, part in written.items():
            self.note(name, key, part.height, asset, nulls=sum(part.null_count().row(0)), **branches)

    def note(
        self, name: str, key: str, rows: int, asset: str | None = None, nulls: int | None = None, **branches: str
    ) -> None:
        """Attach a written partition's row (and null) count to the materialisation of its asset."""
        self.rows += rows
        self._written.append((name, key, branches))
        metadata = {"rows" if asset in {None, name} else f"rows_{name}": rows}
        metadata |= {} if nulls is None else {"nulls": nulls}
        self.context.add_asset_metadata(metadata, asset_key=asset or self.context.asset_key, partition_key=key)

    def check(
        self, name: str, violations: pl.DataFrame, description: str, asset: str | dg.AssetKey | None = None
    ) -> dg.AssetCheckResult:
        """Turn a table of violations into a check result; where there are any, what was written counts as not made.

        The partitions stay readable, so that one can look at what is wrong, but nothing downstream treats them as fresh.
        """
        if not violations.is_empty():
            for table_name, key, branches in self._written:
                self.home.lake.restamp(table_name, key, fingerprint=BLOCKED, **branches)
        return check_result(name, violations, description, asset)

    def summary(self) -> dict[str, float | int]:
        """Numbers for the whole materialisation."""
        seconds = time.perf_counter() - self._started
        return {"sessions": len(self.sessions), "total_rows": self.rows, "latency_ms": round(seconds * 1000, 1)}


def check_result(
    name: str,
    violations: pl.DataFrame,
    description: str,
    asset: str | dg.AssetKey | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Turn a table of violations into a check result that shows the first of them, where there are any."""
    metadata: dict[str, dg.RawMetadataValue] = {"violations": violations.height}
    if not violations.is_empty():
        metadata["first"] = dg.MetadataValue.json([_plain(row) for row in violations.head(20).to_dicts()])
    return dg.AssetCheckResult(
        passed=violations.is_empty(),
        check_name=name,
        asset_key=asset,
        severity=severity,
        description=description if violations.is_empty() else f"{violations.height} violation(s): {description}",
        metadata=metadata,
    )


def _plain(row: dict[str, object]) -> dict[str, str | int | float | bool | None]:
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value) for key, value in row.items()
    }
