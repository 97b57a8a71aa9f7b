"""A Parquet file: its columns, and rows of some row groups in bounded batches.

Only leaf columns that are mapped are decoded, chosen by place and not by name, so that no type or
name of another matters and a nested `a.b` is not a column called "a.b". Page checksums are verified
where the writer stored them. INT96 times are read as milliseconds: as nanoseconds, years far away
would wrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from batch.files.identify import SourceFile, opened
from batch.files.layout import Column, Layout
from batch.mapping.kinds import kind_of
from batch.mapping.rows import Rows, plain_column
from impressions.core.errors import CorruptData, ImpressionsError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_BYTES = 32 << 20


def columns_of(file: SourceFile) -> tuple[Layout, tuple[int, ...]]:
    """(columns, rows of each row group) of the footer.

    Raises:
        CorruptData, UsageError: cut, encrypted, or not Parquet at all.
    """
    with open_parquet(file) as parquet:
        meta = parquet.metadata
        groups = tuple(meta.row_group(i).num_rows for i in range(meta.num_row_groups))
        if sum(groups) != meta.num_rows:
            raise CorruptData(
                f"{file.name}: its footer says {meta.num_rows:,} rows, its row groups "
                f"{sum(groups):,}",
                hint="write the file again",
            )
        columns = tuple(_columns(parquet))
        return Layout(columns, len(columns)), groups


def rows_of(
    file: SourceFile, columns: Sequence[Column], groups: Sequence[int], rows: int
) -> Iterator[Rows]:
    """Rows of these row groups in order, at most `rows` at a time.

    Raises:
        CorruptData: what does not decode, another number of rows than the footer says.
        UsageError: a codec or an encryption that is not read.
    """
    with open_parquet(file) as parquet:
        coded = _dictionaries(parquet.metadata, columns, groups)
    with open_parquet(file, coded) as parquet:
        meta = parquet.metadata
        counts = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
        start = sum(counts[: groups[0]]) if groups else 0
        expected = sum(counts[i] for i in groups)
        _refuse_codecs(file, meta, columns, groups)
        found = 0
        batches = parquet.reader.iter_batches(
            _batch_rows(meta, columns, groups, rows),
            row_groups=list(groups),
            column_indices=[column.index for column in columns],
            use_threads=False,
        )
        for wide in batches:
            for batch in _bounded(wide):
                yield _rows(batch, columns, start + found)
                found += batch.num_rows
        if found != expected:
            raise CorruptData(
                f"{file.name}: expected {expected:,} rows as its footer says, found {found:,}",
                hint="write the file again",
            )


@contextmanager
def open_parquet(file: SourceFile, dictionaries: Sequence[str] = ()) -> Iterator[Any]:
    """The open file; what Arrow raises inside comes out as a refusal that names the file.

    Args:
        dictionaries: columns of text to be left as codes and a dictionary.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with opened(file.path) as data:
        try:
            yield pq.ParquetFile(
                pa.PythonFile(data, mode="r"),
                read_dictionary=list(dictionaries),
                coerce_int96_timestamp_unit="ms",
                page_checksum_verification=True,
            )
        except ImpressionsError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise _refusal(file, error) from None


def _columns(parquet: Any) -> Iterator[Column]:
    """Top-level columns; those of several leaves, or of lists, cannot be read."""
    import pyarrow as pa

    leaves = [parquet.schema.column(i) for i in range(len(parquet.schema))]
    single = iter(
        [
            (leaf.name, i)
            for i, leaf in enumerate(leaves)
            if leaf.name == leaf.path and not leaf.max_repetition_level
        ]
    )
    for field in parquet.schema_arrow:
        if pa.types.is_nested(field.type):
            yield Column(field.name, "other", -1)
            continue
        name, index = next(single)
        if name != field.name:
            raise pa.ArrowInvalid(f"column {field.name!r} stands for the leaf {name!r}")
        yield Column(field.name, kind_of(field.type), index)


def _dictionaries(meta: Any, columns: Sequence[Column], groups: Sequence[int]) -> list[str]:
    """Columns of text that the file holds as codes: written out, a small file may be gigabytes."""
    names = []
    for column in columns:
        chunks = (meta.row_group(i).column(column.index) for i in groups)
        if any(
            chunk.physical_type == "BYTE_ARRAY" and any("DICT" in e for e in chunk.encodings)
            for chunk in chunks
        ):
            names.append(column.name)
    return names


def _bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in parts whose text is bounded once it is written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and kind_of(column.type) == "text":
            lengths = pc.binary_length(column.dictionary.cast(pa.large_binary()))
            sizes += lengths.take(column.indices).fill_null(0).to_numpy(zero_copy_only=False)
    part = np.cumsum(sizes) // _BATCH_BYTES
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    for start, end in pairwise([*starts.tolist(), batch.num_rows]):
        yield batch.slice(start, end - start)


def _rows(batch: pa.RecordBatch, columns: Sequence[Column], first: int) -> Rows:
    garbled = np.zeros(batch.num_rows, np.bool_)
    cells = {}
    for column, values in zip(columns, batch.columns, strict=True):
        cells[column.name], bad = plain_column(values)
        garbled |= bad
    return Rows(
        row_number=np.arange(first, first + batch.num_rows),
        cells=cells,
        garbled=garbled,
        broken={},
    )


def _batch_rows(meta: Any, columns: Sequence[Column], groups: Sequence[int], rows: int) -> int:
    """At most `rows`, fewer where rows are wide."""
    size = most = 0
    for i in groups:
        group = meta.row_group(i)
        mine = sum(group.column(column.index).total_uncompressed_size for column in columns)
        if group.num_rows and mine / group.num_rows > most:
            most = mine / group.num_rows
        size += mine
    return max(1, min(rows, int(_BATCH_BYTES / most))) if most else rows


def _refuse_codecs(
    file: SourceFile, meta: Any, columns: Sequence[Column], groups: Sequence[int]
) -> None:
    import pyarrow as pa

    for i in groups:
        for column in columns:
            codec = meta.row_group(i).column(column.index).compression
            if codec != "UNCOMPRESSED" and not _is_read(pa, codec):
                raise UsageError(
                    f"{file.name}: column {column.name!r} is compressed by {codec}, which is not "
                    "read", hint="write it with zstd or snappy", reason="codec",
                )  # fmt: skip


def _is_read(pa: Any, codec: str) -> bool:
    try:
        return bool(pa.Codec.is_available(codec.lower()))
    except (ValueError, NotImplementedError):
        return False


def _refusal(file: SourceFile, error: Exception) -> ImpressionsError:
    import pyarrow as pa

    first_line = str(error).partition("\n")[0]
    if "encrypt" in first_line or "decrypt" in first_line:
        return UsageError(
            f"{file.name}: encrypted Parquet is not read: {first_line}",
            hint="write it without encryption", reason="encrypted",
        )  # fmt: skip
    if isinstance(error, pa.ArrowNotImplementedError):
        return UsageError(
            f"{file.name}: not read: {first_line}",
            hint="write it with zstd or snappy and plain types", reason="unsupported",
        )  # fmt: skip
    return CorruptData(
        f"{file.name}: not readable as Parquet ({file.size_bytes:,} bytes): {first_line}",
        hint="was it copied completely?",
    )
