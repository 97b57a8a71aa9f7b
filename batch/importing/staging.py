"""Files judged, and their valid rows kept in runs until they are merged into raw.

A run is rows in the order of (slot, shard), with an index that says where each of them begins. Rows
are held in memory up to a bound; what is more goes to disk as runs in Parquet, as an external sort
does. So an import of any size takes the memory that a setting gives it, and every place is later
read from each run as one slice.

    by itself          one collection for all threads, runs in a directory that ends with the import
    spark-submitted    one for each task, runs beside the table's data, where every executor reads
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from batch.closing.ranges import SAMPLED_EVERY, Sampled
from batch.closing.tasks import Place
from batch.files.reader import Piece, read
from batch.importing.raw_rows import rows_of
from batch.importing.rejected_rows import Rejects
from batch.importing.survey import Survey, summed
from batch.jobs.tasks import Runner
from batch.lake import locations
from batch.lake.arrow_columns import integers
from batch.lake.data_file_rows import ALL_KEYS, Keys, within
from batch.lake.data_file_writer import Target, create
from batch.lake.data_files import Shards
from batch.lake.guarded_commit import discard
from batch.lake.sort_order import in_order
from batch.mapping.grammar import ImportMapping
from impressions.core.decay import Int
from impressions.core.spec import DAY_MS, Spec

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

_GROUP_ROWS = 1 << 16
SHARE = 4
"""A quarter of the memory holds rows, putting them in order takes as much again; the other half is
for merging (run.py)."""


@dataclass(frozen=True)
class Plan:
    """What a task needs to judge files; travels to Spark's executors.

    Attributes:
        shards: P.   rejected: where rejected rows go; None in a dry run.
        root: where runs go.   io_target: opens them.
    """

    mapping: ImportMapping
    spec: Spec
    now_ms: int
    shards: int
    rejected: Target | None
    root: str
    io_target: Target | None
    memory_bytes: int


@dataclass
class Run:
    """Rows in order, in a file (`location`); or in memory: `rows` as they came and their `order`.

    Attributes:
        index: slot -> shards, ascending, and the first row of each, with the end of the last.
    """

    index: dict[int, tuple[Int, Int]]
    rows: pa.Table | None = None
    order: Int | None = None
    location: str = ""

    def rows_in(self, slot: int, shards: Shards) -> tuple[int, int]:
        """The first of the rows of a place, and how many they are."""
        if slot not in self.index:
            return 0, 0
        there, starts = self.index[slot]
        first, end = starts[np.searchsorted(there, shards)].tolist()
        return first, end - first

    def slice(self, place: Place, keys: Keys, opened: Opened) -> Iterator[pa.Table]:
        """The rows of a place in a range."""
        first, n = self.rows_in(*place)
        if not n:
            return
        if self.rows is not None and self.order is not None:
            mine = in_order(self.rows, self.order[first : first + n], of_one_slot=False)
            yield within(mine, keys)
            return
        for number in range(first // _GROUP_ROWS, (first + n - 1) // _GROUP_ROWS + 1):
            start = max(first - number * _GROUP_ROWS, 0)
            end = min(first + n - number * _GROUP_ROWS, _GROUP_ROWS)
            group = opened.group(self.location, number)
            yield within(group.slice(start, end - start), keys)

    def sampled(self, place: Place, opened: Opened) -> Iterator[Sampled]:
        """Of some of its rows."""
        for rows in self.slice(place, ALL_KEYS, opened):
            shard, profile = (
                integers(rows, name)[::SAMPLED_EVERY] for name in ("shard", "profile_id")
            )
            yield shard, profile


class Opened:
    """Files of runs that one task reads from; the row group read last is kept, for the next place
    mostly begins in it."""

    def __init__(self, io: FileIO | None):
        self._io, self._files, self._last = io, dict[str, Any](), dict[str, Any]()

    def group(self, location: str, number: int) -> pa.Table:
        if self._last.get(location, (None, None))[0] != number:
            rows = self._file(location).read_row_group(number, use_threads=False)
            self._last[location] = (number, rows)
        held: pa.Table = self._last[location][1]
        return held

    def _file(self, location: str) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        if location not in self._files:
            path = locations.local_path(location)
            stream = path.open("rb") if path else self._io.new_input(location).open()  # type: ignore[union-attr]
            self._files[location] = pq.ParquetFile(
                stream,
                page_checksum_verification=True,
                read_dictionary=["source", "device_type", "app_version"],
            )
        return self._files[location]


@dataclass
class Runs:
    """Collects rows; safe for threads."""

    plan: Plan
    spill_rest: bool
    held: list[pa.Table] = field(default_factory=list)
    size_bytes: int = 0
    done: list[Run] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rows: pa.Table) -> None:
        with self.lock:
            self.held.append(rows)
            self.size_bytes += rows.nbytes
            if self.size_bytes * SHARE < self.plan.memory_bytes:
                return
            full, self.held, self.size_bytes = self.held, [], 0
            self.done.append(self._spilled(full))

    def close(self) -> list[Run]:
        """All runs; the rest is spilled too, or stays in memory as the last run."""
        if self.held:
            last, self.held = self.held, []
            self.done.append(self._spilled(last) if self.spill_rest else _in_memory(last))
        return self.done

    def _spilled(self, tables: list[pa.Table]) -> Run:
        import pyarrow as pa
        import pyarrow.parquet as pq

        run = _in_memory(tables)
        assert run.rows is not None
        rows = run.rows.take(pa.array(run.order))
        location = f"{self.plan.root}/{uuid.uuid4()}.parquet"
        io = self.plan.io_target.io if self.plan.io_target else None
        with create(io, location) as stream:
            pq.write_table(
                rows, stream, compression="lz4", row_group_size=_GROUP_ROWS,
                use_dictionary=["source", "device_type", "app_version"], write_statistics=False,
                write_page_checksum=True, store_schema=False,
            )  # fmt: skip
        return Run(run.index, location=location)


@dataclass(frozen=True)
class Staged:
    """What became of a piece of a file, or of all: counts, data files of rejected rows, and runs of
    valid ones."""

    survey: Survey
    rejected: tuple[DataFile, ...]
    runs: tuple[Run, ...] = ()


def stage(runner: Runner, plan: Plan, pieces: list[Piece], rejected: Table | None) -> Staged:
    """Judges all pieces. `rejected`: the table of rejected rows; None in a dry run."""

    def forget(done: Iterable[Staged]) -> None:
        discard(rejected, (file for one in done for file in one.rejected))

    shared = Runs(plan, spill_rest=False)
    judge = partial(_judge, plan, shared) if runner.is_local else partial(_in_a_task, plan)
    staged = runner.run("judge", judge, pieces, forget)
    return Staged(
        summed(one.survey for one in staged),
        tuple(file for one in staged for file in one.rejected),
        (*shared.close(), *(run for one in staged for run in one.runs)),
    )


def _in_a_task(plan: Plan, piece: Piece) -> Staged:
    runs = Runs(plan, spill_rest=True)
    staged = _judge(plan, runs, piece)
    return Staged(staged.survey, staged.rejected, tuple(runs.close()))


def _judge(plan: Plan, runs: Runs, piece: Piece) -> Staged:
    survey, rejects = Survey(), Rejects(piece.file, plan.rejected)
    mapping, file = plan.mapping, piece.file
    for judged in read(piece, mapping, plan.spec, plan.now_ms):
        survey.add(judged, file.source)
        rejects.add(judged)
        rows = rows_of(
            judged, file.source, plan.shards, "log_id" in mapping, mapping.ingest_is_event
        )
        if rows.num_rows:
            runs.add(rows)
    return Staged(survey, tuple(rejects.close()))


def _in_memory(tables: list[pa.Table]) -> Run:
    import pyarrow as pa

    rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()  # of one, taking is quick
    shard = rows["shard"].to_numpy().astype(np.int64)
    day = rows["ingest_slot"].cast(pa.int64()).to_numpy() // (DAY_MS * 1000)
    first_day = day.min()
    shards = int(shard.max()) + 1
    place = (day - first_day) * shards + shard
    small = place.max() <= np.iinfo(np.uint16).max  # these are sorted by counting
    order = np.argsort(place.astype(np.uint16) if small else place, kind="stable")
    place = place[order]
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    of_day, of_shard = np.divmod(place[starts], shards)
    index = {}
    for number in np.unique(of_day).tolist():
        first, end = np.searchsorted(of_day, (number, number + 1))
        edges = np.append(starts, len(order))[first : end + 1]
        index[(int(first_day) + number) * DAY_MS] = (of_shard[first:end], edges)
    return Run(index, rows, order)
