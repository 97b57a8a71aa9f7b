"""Slots brought into closed form: every place of them by a task, all in one commit.

The commit replaces exactly the files that the tasks read. When another commit came first, the
places whose files (and whose earlier files) are still the same keep what was written for them, and
only the others are done again: a long close beside hourly landings repeats its check and its
commit, no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from batch.closing.place import close
from batch.closing.tasks import Attempts, Closed, Layout, Task, files_of, tasks_of
from batch.jobs.tasks import Runner
from batch.lake import partitions, snapshots
from batch.lake.data_file_writer import target_of
from batch.lake.data_files import files_by_slot
from batch.lake.guarded_commit import commit, discard
from impressions.core.errors import CorruptData
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from pyiceberg.table import Table


@dataclass
class Rewrite:
    """One rewrite over all its attempts.

    Attributes:
        without: rows of these sources are left out.
        attempts: those that met a conflict.
    """

    settings: Settings
    runner: Runner
    without: frozenset[str] = frozenset()
    attempts: Attempts = field(default_factory=Attempts)

    def attempt(
        self,
        table: Table,
        base: snapshots.State,
        slots: Collection[int],
        properties: Mapping[str, str],
    ) -> tuple[int, list[Closed]]:
        """Closes `slots` on top of `base`, which `table` was loaded at; returns the snapshot.

        Raises:
            Conflict: another commit came first; call it again with the newer state.
        """
        tasks = self.tasks(table, base.snapshot_id, slots)
        closed = self.attempts.closed(table, tasks, partial(self._written, table))
        self._check_rows(tasks, closed)
        removed = {file.path: file.data for task in tasks for file in task.files}
        carried = {snapshots.OPERATION: snapshots.CLOSE} | dict(properties)
        if base.valid_through_ms is not None:
            carried.setdefault(snapshots.VALID_THROUGH, str(base.valid_through_ms))
        # What a landing claimed, two clocks had seen; files alone know this host's only.
        reached_ms = base.valid_through_ms if base.landed is not None else None
        return commit(table, files_of(closed), carried, removed.values(), reached_ms), closed

    def _check_rows(self, tasks: Collection[Task], closed: Collection[Closed]) -> None:
        """What was read is what the files hold, as far as their metadata can say."""
        files = {file.path: file for task in tasks for file in task.files}.values()
        expected, found = (
            sum(file.data.record_count for file in files), sum(one.rows for one in closed)
        )  # fmt: skip
        is_known = not self.without and not any(file.deletes for file in files)
        if found > expected or (is_known and found < expected):
            raise CorruptData(
                f"{found:,} rows of raw were read in the {len(files):,} files of these slots, "
                f"expected {expected:,}: nothing was rewritten",
                hint="rows that another engine wrote with a null shard belong to none: delete them",
                reason="rows_differ",
            )

    def tasks(self, table: Table, snapshot_id: int | None, slots: Collection[int]) -> list[Task]:
        """The places of these slots."""
        spec, wanted = self.settings.spec, set(slots)
        needed = wanted | partitions.before(wanted, spec)
        files = files_by_slot(table, snapshot_id, needed)
        target, layout = target_of(table), layout_of(self.settings, self.runner)
        return [
            task
            for slot in sorted(wanted & files.keys())
            for task in tasks_of(slot, files, target, spec, layout, self.without)
        ]

    def _written(self, table: Table, tasks: list[Task]) -> list[Closed]:
        return self.runner.run(
            "close", close, tasks, discard=lambda closed: discard(table, files_of(closed))
        )


def layout_of(settings: Settings, runner: Runner, memory_bytes: int | None = None) -> Layout:
    """How slots are written by these settings; `memory_bytes`: of all tasks of a process."""
    memory_bytes = settings.land.memory_mb << 20 if memory_bytes is None else memory_bytes
    return Layout(settings.partitions, settings.close.file_mb << 20, runner.share(memory_bytes))
