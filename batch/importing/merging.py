"""New rows become part of raw: slot by slot with the rows that stand there, in one commit.

A slot that an import touches is written again: rows that stand there and new ones together, copies
numbered, duplicates decided, in closed form. So is a closed slot right after one, whose flags
depend on it. For a history import that is the plain case: nothing stands there yet.

Neighbouring places are merged by one task, so that each part of a run is read once. The commit
replaces exactly the files that were read; when another commit came first, only places whose files
changed are merged again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from batch.closing import place as places
from batch.closing.duplicates import Earlier
from batch.closing.place import NEW, Sources
from batch.closing.ranges import ROW_BYTES, Sampled, ranges_of
from batch.closing.slots import followers
from batch.closing.tasks import Attempts, Closed, Layout, Task, files_of, tasks_of
from batch.importing.copies import numbered
from batch.importing.imported import files_with
from batch.importing.raw_rows import ORIGINAL
from batch.importing.staging import Opened, Run
from batch.jobs.tasks import Runner
from batch.lake import partitions
from batch.lake.data_file_rows import Keys
from batch.lake.data_file_writer import Target, target_of
from batch.lake.data_files import LiveFile, Shards, files_by_slot
from batch.lake.guarded_commit import discard
from batch.lake.slot_states import slot_states
from impressions.core.spec import DAY_MS, Spec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

_PLACES_MOST = 256
_COUNTED_MOST = 4096  # places; counts of more are not held, the days are read again


@dataclass(frozen=True)
class Chunk:
    """Neighbouring places; travels to Spark's executors.

    Attributes:
        writes: False counts only (a dry run).
        counted: with counts for the quality of the days.
    """

    places: tuple[Task, ...]
    runs: tuple[Run, ...]
    identified: bool
    by_content: bool
    writes: bool
    counted: bool


@dataclass
class Merge:
    """One merge over all its attempts.

    Attributes:
        runs: the new rows.
        identified, by_content: see copies.py.
        layout: how slots are written.
        replaced: rows that stand of these sources go: the new ones take their place.
        attempts: those that met a conflict.
    """

    spec: Spec
    runner: Runner
    runs: Sequence[Run]
    identified: bool
    by_content: bool
    layout: Layout
    replaced: frozenset[str] = frozenset()
    attempts: Attempts = field(default_factory=Attempts)

    def merged(
        self, table: Table | None, snapshot_id: int | None, writes: bool = True
    ) -> tuple[list[Closed], list[DataFile]]:
        """The places as they will be, and the files they replace."""
        tasks = self._tasks(table, snapshot_id)

        def forget(results: Iterable[list[Closed]]) -> None:
            discard(table, files_of(chain.from_iterable(results)))

        def write(new: list[Task]) -> list[Closed]:
            chunks = list(self._chunks(new, writes))
            written = self.runner.run("write raw", merge, chunks, forget)
            return list(chain.from_iterable(written))

        replaced = {file.path: file.data for task in tasks for file in task.files}
        return self.attempts.closed(table, tasks, write), list(replaced.values())

    def _tasks(self, table: Table | None, snapshot_id: int | None) -> list[Task]:
        """In the order of runs."""
        touched = {slot for run in self.runs for slot in run.index} | self._left(table)
        standing = self._standing(table, snapshot_id, touched)
        target = target_of(table) if table is not None else Target("", {})
        wanted = touched | self._after(table, snapshot_id, touched)
        return [
            task
            for slot in sorted(wanted)
            for task in tasks_of(
                slot, standing, target, self.spec, self.layout, self.replaced,
                partial(self._new_rows, slot),
            )
        ]  # fmt: skip

    def _new_rows(self, slot: int, shards: Shards) -> int:
        return sum(run.rows_in(slot, shards)[1] for run in self.runs)

    def _left(self, table: Table | None) -> set[int]:
        """Where rows stand that go: with another mapping, the new ones may come to other slots."""
        return {file.slot_ms for file, _ in files_with(table, set(self.replaced))}

    def _standing(
        self, table: Table | None, snapshot_id: int | None, slots: Collection[int]
    ) -> dict[int, list[LiveFile]]:
        """Files of raw by slot, near the slots that are touched."""
        if table is None:
            return {}
        near = set(slots) | partitions.before(slots, self.spec) | self._next(slots)
        return files_by_slot(table, snapshot_id, near)

    def _next(self, slots: Collection[int]) -> set[int]:
        return {slot + self.spec.slot_ms for slot in slots} | {
            (slot // DAY_MS + 1) * DAY_MS for slot in slots
        }

    def _after(
        self, table: Table | None, snapshot_id: int | None, touched: Collection[int]
    ) -> set[int]:
        """Closed slots right after one that is touched."""
        if table is None:
            return set()
        return followers(touched, slot_states(table, snapshot_id), self.spec)

    def _chunks(self, tasks: Sequence[Task], writes: bool) -> Iterator[Chunk]:
        most = self.layout.memory_bytes // ROW_BYTES
        counted = writes and len(tasks) <= _COUNTED_MOST
        held: list[Task] = []
        for task in tasks:
            rows = sum(one.rows for one in held)
            if held and (rows + task.rows > most or len(held) >= _PLACES_MOST):
                yield self._chunk(held, writes, counted)
                held = []
            held.append(task)
        if held:
            yield self._chunk(held, writes, counted)

    def _chunk(self, tasks: Sequence[Task], writes: bool, counted: bool) -> Chunk:
        slots = {slot for task in tasks for slot in (task.place[0], *task.before)}
        runs = tuple(run for run in self.runs if slots & run.index.keys())
        return Chunk(tuple(tasks), runs, self.identified, self.by_content, writes, counted)


def merge(chunk: Chunk) -> list[Closed]:
    """Merges the places of a chunk, one after the other."""
    target = chunk.places[0].target
    opened = Opened(target.io if target.metadata_json else None)
    return [_merged(chunk, task, opened) for task in chunk.places]


def _merged(chunk: Chunk, task: Task, opened: Opened) -> Closed:
    def sampled() -> Iterator[Sampled]:
        yield from places.sampled(task)
        for run in chunk.runs:
            yield from run.sampled(task.place, opened)

    sources = Sources(
        lambda keys: _rows(chunk, task, keys, opened),
        lambda keys: _earlier(chunk, task, keys, opened),
    )
    ranges = ranges_of(task.place[1], task.rows, task.memory_bytes, sampled)
    return places.write_closed(task, sources, ranges, writes=chunk.writes, counted=chunk.counted)


def _rows(chunk: Chunk, task: Task, keys: Keys, opened: Opened) -> pa.Table:
    """New rows and standing ones, kept apart by NEW."""
    import pyarrow as pa

    standing = places.standing_rows(task, keys)
    new = [r for run in chunk.runs for r in run.slice(task.place, keys, opened)]
    parts = [standing.append_column(NEW, pa.array(np.zeros(standing.num_rows, np.bool_)))]
    if new:
        fresh = pa.concat_tables(new).unify_dictionaries()
        if chunk.identified:
            fresh = numbered(fresh, standing, chunk.by_content)
        parts.append(fresh.drop_columns([ORIGINAL]))
    parts = [part for part in parts if part.num_rows] or parts[:1]
    return pa.concat_tables(parts, promote_options="permissive").unify_dictionaries()


def _earlier(chunk: Chunk, task: Task, keys: Keys, opened: Opened) -> Earlier:
    """Device flushes of the slots before: those that stand there, and new ones."""
    earlier = [places.earlier_flushes(task, keys)]
    if chunk.identified:
        earlier += [
            places.earlier_of(rows, task.place[0], task.slot_ms)
            for at in task.before
            for run in chunk.runs
            for rows in run.slice((at, task.place[1]), keys, opened)
        ]
    return places.joined(earlier)
