"""A slot dealt out: the places it is written in, each a task, and what becomes of one.

A slot is one place, and one file, as long as its bytes fit into the size that `close.file_mb` says;
a larger one is as many places as it needs files, each with the same number of shards. Tasks hold
which files to read and where to write, so that they can travel; nothing is read here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from batch.lake import partitions
from batch.lake.data_file_writer import Target
from batch.lake.data_files import ALL_SHARDS, LiveFile, Shards
from batch.lake.guarded_commit import discard
from batch.quality.counts import Counts
from impressions.core.spec import Spec

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

NEW_ROW_BYTES = 20
"""What a row that an import brings adds to the bytes of files, about."""

Place = tuple[int, Shards]
"""(slot start in ms, the shards)."""

Inputs = tuple[Place, frozenset[tuple[str, tuple[str, ...]]]]


@dataclass(frozen=True)
class Layout:
    """How slots are written.

    Attributes:
        partitions: P.   file_bytes: of a file, about.   memory_bytes: of a task.
    """

    partitions: int
    file_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class Task:
    """What to bring into closed form; travels to Spark's executors.

    Attributes:
        files: that may have rows of the place.
        before: slots whose flushes decide about its own.   earlier: their files.
        file_bytes: of a file, about; one that becomes twice as large is followed by another.
        without: rows of these sources are left out, as if they had never come.
        new_rows: that an import brings beside those of the files (importing/merging.py).
    """

    place: Place
    files: tuple[LiveFile, ...]
    before: tuple[int, ...]
    earlier: tuple[LiveFile, ...]
    target: Target
    slot_ms: int
    memory_bytes: int
    file_bytes: int
    without: frozenset[str] = frozenset()
    new_rows: int = 0

    @property
    def inputs(self) -> Inputs:
        """Equal for two tasks that would write the same rows."""
        return self.place, frozenset(file.identity for file in (*self.files, *self.earlier))

    @property
    def rows(self) -> int:
        """At most: a file may hold rows of other places too."""
        return sum(file.data.record_count for file in self.files) + self.new_rows


@dataclass(frozen=True)
class Closed:
    """What became of a place: files that are written, not committed.

    Attributes:
        rows, duplicates: of all.   new, new_duplicates: of those an import brings.
        counts: for the quality of the day; None where they were not asked for.
    """

    place: Place
    files: tuple[DataFile, ...]
    rows: int
    duplicates: int
    new: int = 0
    new_duplicates: int = 0
    counts: Counts | None = None


def files_of(closed: Iterable[Closed]) -> list[DataFile]:
    """The files that were written."""
    return [file for one in closed for file in one.files]


Write = Callable[[list[Task]], list[Closed]]


@dataclass
class Attempts:
    """What was written for places, over several attempts of one commit: a place whose files are
    still the same keeps it."""

    done: dict[Inputs, Closed] = field(default_factory=dict)

    def closed(self, table: Table | None, tasks: Sequence[Task], write: Write) -> list[Closed]:
        """What is written for each task; what an earlier attempt wrote for nothing is deleted."""
        now = {task.inputs: task for task in tasks}
        discard(table, files_of(self.done.pop(old) for old in self.done.keys() - now.keys()))
        new = [task for inputs, task in now.items() if inputs not in self.done]
        self.done |= {task.inputs: one for task, one in zip(new, write(new), strict=True)}
        return [self.done[task.inputs] for task in tasks]


def tasks_of(
    slot: int,
    files: Mapping[int, Sequence[LiveFile]],
    target: Target,
    spec: Spec,
    layout: Layout,
    without: frozenset[str] = frozenset(),
    new_rows: Callable[[Shards], int] = lambda shards: 0,
) -> list[Task]:
    """The places of a slot.

    Args:
        files: by slot: of this one and of those before it, as far as there are any.
        new_rows: how many an import brings, of some shards.
    """
    mine, before = files.get(slot, ()), tuple(sorted(partitions.before({slot}, spec)))
    earlier = [file for at in before for file in files.get(at, ())]
    size_bytes = sum(file.data.file_size_in_bytes for file in mine)
    size_bytes += NEW_ROW_BYTES * new_rows(ALL_SHARDS)
    return [
        Task(
            (slot, shards),
            tuple(file for file in mine if file.may_hold(shards)),
            before,
            tuple(file for file in earlier if file.may_hold(shards)),
            target,
            spec.slot_ms,
            layout.memory_bytes,
            layout.file_bytes,
            without,
            new_rows(shards),
        )
        for shards in shares(layout.partitions, math.ceil(size_bytes / layout.file_bytes))
    ]


def shares(shards: int, parts: int) -> list[Shards]:
    """All shards in so many ranges of about the same number, or as many as there are shards; the
    last has no end, so that no row is left out for its shard."""
    edges = np.linspace(0, shards, min(max(parts, 1), shards) + 1).astype(int).tolist()
    return list(pairwise([*edges[:-1], ALL_SHARDS[1]]))
