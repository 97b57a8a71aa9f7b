"""One part of a generation: a range of a shard's profiles, from files of raw to files of ema.

The task reads its sorted files, adds up whole profiles, counts what the audits ask, writes its
rows, and packs them as SST files where the generation is exported in the same pass. Its files are
in no table and in no manifest until the driver commits, so a task that fails or runs twice leaves
files that nobody lists.

Several small shards are parts of one task, which opens each of their files once.

Memory: as many rows of raw are at hand as fit into `memory_bytes`, and of one profile all. They are
added up in steps of whole profiles (`PIECE_ROWS` in profile_merge.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch.compacting.facts import PartFacts, Reading, added, facts_of
from batch.compacting.incremental.comparing import Beside, Compared
from batch.compacting.incremental.steps import Base, steps
from batch.compacting.plain_sums import plain_sums
from batch.compacting.raw_rows import columns_of_raw, impressions_of
from batch.exporting import sst_files
from batch.exporting.sst_files import Packing
from batch.jobs.same_spec import SpecOf
from batch.lake.data_file_rows import Profiles
from batch.lake.data_file_writer import Files, Target
from batch.lake.ema_columns import Columns, columns_of_sums, table_of
from batch.lake.guarded_commit import discard
from batch.lake.opened_files import Opened
from batch.lake.profile_merge import complete_profiles_of
from impressions.compiled import sums
from impressions.compiled.shifts import Unfit
from impressions.compiled.sums import Impressions
from impressions.core.errors import CorruptData
from impressions.core.spec import Spec
from impressions.formats.manifest import SstFile

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile

ROW_BYTES = 400
"""Memory that a row of raw takes: itself twice while files are merged, and at worst a row of ema,
in numbers and in Parquet's buffers."""

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
        base: the generation before, to be computed from; None: from scratch.
        both: from scratch, and compared with what comes from `base`.
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
    base: Base | None = None
    both: bool = False


@dataclass(frozen=True)
class Made:
    """What a part has become: files that are written, not committed.

    Attributes:
        packed: rows that are in SST files, as those who packed them count.
        unfit: why it could not be had from the generation before; then nothing is written, or it
        was to be compared.
        compared: where it was computed both ways.
    """

    shard: int
    files: tuple[DataFile, ...]
    facts: PartFacts
    sst: tuple[SstFile, ...]
    packed: int = 0
    unfit: str = ""
    compared: Compared | None = None


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
    except BaseException:  # a kill by signal too: nobody else knows these files; it goes on
        discard(parts[0].target, [file for one in made for file in one.files])
        raise
    return made


def make(part: Part, opened: Opened | None = None) -> Made:
    """Computes and writes a part; one that is unfit to be had from its base is left to the driver.

    Args:
        opened: files of its task, opened to read `columns_of_raw`.

    Raises:
        CorruptData: a file cannot be read, is not sorted, or has a null where none may be; a
            profile came in two steps.
        Refused: this process knows another spec than the driver.
    """
    spec = part.spec.known()
    if part.base is None:
        return _made(part, _from_scratch(part, spec, opened), spec)
    moved = steps(
        part.base, part.shard, part.profiles, part.cutover_ms, spec, part.storage,
        part.memory_bytes, opened,
    )  # fmt: skip
    if part.both:
        beside = Beside((made for _, made in moved), spec)
        made = _made(part, _compared(_from_scratch(part, spec, opened), beside), spec)
        found = beside.finish()
        return replace(made, unfit=beside.unfit, compared=None if beside.unfit else found)
    try:
        return _made(part, moved, spec)
    except Unfit as unfit:
        return Made(part.shard, (), added((), spec), (), unfit=str(unfit))


def _made(part: Part, steps: Iterable[tuple[Reading, Columns]], spec: Spec) -> Made:
    """Writes what the steps make, counts it, packs it."""
    files, facts = Files(part.target, {"shard": part.shard}), []

    def pieces() -> Iterator[Columns]:
        last = -1
        for read, made in steps:
            last = _after(last, made)
            facts.append(_facts(part, read, made, spec))
            if len(made.rows):
                yield made

    written = _written(pieces(), part.shard, files, spec)
    sst: tuple[SstFile, ...] = ()
    packed = 0
    try:
        if part.packing is None:
            deque(written, maxlen=0)
        else:
            with sst_files.files_of(part.packing, part.shard) as into:
                packed = sst_files.write(into, written, part.packing, spec)
                sst = tuple(into.done)
    except Unfit:
        files.discard()
        raise
    return Made(part.shard, tuple(files.close()), added(facts, spec), sst, packed)


def _from_scratch(
    part: Part, spec: Spec, opened: Opened | None
) -> Iterator[tuple[Reading, Columns]]:
    """All of raw, in steps of whole profiles."""
    compiled, last = sums.kernel(), -1
    for read in _read(part, spec, opened):
        last = _after(last, read)
        reading = Reading.of(read, part.cutover_ms, spec)
        yield reading, _summed(compiled, read, part.cutover_ms, spec)


def _compared(
    steps: Iterable[tuple[Reading, Columns]], beside: Beside
) -> Iterator[tuple[Reading, Columns]]:
    """The same steps, each compared with what stands beside it."""
    for read, made in steps:
        if len(made.rows):
            beside.compare(made)
        yield read, made


def _after(last: int, step: Impressions | Columns) -> int:
    """The last profile of a step. Keys are looked at step by step (facts.py), which is enough as
    long as each profile is in one."""
    if len(step.profiles) and int(step.profiles.min()) <= last:
        raise CorruptData(
            f"raw: profile {step.profiles.min()} comes after profile {last}, expected whole "
            "profiles, ascending and not negative"
        )
    return int(step.profiles.max(initial=last))


def _facts(part: Part, read: Reading, made: Columns, spec: Spec) -> PartFacts:
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


def _summed(compiled: object | None, of: Impressions, cutover_ms: int, spec: Spec) -> Columns:
    if compiled is None:
        return plain_sums(of, cutover_ms, spec)
    return columns_of_sums(sums.sums_of(compiled, of, cutover_ms, spec), spec)


def _written(pieces: Iterable[Columns], shard: int, files: Files, spec: Spec) -> Iterator[Columns]:
    """The same pieces, as they are written."""
    for piece in pieces:
        files.write(table_of(piece, shard, spec))
        yield piece
