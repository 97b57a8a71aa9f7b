"""Sorted rows to data files of a table, as its readers expect them.

A file has the table's field ids, codec and page checksums; its entry has bounds, counts of nulls,
the partition and the id of the sort order. Row groups (lake/row_groups.py) and files are bounded in
size, so a long stream of rows becomes several files, each after the other in the order of the rows.

`Target` is all that a task needs to write: it travels to Spark's executors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from batch.lake import locations
from batch.lake.arrow_columns import integers
from batch.lake.layout import DICTIONARY_PROPERTY
from batch.lake.row_groups import MOST_ROWS, row_group_ends
from batch.lake.times_in_names import new_name
from impressions.clock import now_ms

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

_HELD_ROWS = 2 * MOST_ROWS


@dataclass(frozen=True)
class Target:
    """Where data files of one table go.

    Attributes:
        metadata_json: the table's metadata; its schema, layout and properties are used.
        io_properties: how its files are opened.
    """

    metadata_json: str
    io_properties: Mapping[str, str]

    def __reduce__(self) -> tuple[Any, ...]:
        return Target, (self.metadata_json, dict(self.io_properties))

    @cached_property
    def metadata(self) -> TableMetadata:
        from pyiceberg.table.metadata import TableMetadataUtil

        return TableMetadataUtil.parse_raw(self.metadata_json)

    @cached_property
    def io(self) -> FileIO:
        from pyiceberg.io import load_file_io

        return load_file_io(dict(self.io_properties), self.metadata.location)

    @cached_property
    def arrow(self) -> pa.Schema:
        """Arrow's schema of the table, with Iceberg's field ids."""
        import pyarrow as pa
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        plain = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
        return pa.schema(
            field.with_type(plain.get(field.type, field.type)).with_nullable(True)
            for field in schema_to_pyarrow(self.metadata.schema())
        )

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """What pyiceberg needs to read a file's statistics; the same for every file."""
        from pyiceberg.io.pyarrow import compute_statistics_plan, parquet_path_to_id_mapping

        schema = self.metadata.schema()
        return {
            "stats_columns": compute_statistics_plan(schema, self.metadata.properties),
            "parquet_column_mapping": parquet_path_to_id_mapping(schema),
        }


def target_of(table: Table) -> Target:
    """The table's, as it was loaded; snapshots are left out, a task does not read them."""
    if table.metadata.format_version >= 3:
        from batch.lake import format3

        format3.allow(table)
    slim = table.metadata.model_copy(
        update={"snapshots": [], "refs": {}, "snapshot_log": [], "metadata_log": [],
                "current_snapshot_id": None, "statistics": [], "partition_statistics": []}
    )  # fmt: skip
    return Target(slim.model_dump_json(), dict(table.io.properties))


class Files:
    """Data files of one partition, written in the order rows come in; the next begins when one is
    large enough. `close` returns them, not synced.

    Rows wait until it is known where their row group ends: less than three row groups of them.
    """

    def __init__(self, target: Target, partition: Mapping[str, Any], full_bytes: int | None = None):
        """
        Args:
            partition: value by the name of each partition field, as Iceberg holds it (times in us).
            full_bytes: where a file ends, once a row group is written; None: as the table says.
        """
        self._target, self._partition = target, partition
        said = target.metadata.properties.get("write.target-file-size-bytes", 512 << 20)
        self._full_bytes = int(said) if full_bytes is None else full_bytes
        self._by_shard = _is_by_shard(target.metadata)
        self._schema: pa.Schema | None = None
        self._held: list[pa.Table] = []
        self._done: list[DataFile] = []
        self._open: _OpenFile | None = None

    def write(self, rows: pa.Table) -> None:
        """`rows`: columns of the table, sorted as its sort order says; missing ones are null."""
        if not rows.num_rows:
            return
        self._schema = self._schema or _file_schema(self._target.arrow, rows.schema)
        self._held.append(_conformed(rows, self._schema))
        if sum(held.num_rows for held in self._held) >= _HELD_ROWS:
            self._write_groups(is_last=False)

    def close(self) -> list[DataFile]:
        self._write_groups(is_last=True)
        self._finish()
        return self._done

    def discard(self) -> None:
        """Deletes what was written; `close` is not called any more."""
        self._held = []
        for file in self.close():
            self._target.io.delete(file.file_path)

    def _write_groups(self, *, is_last: bool) -> None:
        import pyarrow as pa

        if not self._held:
            return
        rows = pa.concat_tables(self._held).unify_dictionaries()
        shards = integers(rows, "shard") if self._by_shard else np.zeros(rows.num_rows, np.int64)
        start = 0
        for end in row_group_ends(shards, is_last=is_last):
            self._open = self._open or _OpenFile(self._target, self._partition, rows.schema)
            self._open.write(rows.slice(start, end - start))
            start = end
            if self._open.size_bytes >= self._full_bytes:
                self._finish()
        self._held = [rows.slice(start)] if start < rows.num_rows else []

    def _finish(self) -> None:
        if self._open is not None:
            self._done.append(self._open.close())
            self._open = None


