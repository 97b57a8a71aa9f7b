"""How the rows of a table lie in its files: partitions, sort order, and what writers are told.

The files of a table are sorted locally (Iceberg's sort order; each writer sorts what it has), and
no writer shuffles on its own: distribution-mode is none, jobs say how rows are dealt out.

A table of an earlier version gets the layout that it lacks before something is written to it: raw
was one file per slot and shard. Files that are there stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.sorting import SortOrder

DICTIONARY_PROPERTY = "impressions.dictionary-columns"
"""Columns that lake/data_file_writer.py writes with a dictionary: those in which values repeat."""


@dataclass(frozen=True)
class TableLayout:
    """How one table lies.

    Attributes:
        partition: columns that a file has one value of each.   order: of the rows in a file.
        properties: of the table.
    """

    partition: tuple[str, ...]
    order: tuple[str, ...]
    properties: Mapping[str, str]


_COMMON = {
    "format-version": "2",
    "write.distribution-mode": "none",
    "write.parquet.compression-codec": "zstd",
    "write.target-file-size-bytes": str(128 << 20),
    "commit.manifest-merge.enabled": "true",
    # Hourly commits would leave a metadata file each, and none would ever be deleted.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}
_WITH_SOURCE = {  # importing/imported.py reads uncut bounds of `source`
    "write.metadata.metrics.column.source": "full"
}

RAW = TableLayout(
    ("ingest_slot",),
    ("shard", "profile_id", "title_id", "event_time"),
    _COMMON
    | _WITH_SOURCE
    | {
        DICTIONARY_PROPERTY: "ingest_slot,shard,profile_id,location,row,position,log_index,source,"
        "device_type,app_version"
    },
)
REJECTED = TableLayout(
    ("source",),
    ("file", "row_number"),
    _COMMON
    | _WITH_SOURCE
    | {
        DICTIONARY_PROPERTY: "source,file,reason,ingest_slot,shard,log_index,device_type,"
        "app_version"
    },
)
EMA = TableLayout(
    ("shard",),
    ("profile_id", "title_id", "location", "tail_day"),
    _COMMON | {DICTIONARY_PROPERTY: "shard,profile_id,location,tail_day,impressions,plays"},
)
QUALITY = TableLayout(("month",), ("day", "location", "device_type", "app_version"), _COMMON)


def bring_into(table: Table, wanted: TableLayout) -> None:
    """Changes partitions and sort order of a table that an earlier version made, as far as they
    differ.

    Raises:
        CommitFailedException: another commit came first.
    """
    if not _is_in(table, wanted):
        _change(table, wanted)


def with_dictionaries(there: Table, wanted: TableLayout) -> Table:
    """Says which columns have a dictionary, in a table that an earlier version made without."""
    said = {k: v for k, v in wanted.properties.items() if k == DICTIONARY_PROPERTY}
    if said.keys() - there.properties.keys() and there.metadata.format_version < 3:
        with there.transaction() as transaction:
            transaction.set_properties(said)
    return there


def _is_in(table: Table, wanted: TableLayout) -> bool:
    fields = tuple(field.name for field in table.spec().fields)
    order = sort_order(table.schema(), wanted.order)
    return fields == wanted.partition and table.sort_order().fields == order.fields


def _change(table: Table, wanted: TableLayout) -> None:
    from pyiceberg.table.sorting import NullOrder
    from pyiceberg.transforms import IdentityTransform

    if table.metadata.format_version >= 3:
        from batch.lake import format3

        format3.allow(table)
    with table.transaction() as transaction:
        with transaction.update_spec() as spec:
            for field in table.spec().fields:
                if field.name not in wanted.partition:
                    spec.remove_field(field.name)
        with transaction.update_sort_order() as sorting:
            for name in wanted.order:
                sorting.asc(name, IdentityTransform(), NullOrder.NULLS_FIRST)


def partition_spec(schema: Schema, names: Sequence[str]) -> PartitionSpec:
    """Partitioned by these columns as they are."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    ids = [schema.find_field(name).field_id for name in names]
    return PartitionSpec(
        *(
            PartitionField(source_id=id_, field_id=1000 + i, transform=IdentityTransform(), name=n)
            for i, (id_, n) in enumerate(zip(ids, names, strict=True))
        )
    )


def sort_order(schema: Schema, names: Sequence[str]) -> SortOrder:
    """Sorted by these columns, ascending."""
    from pyiceberg.table.sorting import SortField, SortOrder
    from pyiceberg.transforms import IdentityTransform

    ids = [schema.find_field(name).field_id for name in names]
    return SortOrder(*(SortField(source_id=id_, transform=IdentityTransform()) for id_ in ids))
