"""The rows of one shard, read straight from its data files: no Spark, no JVM.

In: Parquet files of `impressions.ema`, each ascending by profile; their ranges may overlap. Out:
the same rows in pieces of complete profiles, ascending by profile. Within a profile rows stand as
in the file, by (title, location, tail day); blocks want the tail day first
(batch/exporting/profile_packing.py).

    open    every file, for its footer, which says where its profiles begin
    read    batch by batch, and only files that may hold a profile at hand
    cut     what is below `safe`, the first profile that may have more rows, is complete

Memory: of each file at hand a batch and what its reader holds, and the rows of one profile, however
large the shard. `compact` leaves disjoint files, so one is at hand, or two where the first ends
within a profile. A reader holds a MiB a column of a local file, and of an object a row group
(128 MiB as Iceberg writes them), which is fetched in parallel.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from batch.lake.locations import local_path
from impressions.core.decay import Int
from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 65_536
_BUFFER_BYTES = 1 << 20
_PROFILE = "profile_id"


def complete_profiles_of(
    paths: Iterable[str],
    columns: Sequence[str],
    storage: Mapping[str, str],
    batch_rows: int = BATCH_ROWS,
) -> Iterator[pa.RecordBatch]:
    """The rows of these files; see the module.

    Args:
        columns: what to read, by name; a generation is one commit, so its files agree on names.
        storage: as in `open_parquet`.

    Raises:
        CorruptData: a file cannot be read, lacks a column, or its profiles do not ascend.
    """
    files = []
    for path in paths:
        with _named(path):
            files.append(_File(path, open_parquet(path, storage), columns, batch_rows))
    return _merged(sorted(files, key=lambda file: file.begins))


def open_parquet(path: str, storage: Mapping[str, str]) -> pq.ParquetFile:
    """A data file, by the path that Iceberg has of it; checksums of pages are verified.

    Args:
        storage: properties of pyiceberg's FileIO, such as `s3.endpoint`; local files need none.
    """
    import pyarrow.parquet as pq

    # As a Path: in a text pyarrow takes `%20` for an escape.
    if (local := local_path(path)) is not None:
        return pq.ParquetFile(
            local, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True
        )
    from pyiceberg.io import load_file_io

    source = load_file_io(dict(storage), path).new_input(path).open()
    return pq.ParquetFile(source, pre_buffer=True, page_checksum_verification=True)


class _File:
    """One file while it is merged: rows come in by `read` and leave by `take_below`.

    Attributes:
        begins: its first profile, or less where the footer does not say.
        last: the last profile that was read, which may go on; infinite after the last batch.
    """

    def __init__(self, path: str, file: pq.ParquetFile, columns: Sequence[str], batch_rows: int):
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            raise CorruptData(f"{path}: no column {', '.join(missing)}; expected {len(columns)}")
        self.begins, self.last = _begins(file), -math.inf
        self._path, self._batches = path, _batches(file, columns, batch_rows)
        self._held: list[pa.RecordBatch] = []

    def read(self) -> None:
        """Hold one more batch."""
        with _named(self._path):
            batch = next(self._batches, None)
        if batch is None:
            self.last = math.inf
            return
        if batch.column(_PROFILE).null_count:
            raise CorruptData(f"{self._path}: nulls in {_PROFILE}, expected none")
        profiles = _profiles(batch)
        if profiles[0] < self.last or (profiles[1:] < profiles[:-1]).any():
            raise CorruptData(f"{self._path}: profiles do not ascend; expected a sorted file")
        self.last = int(profiles[-1])
        self._held.append(batch)

    def take_below(self, safe: float) -> list[pa.RecordBatch]:
        """The held rows of profiles before `safe`."""
        taken, held = [], []
        for batch in self._held:
            cut = batch.num_rows
            if safe < math.inf:
                cut = int(np.searchsorted(_profiles(batch), int(safe)))
            taken += [batch.slice(0, cut)] if cut else []
            held += [batch.slice(cut)] if cut < batch.num_rows else []
        self._held = held
        return taken

    @property
    def is_spent(self) -> bool:
        """Whether all rows came and went."""
        return self.last == math.inf and not self._held


def _merged(waiting: list[_File]) -> Iterator[pa.RecordBatch]:
    """Pieces of complete profiles; the files stand in the order in which they begin."""
    import pyarrow as pa

    at_hand: list[_File] = []
    while waiting or at_hand:
        while waiting and waiting[0].begins <= _safe(at_hand):
            at_hand.append(waiting.pop(0))
            at_hand[-1].read()
        safe = _safe(at_hand)
        if pieces := [piece for file in at_hand for piece in file.take_below(safe)]:
            yield pa.concat_batches(pieces)
        at_hand = [file for file in at_hand if not file.is_spent]
        for file in at_hand:
            if file.last == safe:
                file.read()


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Names the file that must be repaired: pyarrow's errors do not say which."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(f"{path}: cannot be read: {error}") from error


def _safe(at_hand: Iterable[_File]) -> float:
    """The first profile that one of these files may have more rows of."""
    return min((file.last for file in at_hand), default=math.inf)


def _begins(file: pq.ParquetFile) -> float:
    """The first profile of a sorted file; less than all where its footer does not say."""
    if not file.num_row_groups:
        return -math.inf
    at = file.schema_arrow.get_field_index(_PROFILE)
    known = file.metadata.row_group(0).column(at).statistics
    return int(known.min) if known is not None and known.has_min_max else -math.inf


def _batches(
    file: pq.ParquetFile, columns: Sequence[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Row group by row group: a reader of several would fetch them all ahead."""
    for group in range(file.num_row_groups):
        batches = file.iter_batches(
            batch_rows, row_groups=[group], columns=list(columns), use_threads=False
        )
        yield from (batch for batch in batches if batch.num_rows)


def _profiles(batch: pa.RecordBatch) -> Int:
    profiles: Int = batch.column(_PROFILE).to_numpy()
    return profiles
