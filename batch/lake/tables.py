"""The four Iceberg tables of the batch path: names, columns, layout, and whether they fit.

    raw        one row per valid impression, every copy kept; partitioned by ingest_slot
    rejected   what did not count, with the reason and the row as it came; partitioned by source
    ema        one row per (profile, title, location, tail day); partitioned by shard
    quality    one row per ingest day and segment (batch/quality); partitioned by month

Columns are optional because files of plain Spark are nullable; jobs audit nulls instead. The files
of a table are sorted locally (Iceberg's sort order; each writer sorts what it has), and no writer
shuffles on its own: distribution-mode is none, jobs say how rows are dealt out. Columns have the
types of Spark's SQL here; what Iceberg and Arrow call them follows.

A table of an earlier version gets what it lacks before something is written to it: new columns,
and of raw the layout, which was one file per slot and shard. Files that are there stay as they are.

A table carries the numbers it was made with, the spec's fingerprint and P, as properties. Settings
that differ are refused: a slot of another length or a shard of another P would be silently wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from batch.lake import locations
from batch.lake.catalog import open_catalog
from impressions.core.errors import NotReady, Refused
from impressions.core.spec import PARTITIONER, Spec
from impressions.settings.model import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.sorting import SortOrder

NAMESPACE = "impressions"
_ATTEMPTS, _PAUSE_S = 5, 0.2
SPEC_PROPERTY = "impressions.spec"
PARTITIONS_PROPERTY = "impressions.partitions"
PARTITIONER_PROPERTY = "impressions.partitioner"
SLOT_PROPERTY = "impressions.slot-ms"  # for people; the fingerprint covers it
DICTIONARY_PROPERTY = "impressions.dictionary-columns"
"""Columns that lake/data_file_writer.py writes with a dictionary: those in which values repeat."""

RAW = "raw"
REJECTED = "rejected"
EMA = "ema"
QUALITY = "quality"

RAW_COLUMNS = {
    "ingest_slot": "timestamp",  # start of the slot
    "shard": "int",
    "profile_id": "bigint",
    "title_id": "bigint",
    "location": "int",
    "row": "int",
    "position": "int",
    "event_time": "timestamp",  # already clamped
    "ingest_time": "timestamp",
    "played": "boolean",
    "dwell_s": "double",
    "log_id": "bigint",  # null: not identified, never a duplicate
    "log_offset": "bigint",  # with log_index: which occurrence of the flush
    "log_index": "int",
    "source": "string",  # kafka:<topic's id>, or file:<the file's sha256>; 16 digits of either
    "device_type": "string",
    "app_version": "string",
    "duplicate": "boolean",  # null: not decided yet, so the slot is not closed
}
REJECTED_COLUMNS = {
    "source": "string",
    "file": "string",
    "row_number": "bigint",  # from 0, of the rows of the file; a header is none
    "reason": "string",
    "ingest_slot": "timestamp",  # null where the ingest time is not known
    "row": "string",  # JSON; of files
    # Of Kafka, with `source` the identity; shard is the partition.
    "shard": "int",
    "log_offset": "bigint",
    "log_index": "int",  # null: the whole record could not be read
    "impression": "int",  # place in its device flush; null where that could not be read
    # An ImpressionRecord with that flush, or the bytes that are none; once per flush, with its
    # first rejected impression, and cut where `value_bytes`, its full length, is more.
    "value": "binary",
    "value_bytes": "bigint",
    # Of both, as far as the sender said; null in rows of earlier versions.
    "device_type": "string",
    "app_version": "string",
}
QUALITY_COLUMNS = {
    "month": "string",  # 2026-11
    "day": "date",  # of ingest, UTC
    # Null: not divided by it. `unknown`: not said. `other`: pooled, for it was too small.
    "location": "string",
    "device_type": "string",
    "app_version": "string",
    "impressions": "bigint",  # that are no duplicates; so are all that follow but two
    "profiles": "bigint",
    "plays": "bigint",
    "duplicates": "bigint",
    "repeated": "bigint",  # the same profile, title and event time under another log id
    "again": "bigint",  # the same profile and title within a minute
    "clamped": "bigint",  # event time = ingest time
    "late": "bigint",  # came more than an hour after
    "zero_dwell": "bigint",
    "squares": "bigint",  # of the impressions of each profile, added
    "dwell_median_s": "double",
    "dwell_p99_s": "double",
    "largest": "bigint",  # impressions of the profile that has most
    "largest_profile": "bigint",
    "top_location": "bigint",  # impressions of the location that has most
    "titles": "bigint",  # of the whole day only, as the next two
    "new_titles": "bigint",  # that nobody had in the 28 days before
    "title_sample": "binary",  # batch/quality/title_sample.py, little-endian
    "rejected_rows": "bigint",
    "rejected": "string",  # JSON: reason -> rows
    "hours": "string",  # JSON: 24 counts, by the hour of the event time
    "by_hour": "string",  # JSON: name -> 24 counts, by the hour of ingest (batch/quality/counts.py)
    "files": "string",  # which files of raw were counted
    # For people: the same counts, divided. The judge divides by itself.
    "impressions_per_profile": "double",
    "plays_per_impression": "double",
    "share_zero_dwell": "double",
    "share_clamped": "double",
    "share_late": "double",
    "share_largest_profile": "double",
}

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
_REPEATING = {
    RAW: "ingest_slot,shard,profile_id,location,row,position,log_index,source,device_type,"
    "app_version",
    REJECTED: "source,file,reason,ingest_slot,shard,log_index,device_type,app_version",
    EMA: "shard,profile_id,location,tail_day,impressions,plays",
}
_PROPERTIES = {
    RAW: _COMMON | _WITH_SOURCE | {DICTIONARY_PROPERTY: _REPEATING[RAW]},
    REJECTED: _COMMON | _WITH_SOURCE | {DICTIONARY_PROPERTY: _REPEATING[REJECTED]},
    EMA: _COMMON | {DICTIONARY_PROPERTY: _REPEATING[EMA]},
    QUALITY: _COMMON,
}
_LAYOUT = {
    RAW: (("ingest_slot",), ("shard", "profile_id", "title_id", "event_time")),
    REJECTED: (("source",), ("file", "row_number")),
    EMA: (("shard",), ("profile_id", "title_id", "location", "tail_day")),
    QUALITY: (("month",), ("day", "location", "device_type", "app_version")),
}


def ema_columns(spec: Spec) -> dict[str, str]:
    """Columns of ema: keys, last seen, a total per measure, a double per measure and half-life."""
    totals = {m.name: "bigint" if m.integral else "double" for m in spec.measures}
    return {
        "shard": "int",
        "profile_id": "bigint",
        "title_id": "bigint",
        "location": "int",
        "tail_day": "date",  # null: not a tail day
        "last_seen": "timestamp",
        **totals,
        **dict.fromkeys(spec.decayed_names, "double"),
    }


def columns_of(table: str, spec: Spec) -> dict[str, str]:
    """Column name -> Spark SQL type, in the order of the table."""
    if table == EMA:
        return ema_columns(spec)
    return {RAW: RAW_COLUMNS, REJECTED: REJECTED_COLUMNS, QUALITY: QUALITY_COLUMNS}[table]


def columns_there(table: Table) -> list[tuple[str, str]]:
    """(name, Spark SQL type) of a table's columns, in order."""
    words = {"long": "bigint", "timestamptz": "timestamp", "timestamp": "timestamp_ntz"}
    kinds = [(field.name, str(field.field_type)) for field in table.schema().fields]
    return [(name, words.get(kind, kind)) for name, kind in kinds]


