"""The rows of one shard, read straight from its data files, by profile.

In: Parquet files of a table, each ascending by profile, or by shard and profile where it holds
several shards; their ranges may overlap. Out: the same
rows, or those of a range of profiles, in pieces of complete profiles, ascending. Within a profile
rows stand file by file, in the order the files were given, and within a file as they lie there.

    open    every file, for its footer, which says where its profiles begin
    read    row groups that may hold the range, batch by batch, when their profiles are at hand
    cut     what is below `safe`, the first profile that may have more rows, is complete

Pieces are small, and however many there are, the rows and their order are the same.

Memory: of each file at hand a batch and what its reader holds, and the rows of one profile, however
large the shard; of a range, rows in it. A file that one batch can hold is read at once and closed,
so that a year of small ones takes no file descriptors. Where files are disjoint, as `compact`
leaves them, one is at hand, or two where the first ends within a profile. A reader holds a MiB a
column of a local file, and of an object a row group, which is fetched in parallel.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from batch.lake.data_file_rows import ALL_PROFILES, Keys, Profiles, known_bounds
from batch.lake.data_files import ALL_SHARDS
from batch.lake.locations import local_path
from batch.lake.opened_files import Known, Opened, not_sorted
from impressions.core.decay import Int
from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 65_536
PIECE_ROWS = 65_536
"""Of a piece, about: its columns stay in the caches, and their memory is used again by the next
piece; one profile may have more."""

_PROFILE = "profile_id"


def complete_profiles_of(
    paths: Iterable[str],
    columns: Sequence[str],
    storage: Mapping[str, str],
    batch_rows: int = BATCH_ROWS,
    profiles: Profiles = ALL_PROFILES,
    shard: int | None = None,
    opened: Opened | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of these files; see the module.

    Args:
        columns: what to read, by name, with the profile; nobody renames them.
        storage: as in `open_parquet`.
        profiles: only these.
        shard: only of this one; None: the files are of one shard.
        opened: the files of a task that reads several shards one after the other.

    Raises:
        CorruptData: a file cannot be read, lacks a column, or its profiles do not ascend.
    """
    keys = Keys(ALL_SHARDS if shard is None else (shard, shard + 1), profiles)
    opened = opened or Opened(storage, columns, 0)
    files = []
    for place, path in enumerate(paths):
        with naming(path):
            files.append(_File(opened.look(path), place, opened, columns, batch_rows, keys))
    return _merged(sorted(files, key=lambda file: file.begins))


class _File:
    """One file while it is merged: rows come in by `read` and leave by `take_below`.

    Attributes:
        path: as Iceberg has it.   place: among the files that were given.
        begins: the first profile it may have in the range; infinite where it has none.
        last: the last profile that was read, which may go on; infinite after the last batch.
    """

    def __init__(
        self,
        known: Known,
        place: int,
        opened: Opened,
        columns: Sequence[str],
        batch_rows: int,
        keys: Keys,
    ):
        missing = sorted(set(columns) - set(known.columns.names))
        if missing:
            raise CorruptData(
                f"{known.path}: no column {', '.join(missing)}; expected {len(columns)}"
            )
        groups = known.groups(keys)
        self.place, self.last = place, -math.inf
        self.begins = _begins(known, groups, keys)
        self.path, self._profiles = known.path, keys.profiles
        self._held: list[pa.RecordBatch] = []
        self._batches = _batches(known, opened, groups, columns, batch_rows, keys)
        if sum(_rows(known, opened, group, keys) for group in groups) <= batch_rows:
            for batch in self._batches:
                self._hold(batch)

    def read(self) -> None:
        """Hold one more batch; of a file that is read already there is none, so it delays no
        other."""
        with naming(self.path):
            for batch in self._batches:
                self._hold(batch)
                return
        self.last = math.inf

    def _hold(self, batch: pa.RecordBatch) -> None:
        if batch.column(_PROFILE).null_count:
            raise CorruptData(f"{self.path}: nulls in {_PROFILE}, expected none")
        profiles = _profiles(batch)
        if profiles[0] < self.last or (profiles[1:] < profiles[:-1]).any():
            raise not_sorted(self.path, "profiles")
        self.last = int(profiles[-1])
        if self._profiles != ALL_PROFILES:
            start, end = (_first(profiles, bound) for bound in self._profiles)
            batch = _part(batch, start, end)
        self._held.append(batch)

    def take_below(self, safe: float) -> list[pa.RecordBatch]:
        """The held rows of profiles before `safe`."""
        taken: list[pa.RecordBatch] = []
        for at, batch in enumerate(self._held):
            cut = batch.num_rows if safe == math.inf else _first(_profiles(batch), int(safe))
            taken += [batch.slice(0, cut)] if cut else []
            if cut < batch.num_rows:
                self._held = [batch.slice(cut), *self._held[at + 1 :]]
                return taken
        self._held = []
        return taken

    @property
    def held(self) -> list[Int]:
        """The profiles of the rows that are held, batch by batch."""
        return [_profiles(batch) for batch in self._held]

    @property
    def is_spent(self) -> bool:
        """Whether all rows came and went."""
        return self.last == math.inf and not self._held