def _is_by_shard(metadata: TableMetadata) -> bool:
    """Whether the table's rows are sorted by shard first."""
    order = metadata.sort_order_by_id(metadata.default_sort_order_id)
    names = [metadata.schema().find_column_name(field.source_id) for field in order.fields]  # type: ignore[union-attr]
    return names[:1] == ["shard"]


def write(target: Target, partition: Mapping[str, Any], rows: pa.Table) -> list[DataFile]:
    """Files of rows that are all there; see `Files`."""
    files = Files(target, partition)
    files.write(rows)
    return files.close()


class _OpenFile:
    """One Parquet file while it is being written."""

    def __init__(self, target: Target, partition: Mapping[str, Any], schema: pa.Schema):
        import pyarrow.parquet as pq
        from pyiceberg.io.pyarrow import _get_parquet_writer_kwargs

        self._target, metadata = target, target.metadata
        self._partition = [partition[field.name] for field in metadata.spec().fields]
        self._location = _new_location(metadata, partition)
        self._stream = create(target.io, self._location)
        self._writer = pq.ParquetWriter(
            self._stream,
            schema,
            write_page_checksum=True,
            store_schema=False,
            use_dictionary=_dictionary_columns(metadata),
            **_get_parquet_writer_kwargs(metadata.properties),
        )

    @property
    def size_bytes(self) -> int:
        """Of the row groups written so far."""
        return int(self._stream.tell())

    def write(self, rows: pa.Table) -> None:
        """One row group."""
        self._writer.write_table(rows, row_group_size=MOST_ROWS)

    def close(self) -> DataFile:
        from pyiceberg.io.pyarrow import data_file_statistics_from_parquet_metadata
        from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
        from pyiceberg.typedef import Record

        metadata = self._target.metadata
        with self._stream:
            self._writer.close()
            size_bytes = self._stream.tell()
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=self._writer.writer.metadata, **self._target.statistics
        )
        file = DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=self._location,
            file_format=FileFormat.PARQUET,
            partition=Record(*self._partition),
            file_size_in_bytes=size_bytes,
            sort_order_id=metadata.default_sort_order_id or None,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )
        file.spec_id = metadata.default_spec_id
        return file


def _new_location(metadata: TableMetadata, partition: Mapping[str, Any]) -> str:
    from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
    from pyiceberg.table.locations import load_location_provider

    provider = load_location_provider(metadata.location, metadata.properties)
    spec, schema = metadata.spec(), metadata.schema()
    typed = [PartitionFieldValue(field, partition[field.name]) for field in spec.fields]
    key = PartitionKey(typed, spec, schema)
    return provider.new_data_location(f"{new_name(now_ms())}.parquet", key)


def _dictionary_columns(metadata: TableMetadata) -> list[str] | bool:
    listed = metadata.properties.get(DICTIONARY_PROPERTY)
    return listed.split(",") if listed else True


def create(io: FileIO | None, location: str) -> Any:
    """A stream to a new file; a local one is synced later, with the others of its commit."""
    if (path := locations.local_path(location)) is None:
        assert io is not None, location
        return io.new_output(location).create()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _file_schema(schema: pa.Schema, given: pa.Schema) -> pa.Schema:
    """The table's; a column that is given as a dictionary is written from it, which the file does
    not show."""
    import pyarrow as pa

    def kind(field: pa.Field) -> pa.DataType:
        at = given.get_field_index(field.name)
        if at >= 0 and pa.types.is_dictionary(given.field(at).type):
            return pa.dictionary(pa.int32(), pa.string())
        return field.type

    return pa.schema(field.with_type(kind(field)) for field in schema)


def _conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    columns = [
        rows[field.name].cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
