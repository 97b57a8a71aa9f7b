"""One part of a generation: a range of a shard's profiles, from files of raw to files of ema.

The task reads its sorted files, adds up whole profiles, counts what the audits ask, writes its
rows, and packs them as SST files where the generation is exported in the same pass. Its files are
in no table and in no manifest until the driver commits, so a task that fails or runs twice leaves
files that nobody lists.

Several small shards are parts of one task, which opens each of their files once.

Memory: rows of raw are at hand in steps of whole profiles, as many as fit into `memory_bytes`, and
of one profile all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batch.compacting.facts import PartFacts, added, facts_of
from batch.compacting.plain_sums import plain_sums
from batch.exporting import sst_files
from batch.exporting.sst_files import Packing
from batch.jobs.same_spec import SpecOf
from batch.lake.data_file_rows import Profiles
from batch.lake.data_file_writer import Files, Target
from batch.lake.ema_columns import Columns, table_of
from batch.lake.guarded_commit import discard
from batch.lake.opened_files import Opened
from batch.lake.profile_merge import complete_profiles_of
from impressions.compiled import sums
from impressions.compiled.sums import Impressions
from impressions.core.errors import CorruptData
from impressions.core.item import MAX_TITLE
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.formats.manifest import SstFile

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile

ROW_BYTES = 400
"""Memory that a row of raw takes: itself twice while files are merged, and at worst a row of ema,
in numbers and in Parquet's buffers."""

_KEYS = ("profile_id", "title_id", "location", "event_time", "duplicate")
_LEAST_BATCH = 1_024


@dataclass(frozen=True)
class Part:
    """What to compute; travels to Spark's executors.

    Attributes:
        paths: files of raw that may hold the profiles, in the order in which rows are added.
        storage: how to open them (`opened_files.open_parquet`).
        target: the table of the generation.
        rows: about how many.
        packing: where SST files go; None: not packed.
    """

    shard: int
    partitions: int
    profiles: Profiles
    paths: tuple[str, ...]
    storage: Mapping[str, str]
    cutover_ms: int
    spec: SpecOf
    sum_tolerance: float
    memory_bytes: int
    target: Target
    rows: int = 0
    packing: Packing | None = None


@dataclass(frozen=True)
class Made:
    """What a part has become: files that are written, not committed.

    Attributes:
        packed: rows that are in SST files, as those who packed them count.
    """

    shard: int
    files: tuple[DataFile, ...]
    facts: PartFacts
    sst: tuple[SstFile, ...]
    packed: int = 0


def make_all(parts: Sequence[Part]) -> list[Made]:
    """The parts of one task, in the order of their shards; see `make`. One that fails leaves no
    file of those before it."""
    spec = parts[0].spec.known()
    memory_bytes = parts[0].memory_bytes // 4
    opened = Opened(parts[0].storage, columns_of_raw(spec), memory_bytes)
    made: list[Made] = []
    try:
        for part in parts:
            opened.passed(part.shard - 1)
            made.append(make(part, opened))
    except BaseException:
        discard(parts[0].target, [file for one in made for file in one.files])
        raise
    return made


def columns_of_raw(spec: Spec) -> tuple[str, ...]:
    """What is read of raw."""
    return (*_KEYS, *spec.added_columns)


def make(part: Part, opened: Opened | None = None) -> Made:
    """Computes and writes a part.

    Args:
        opened: files of its task, opened to read `columns_of_raw`.

    Raises:
        CorruptData: a file of raw cannot be read, is not sorted, or has a null where none may be;
            a profile came in two steps.
        Refused: this process knows another spec than the driver.
    """
    spec = part.spec.known()
    compiled = sums.kernel()
    files, facts = Files(part.target, {"shard": part.shard}), []

    def pieces() -> Iterator[Columns]:
        last = -1
        for read in _read(part, spec, opened):
            last = _after(last, read)
            made = _summed(compiled, read, part.cutover_ms, spec)
            facts.append(_facts(part, read, made, spec))
            if len(made.rows):
                yield made

    written = _written(pieces(), part.shard, files, spec)
    sst: tuple[SstFile, ...] = ()
    packed = 0
    if part.packing is None:
        deque(written, maxlen=0)
    else:
        with sst_files.files_of(part.packing, part.shard) as into:
            packed = sst_files.write(into, written, part.packing, spec)
            sst = tuple(into.done)
    return Made(part.shard, tuple(files.close()), added(facts, spec), sst, packed)


def _after(last: int, read: Impressions) -> int:
    """The last profile of a step. Keys are looked at step by step (facts.py), which is enough as
    long as each profile is in one."""
    if len(read.profiles) and int(read.profiles.min()) <= last:
        raise CorruptData(
            f"raw: profile {read.profiles.min()} comes after profile {last}, expected whole "
            "profiles, ascending and not negative"
        )
    return int(read.profiles.max(initial=last))


def _facts(part: Part, read: Impressions, made: Columns, spec: Spec) -> PartFacts:
    return facts_of(
        read, made, part.shard, part.partitions, part.cutover_ms, spec, part.sum_tolerance
    )


def _read(part: Part, spec: Spec, opened: Opened | None = None) -> Iterator[Impressions]:
    """The rows of raw, in steps of whole profiles."""
    columns = columns_of_raw(spec)
    rows = part.memory_bytes // ROW_BYTES // max(len(part.paths), 1)
    batches = complete_profiles_of(
        part.paths, columns, part.storage, max(rows, _LEAST_BATCH), part.profiles, part.shard,
        opened,
    )  # fmt: skip
    return (impressions_of(batch, spec) for batch in batches)


def impressions_of(batch: pa.RecordBatch, spec: Spec) -> Impressions:
    """Numpy columns of rows of raw.

    Raises:
        CorruptData: a null, or a title that has no place in an item.
    """
    import pyarrow as pa

    def column(name: str, kind: pa.DataType) -> np.ndarray:
        values = batch.column(name)
        if values.null_count:
            raise CorruptData(f"raw: {values.null_count} nulls in {name}, expected 0")
        return np.asarray(values.cast(kind).to_numpy(zero_copy_only=False))

    values = np.empty((len(spec.added_columns), batch.num_rows))
    for name, row in zip(spec.added_columns, values, strict=True):
        row[:] = column(name, batch.schema.field(name).type)
    titles = column("title_id", pa.int64())
    if len(titles) and not 0 <= titles.min() <= titles.max() <= MAX_TITLE:
        raise CorruptData(f"raw: a title is outside of 0..{MAX_TITLE}")  # shifted, another title
    in_us = pa.timestamp("us", batch.schema.field("event_time").type.tz)
    return Impressions(
        profiles=column("profile_id", pa.int64()),
        titles=titles,
        locations=column("location", pa.int32()),
        event_us=column("event_time", in_us).view(np.int64),
        left_out=column("duplicate", pa.bool_()),
        values=values,
    )


def _summed(compiled: object | None, of: Impressions, cutover_ms: int, spec: Spec) -> Columns:
    if compiled is None:
        return plain_sums(of, cutover_ms, spec)
    made = sums.sums_of(compiled, of, cutover_ms, spec)
    measures, half_lives = len(spec.measures), len(spec.half_lives_days)
    decayed = made.numbers[measures:].reshape(measures, half_lives, len(made.items))
    rows = Rows(made.items, made.last_seen_ms, made.numbers[:measures], decayed)
    return Columns(made.profiles, made.days, rows)


def _written(pieces: Iterable[Columns], shard: int, files: Files, spec: Spec) -> Iterator[Columns]:
    """The same pieces, as they are written."""
    for piece in pieces:
        files.write(table_of(piece, shard, spec))
        yield piece