def full_name(settings: Settings, table: str) -> str:
    """`lake.impressions.raw`: what SQL, `spark.table` and procedures take."""
    return f"{settings.catalog.name}.{NAMESPACE}.{table}"


def find(settings: Settings, table: str) -> Table | None:
    """The table as it is now; None where it, or the default catalog, does not exist."""
    default = settings.catalog.type == "jdbc" and settings.catalog.uri is None
    if default and not settings.catalog_file.exists():
        return None
    return _load(open_catalog(settings), table)


def fitting(settings: Settings, table: str) -> Table | None:
    """The same; Refused where it does not fit."""
    there = find(settings, table)
    if there is not None:
        _check_fits(settings, there)
    return there


def require(settings: Settings, table: str, hint: str) -> Table:
    """NotReady (with `hint`) where the table does not exist; Refused where it does not fit."""
    there = fitting(settings, table)
    if there is None:
        raise NotReady(
            f"table {full_name(settings, table)} does not exist yet", hint=hint, reason="no_table"
        )
    return there


def to_rewrite(settings: Settings, hint: str) -> Table:
    """Raw as `require` gives it, in the layout in which files are written now."""
    require(settings, RAW, hint)
    return create_if_missing(settings, RAW)[0]


def create_if_missing(settings: Settings, *tables: str) -> list[Table]:
    """Makes the tables that are not there, and checks those that are. Raises Refused."""
    catalog = _with_namespace(settings)
    return [_made(catalog, settings, table) for table in tables]