def _merged(files: Sequence[_File]) -> Iterator[pa.RecordBatch]:
    """Pieces of complete profiles; the files stand in the order in which they begin."""
    at_hand: list[_File] = []
    waiting = deque(files)
    while waiting or at_hand:
        safe = _safe(at_hand)
        while waiting and waiting[0].begins <= safe:
            at_hand.append(waiting.popleft())
            at_hand[-1].read()
            safe = min(safe, at_hand[-1].last)
        in_order = sorted(at_hand, key=lambda file: file.place)
        for end in _ends(in_order, safe):
            if pieces := [(file, piece) for file in in_order for piece in file.take_below(end)]:
                yield _joined(pieces)
        at_hand = [file for file in at_hand if not file.is_spent]
        for file in at_hand:
            if file.last == safe:
                file.read()


def _ends(at_hand: Sequence[_File], safe: float) -> list[float]:
    """Profiles before which what is complete is cut into pieces; the last one is `safe`."""
    held = [of for file in at_hand for of in file.held]
    if sum(map(len, held)) < 2 * PIECE_ROWS:
        return [safe]
    below = held if safe == math.inf else [of[: _first(of, int(safe))] for of in held]
    pieces = sum(map(len, below)) // PIECE_ROWS
    if pieces < 2:
        return [safe]
    largest = max(below, key=len)
    cuts = largest[np.arange(1, pieces) * len(largest) // pieces]
    return [*np.unique(cuts).tolist(), safe]


def _joined(pieces: Sequence[tuple[_File, pa.RecordBatch]]) -> pa.RecordBatch:
    """All rows; CorruptData where files have other types of one column."""
    import pyarrow as pa

    try:
        return pa.concat_batches([piece for _, piece in pieces])
    except pa.ArrowInvalid as error:
        first = pieces[0][1].schema
        for file, piece in pieces:
            for here, there in zip(piece.schema, first, strict=True):
                if here.type != there.type:
                    raise CorruptData(
                        f"{file.path}: column {here.name} is {here.type}, expected {there.type}, "
                        "as in other files of the table",
                    ) from error
        raise


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Names the file that must be repaired: pyarrow's errors do not say which."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        away = "" if local_path(path) else "where the store was away, run it again; else "
        raise CorruptData(
            f"{path}: cannot be read: {error}",
            hint=f"{away}restore this file from a backup or another replica under the same name; "
            "rows of ema come back with `impressions compact`",
            reason="rotten_file",
        ) from error


def _safe(at_hand: Iterable[_File]) -> float:
    """The first profile that one of these files may have more rows of."""
    return min((file.last for file in at_hand), default=math.inf)


def _begins(known: Known, groups: Sequence[int], keys: Keys) -> float:
    """The first profile of a sorted file, or less; less than all where its footer does not say."""
    if not groups:
        return -math.inf
    bounds = known_bounds(known.metadata.row_group(groups[0]), known.columns, _PROFILE)
    return -math.inf if bounds is None else max(bounds[0], keys.profiles[0])


def _rows(known: Known, opened: Opened, group: int, keys: Keys) -> int:
    """Rows of a row group that are read for a range, its profiles aside."""
    if known.is_shared(group, keys):
        return int(opened.of_shard(known, group, keys).num_rows)
    return int(known.metadata.row_group(group).num_rows)


def _batches(
    known: Known,
    opened: Opened,
    groups: Sequence[int],
    columns: Sequence[str],
    batch_rows: int,
    keys: Keys,
) -> Iterator[pa.RecordBatch]:
    """Row group by row group: a reader of several would fetch them all ahead."""
    file: pq.ParquetFile | None = None
    for group in groups:
        if known.is_shared(group, keys):
            rows = opened.of_shard(known, group, keys)
            yield from (rows.slice(at, batch_rows) for at in range(0, rows.num_rows, batch_rows))
            continue
        file = file or opened.file(known)
        batches = file.iter_batches(
            batch_rows, row_groups=[group], columns=list(columns), use_threads=False
        )
        yield from (batch.select(list(columns)) for batch in batches if batch.num_rows)
    if file is not None and file is not known.small:
        file.close()


def _part(batch: pa.RecordBatch, start: int, end: int) -> pa.RecordBatch:
    """Rows of a batch; a few are copied, for a slice holds all of the batch in memory."""
    import pyarrow as pa

    if 2 * (end - start) > batch.num_rows:
        return batch.slice(start, end - start)
    return batch.take(pa.array(np.arange(start, end)))


def _first(profiles: Int, bound: int) -> int:
    """The place of the first profile that is not before the bound, of ascending ones."""
    if bound > np.iinfo(np.int64).max:
        return len(profiles)
    return int(np.searchsorted(profiles, bound))


def _profiles(batch: pa.RecordBatch) -> Int:
    profiles: Int = batch.column(_PROFILE).to_numpy()
    return profiles
