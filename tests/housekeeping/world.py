"""A lake that grows day by day on a clock of its own, without Java: real tables and files.

Day 0 is 2025-12-31. On a day, commits bear that day's time, and so do the files that they write:
pyiceberg asks the host's clock, which stands at the day while the block `on` runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from batch.housekeeping.run import run
from batch.jobs.context import Context
from batch.jobs.tasks import Runner
from batch.lake import arrow_columns, generations, snapshots, tables
from batch.lake.cursor import Cursor, Landed
from batch.lake.data_file_writer import target_of, write
from batch.lake.data_files import live_files
from batch.lake.guarded_commit import commit
from batch.lake.needed_files import NeededFiles, of_metadata
from batch.lake.stored_files import listed
from batch.lake.tables import EMA, RAW
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import generation_id, ref_name
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, start_run
from tests.generations import blocks_of, publish, random_events
from tests.integration.history import START
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of

DAY0_MS = START - DAY_MS
NOON_MS = DAY_MS // 2
RETAIN_MS = {"gen": 90 * DAY_MS, "src": 90 * DAY_MS, "audit": 14 * DAY_MS}
TABLES = (RAW, EMA, tables.REJECTED, tables.QUALITY)


def day(n: float) -> int:
    return round(DAY0_MS + n * DAY_MS)


@dataclass
class World:
    """A home, and what tests do in it; `n` is a day everywhere."""

    home: Path
    settings: Settings

    @contextmanager
    def on(self, n: float) -> Iterator[int]:
        """The host's clock stands at that time; what is written meanwhile has it too."""
        at_ms, there = day(n), set(self.files())
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        with (
            patch.object(time, "time", lambda: at_ms / 1000),
            patch.object(time, "time_ns", lambda: at_ms * 1_000_000),
            patch("pyiceberg.table.update.datetime") as of_updates,
            patch("pyiceberg.table.metadata.datetime") as of_new_tables,
        ):
            of_updates.now.return_value = of_new_tables.datetime.now.return_value = moment
            yield at_ms
        for path in set(self.files()) - there:
            os.utime(path, (at_ms / 1000, at_ms / 1000))

    def files(self) -> list[Path]:
        return [path for path in self.home.rglob("*") if path.is_file()]

    def table(self, name: str = RAW) -> Any:
        return tables.require(self.settings, name, hint="")

    def bring_in(self, n: float, *, bad: bool = False, **row: Any) -> None:
        """A file with a row that was ingested on day n, and, with `bad`, one that is rejected."""
        arrived_ms = day(n)
        rows = [
            one_row(arrived=arrived_ms, seen_at=arrived_ms - 1, batch=round(n * 100) + 1, **row)
        ]
        rows += [{**rows[0], "video": -1}] if bad else []
        with self.on(n) as at_ms:
            path = file_of(self.home / f"day{n}.parquet", rows)
            bring_in(self.settings, path, clock=lambda: at_ms, valid_through_ms=at_ms)

    def landing(self, n: float, offset: int) -> None:
        """A topic is landed up to an offset, and through day n."""
        cursor = Cursor(offset, day(n) - 5, day(n))
        landed = Landed("impressions", "ab" * 16, 1, day(0), (cursor,) * self.settings.partitions)
        with self.on(n):
            said = snapshots.properties(snapshots.LAND, "run", day(n)) | landed.properties()
            commit(self.table(), (), said)

    def publish(self, n: int) -> None:
        """A generation with the cutover at the start of day n: what compact leaves behind."""
        cutover_ms = day(n)
        with self.on(n + 0.25):
            raw, [ema] = self.table(), tables.create_if_missing(self.settings, EMA)
            source_id = snapshots.main_id(raw)
            self.ref("src", RAW, cutover_ms, source_id)
            self.branch("audit", RAW, cutover_ms, source_id)
            origin = {
                snapshots.RUN_ID: "run",
                generations.CUTOVER: str(cutover_ms),
                generations.SOURCE: str(source_id),
                generations.WINDOW: "d1",
                generations.SPEC: self.settings.spec.fingerprint,
            }
            columns = tables.columns_of(EMA, self.settings.spec)
            rows = arrow_columns.table_of(columns, 1, shard=0, profile_id=np.array([n]))
            added = write(target_of(ema), {"shard": 0}, rows)
            commit(ema, added, origin, _data_files(ema))
            signed = origin | {"audit.sample": "0 differ", generations.TOTAL + "impressions": "1"}
            signed_id = commit(self.table(EMA), (), signed)
            self.ref("gen", EMA, cutover_ms, signed_id)

    def ref(self, kind: str, name: str, cutover_ms: int, snapshot_id: int | None) -> None:
        manage = self.table(name).manage_snapshots()
        manage.create_tag(snapshot_id, ref_name(kind, cutover_ms), RETAIN_MS[kind]).commit()

    def branch(self, kind: str, name: str, cutover_ms: int, snapshot_id: int | None) -> None:
        """A branch that lost its oldest rows: its head is a commit of its own."""
        branch = ref_name(kind, cutover_ms)
        manage = self.table(name).manage_snapshots()
        manage.create_branch(snapshot_id, branch, max_ref_age_ms=RETAIN_MS[kind]).commit()
        if name == RAW:
            first = datetime.fromtimestamp(day(2) / 1000, UTC).isoformat()
            self.table(name).delete(f"ingest_slot < '{first}'", branch=branch)
            head_id = snapshots.refs(self.table(name))[branch]  # pyiceberg forgets how long
            manage = self.table(name).manage_snapshots()
            manage.create_branch(head_id, branch, max_ref_age_ms=RETAIN_MS[kind]).commit()

    def export(self, n: int) -> Path:
        """A generation's directory, with real SST files."""
        with self.on(n + 0.5):
            directory, events = Path(self.settings.generations), random_events(1, day(n), 6, 3)
            publish(directory, blocks_of(events, day(n)), day(n), partitions=2)
        return directory / generation_id(day(n))

    def clean(self, n: float, *, dry_run: bool = False, **settings: Any) -> Outcome:
        """Housekeeping by a host whose clock says day n; the disk's own clock is right."""
        section = self.settings.housekeeping.model_copy(update=settings)
        chosen = self.settings.model_copy(update={"housekeeping": section})
        context = Context(chosen, start_run("housekeeping"), Runner(), lambda: day(n))
        return run(context, dry_run=dry_run)

    def refs(self, name: str = RAW) -> set[str]:
        return set(snapshots.refs(self.table(name))) - {"main"}

    def ids(self, name: str = RAW) -> set[int]:
        return set(snapshots.by_id(self.table(name)))

    def check_whole(self) -> None:
        """Every file that any snapshot of any table names is there."""
        for name in TABLES:
            table = tables.find(self.settings, name)
            if table is not None:
                keys = {file.key for file in listed(table) or ()}
                named = NeededFiles().of(table, snapshots.by_id(table).keys())
                assert named <= keys
                assert of_metadata(table) <= keys


def world_in(home: Path) -> World:
    home.mkdir(parents=True)
    return World(home, Settings(home=home, partitions=2))


def _data_files(table: Any) -> list[Any]:
    return [file.data for file in live_files(table, snapshots.main_id(table))]


def rules(outcome: Outcome) -> dict[tuple[str, str], int]:
    """(rule, where) -> count."""
    return {(one["rule"], one["where"]): one["count"] for one in outcome.extra["removed"]}


def orphan(world: World, name: str, *, written: float, table: str = RAW) -> Path:
    """A data file that nothing names."""
    path = world.settings.home_dir / "warehouse/impressions" / table / "data" / name
    path.write_bytes(b"x" * 1000)
    os.utime(path, (day(written) / 1000,) * 2)
    return path