def _check_fits(settings: Settings, table: Table) -> None:
    """Refused, with both values, where the table was made with other numbers than the settings, or
    lies in another home than the catalog that names it."""
    _check_home(settings, table)
    found, expected = table.properties, _identity(settings)
    for key, what in (
        (SLOT_PROPERTY, "slot_seconds x 1000"),
        (PARTITIONS_PROPERTY, "partitions"),
        (PARTITIONER_PROPERTY, "the partitioner"),
        (SPEC_PROPERTY, "the spec's fingerprint"),
    ):
        if found.get(key) != expected[key]:
            raise Refused(
                f"table {settings.catalog.name}.{'.'.join(table.name())} was made with {key} = "
                f"{found.get(key, 'none')}, but the settings say {expected[key]} ({what})",
                hint="use the settings the table was made with, or another home or catalog.uri",
                reason="table_mismatch",
            )


def _check_home(settings: Settings, table: Table) -> None:
    """A home that was copied or moved has a catalog that names the original's files."""
    if settings.catalog.type != "jdbc" or settings.catalog.uri is not None:
        return
    lies, here = (locations.local_path(at) for at in (table.location(), settings.warehouse_uri))
    if lies is not None and here is not None and not lies.is_relative_to(here):
        raise Refused(
            f"table {'.'.join(table.name())} lies in {lies}, expected below {here}: this home was "
            "copied or moved, and a commit would go into the original",
            hint="use the original home, or put it back in its place; a new home starts empty",
            reason="home_moved",
        )


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Arrow's types for columns in the types of Spark's SQL."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "binary": pa.binary(),
        "date": pa.date32(),
    }
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


