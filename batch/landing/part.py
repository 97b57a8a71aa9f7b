"""Ranges of some partitions: read, judged, sorted by slot, written as data files of both tables.

What is held of rows is bounded by bytes: when that much has come together it is sorted and written,
and it goes on. Small ranges share a task, and its files: so a pass becomes as many files as its
bytes need, at least one per task and ingest slot. Nothing is committed here; a task that dies
leaves files that no table names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from batch.lake.arrow_columns import integers
from batch.lake.cursor import source_of
from batch.lake.data_file_writer import Target, write
from batch.lake.sort_order import KEYS, in_order, sort_order
from batch.landing import table_rows as rows_of
from batch.landing.fetch import batches
from batch.landing.plan import Loss, Range, losses_of
from impressions.core.ingest_time import Carried, ingest_times
from impressions.core.spec import Spec
from impressions.kafka.decoded_batch import DecodedBatch, decode
from impressions.kafka.last_record import LastRecord
from impressions.kafka.median_event_time import median_event_ms

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile

HELD_FACTOR = 4
"""Memory that sorting and writing take, as a multiple of the rows that are held."""

TASK_RECORDS = 250_000
"""Records that are worth a task, and files, of their own."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where records come from.

    Attributes:
        client: librdkafka's properties.
        accept_loss: pass over records that bear their producer's time.
    """

    range: Range
    client: Mapping[str, Any]
    topic: str
    partitions: int
    accept_loss: bool = False


@dataclass(frozen=True, kw_only=True)
class Task(Source):
    """A range to land; travels to Spark's executors.

    Attributes:
        rejected_from: offset of the first record whose rejected rows are not in their table yet.
        memory_bytes: what this task may use.
    """

    rejected_from: int
    topic_id: str
    slot_ms: int
    raw: Target
    rejected: Target
    memory_bytes: int


@dataclass(frozen=True)
class Part:
    """What became of a range.

    Attributes:
        raw, rejected_files: files that are written, not committed. Those of a task are with its
            first range; they hold rows of all of them.
        rejected_from: offset of the first record whose rejected rows are written.
        carried: what its records leave to those that follow.   last: the last of them, if any.
        passed: records that bear their producer's time and were passed over.
        doubted: records whose stamp was so far ahead that they count with another time.
        records: of Kafka.   read, valid: impressions.   rejected: impressions by reason.
    """

    range: Range
    rejected_from: int
    raw: tuple[DataFile, ...]
    rejected_files: tuple[DataFile, ...]
    carried: Carried
    last: LastRecord
    passed: tuple[Loss, ...]
    doubted: int
    records: int
    read: int
    valid: int
    rejected: Mapping[str, int]

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Of both tables."""
        return (*self.raw, *self.rejected_files)


@dataclass
class Reading:
    """What is known of a range while its records are judged; see `Part`."""

    carried: Carried
    last: LastRecord = field(default_factory=LastRecord)
    passed: list[Loss] = field(default_factory=list)
    doubted: int = 0


def land(tasks: Sequence[Task]) -> list[Part]:
    """Reads ranges, one after the other, and writes what they hold together."""
    held = _Held(tasks[0])
    parts = [_read(task, held) for task in tasks]
    raw, rejected = held.close()
    return [replace(parts[0], raw=raw, rejected_files=rejected), *parts[1:]]