def _with_namespace(settings: Settings) -> Catalog:
    """The catalog, with the namespace in it.

    The very first two jobs of a catalog both make its own tables, which fails for one of them.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            catalog = open_catalog(settings)
            catalog.create_namespace_if_not_exists(NAMESPACE)
        except Exception:  # each catalog's driver raises its own; the last one is raised on
            if not left:
                raise
            time.sleep(_PAUSE_S)
        else:
            return catalog
    raise AssertionError("unreachable: the last attempt returns or raises")


def _made(catalog: Catalog, settings: Settings, table: str) -> Table:
    from pyiceberg.exceptions import TableAlreadyExistsError

    columns = arrow_schema(columns_of(table, settings.spec))
    if there := _load(catalog, table):
        _check_fits(settings, there)
        there = _with_dictionaries(_with_new_columns(there, columns), table)
        return _in_layout(there) if table == RAW else there
    schema = _numbered(columns)
    partition, order = _LAYOUT[table]
    try:
        return catalog.create_table(
            (NAMESPACE, table),
            schema,
            partition_spec=_partition_spec(schema, partition),
            sort_order=_sort_order(schema, order),
            properties=_PROPERTIES[table] | _identity(settings),
        )
    except TableAlreadyExistsError:  # another job made it at the same moment
        return catalog.load_table((NAMESPACE, table))


def _with_new_columns(table: Table, columns: pa.Schema) -> Table:
    """Adds those that an earlier version of this code did not have; in old rows they are null."""
    import pyarrow as pa

    if new := [field for field in columns if field.name not in table.schema().column_names]:
        with table.update_schema() as update:
            update.union_by_name(pa.schema(new))
    return table


def _with_dictionaries(there: Table, table: str) -> Table:
    """Says which columns have a dictionary, in a table that an earlier version made without."""
    wanted = {k: v for k, v in _PROPERTIES[table].items() if k == DICTIONARY_PROPERTY}
    if wanted.keys() - there.properties.keys() and there.metadata.format_version < 3:
        with there.transaction() as transaction:
            transaction.set_properties(wanted)
    return there


def _in_layout(raw: Table) -> Table:
    """Changes partitioning and sort order of a table that an earlier version made."""
    from pyiceberg.exceptions import CommitFailedException

    for left in reversed(range(_ATTEMPTS)):
        if not _is_in_layout(raw):
            try:
                _change_layout(raw)
            except CommitFailedException:  # another commit came first, maybe one that did this
                if not left:
                    raise
                raw.refresh()
    return raw


def _is_in_layout(raw: Table) -> bool:
    names, order = _LAYOUT[RAW]
    fields = [field.name for field in raw.spec().fields]
    return (
        fields == list(names) and raw.sort_order().fields == _sort_order(raw.schema(), order).fields
    )


def _change_layout(raw: Table) -> None:
    from pyiceberg.table.sorting import NullOrder
    from pyiceberg.transforms import IdentityTransform

    names, order = _LAYOUT[RAW]
    if raw.metadata.format_version >= 3:
        from batch.lake import format3

        format3.allow(raw)
    with raw.transaction() as transaction:
        with transaction.update_spec() as spec:
            for field in raw.spec().fields:
                if field.name not in names:
                    spec.remove_field(field.name)
        with transaction.update_sort_order() as sorting:
            for name in order:
                sorting.asc(name, IdentityTransform(), NullOrder.NULLS_FIRST)


def _load(catalog: Catalog, table: str) -> Table | None:
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    try:
        return catalog.load_table((NAMESPACE, table))
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def _numbered(columns: pa.Schema) -> Schema:
    """The columns for Iceberg, with field ids from 1 on."""
    import pyarrow as pa
    from pyiceberg.io.pyarrow import pyarrow_to_schema

    return pyarrow_to_schema(
        pa.schema(
            field.with_metadata({"PARQUET:field_id": str(id_)})
            for id_, field in enumerate(columns, start=1)
        )
    )


def _partition_spec(schema: Schema, names: Sequence[str]) -> PartitionSpec:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    ids = [schema.find_field(name).field_id for name in names]
    return PartitionSpec(
        *(
            PartitionField(source_id=id_, field_id=1000 + i, transform=IdentityTransform(), name=n)
            for i, (id_, n) in enumerate(zip(ids, names, strict=True))
        )
    )


def _sort_order(schema: Schema, names: Sequence[str]) -> SortOrder:
    from pyiceberg.table.sorting import SortField, SortOrder
    from pyiceberg.transforms import IdentityTransform

    ids = [schema.find_field(name).field_id for name in names]
    return SortOrder(*(SortField(source_id=id_, transform=IdentityTransform()) for id_ in ids))


def _identity(settings: Settings) -> dict[str, str]:
    return {
        SPEC_PROPERTY: settings.spec.fingerprint,
        PARTITIONS_PROPERTY: str(settings.partitions),
        PARTITIONER_PROPERTY: PARTITIONER,
        SLOT_PROPERTY: str(settings.spec.slot_ms),
    }