def shared(tasks: Sequence[Task], width: int) -> list[list[Task]]:
    """Ranges that share a task and its files: as few tasks as their records need, and as many as
    run at a time."""
    records = sum(task.range.end - task.range.start for task in tasks)
    of_each = records / max(1, min(len(tasks), max(width, -(-records // TASK_RECORDS))))
    found: list[list[Task]] = []
    held = of_each
    for task in tasks:
        if held >= of_each:
            found.append([])
            held = 0
        found[-1].append(task)
        held += task.range.end - task.range.start
    return found


def _read(task: Task, held: _Held) -> Part:
    part, spec, source = task.range, Spec(slot_ms=task.slot_ms), source_of(task.topic_id)
    at = Reading(Carried(part.ingest_ms, part.suspect_ms))
    records = read = valid = 0
    reasons = Counter[str]()
    for values, offsets, ingest_ms, batch in judged(task, spec, at):
        records, read = records + len(values), read + batch.read
        valid_rows = rows_of.impressions(batch, offsets, part.partition, source, spec)
        wrong = rows_of.rejected(batch, values, offsets, ingest_ms, part.partition, source, spec)
        valid += valid_rows.num_rows
        reasons.update(wrong["reason"].to_pylist())
        held.add(valid_rows, _not_before(wrong, task.rejected_from))
    counts = (records, read, valid, dict(reasons.most_common()))
    known = (at.carried, at.last, tuple(at.passed), at.doubted)
    return Part(part, task.rejected_from, (), (), *known, *counts)


def judged(
    source: Source, spec: Spec, at: Reading | None = None
) -> Iterator[tuple[list[bytes | None], Any, Any, DecodedBatch]]:
    """Values, offsets, ingest times and the judged batch, for each batch of records; `at` goes
    along with them."""
    part = source.range
    at = Reading(Carried(part.ingest_ms, part.suspect_ms)) if at is None else at
    for records in batches(source.client, source.topic, part, source.accept_loss):
        at.passed += losses_of(part.partition, records.unstamped)
        if not records.values:
            continue
        values, offsets = records.values, np.array(records.offsets, np.int64)
        stamps = np.array(records.stamps, np.int64)
        ingest_ms, at.carried = ingest_times(stamps, at.carried, partial(median_event_ms, values))
        at.last = LastRecord.of(records.offsets[-1], records.stamps[-1], values[-1])
        at.doubted += int((ingest_ms < stamps).sum())
        batch = decode(values, ingest_ms, part.partition, source.partitions, spec)
        yield values, offsets, ingest_ms, batch


@dataclass
class _Held:
    """Rows that wait to be sorted and written, and the files so far.

    Attributes:
        task: one of those that share it.
    """

    task: Task
    raw: list[pa.Table] = field(default_factory=list)
    rejected: list[pa.Table] = field(default_factory=list)
    size_bytes: int = 0
    raw_files: list[DataFile] = field(default_factory=list)
    rejected_files: list[DataFile] = field(default_factory=list)

    def add(self, valid: pa.Table, wrong: pa.Table) -> None:
        if valid.num_rows:
            self.raw.append(valid)
        if wrong.num_rows:
            self.rejected.append(wrong)
        self.size_bytes += valid.nbytes + wrong.nbytes
        if self.size_bytes * HELD_FACTOR >= self.task.memory_bytes:
            self._write()

    def close(self) -> tuple[tuple[DataFile, ...], tuple[DataFile, ...]]:
        self._write()
        return tuple(self.raw_files), tuple(self.rejected_files)

    def _write(self) -> None:
        import pyarrow as pa

        if self.raw:
            rows = pa.concat_tables(self.raw).unify_dictionaries()
            self.raw_files += write_slots(self.task.raw, rows)
        if self.rejected:
            rows = pa.concat_tables(self.rejected)
            partition = {"source": source_of(self.task.topic_id)}
            self.rejected_files += write(self.task.rejected, partition, rows)
        self.raw, self.rejected, self.size_bytes = [], [], 0


def write_slots(target: Target, rows: pa.Table) -> list[DataFile]:
    """Files of raw: of each ingest slot its own, sorted."""
    import pyarrow as pa

    files: list[DataFile] = []
    slots = integers(rows, "ingest_slot")
    for slot_us in np.unique(slots).tolist():
        of_slot = rows if (slots == slot_us).all() else rows.filter(pa.array(slots == slot_us))
        order = sort_order(*(integers(of_slot, name) for name in KEYS))
        files += write(target, {"ingest_slot": slot_us}, in_order(of_slot, order))
    return files


def _not_before(wrong: pa.Table, first_offset: int) -> pa.Table:
    import pyarrow.compute as pc

    return wrong.filter(pc.greater_equal(wrong["log_offset"], first_offset))
