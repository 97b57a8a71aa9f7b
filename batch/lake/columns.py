"""What the four Iceberg tables of the batch path hold: the name and type of every column.

Types are those of Spark's SQL; what Arrow and Iceberg call them follows. Columns are optional
because files of plain Spark are nullable; jobs audit nulls instead. The columns of ema follow from
the spec, so they are a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from impressions.core.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

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


def columns_there(table: Table) -> list[tuple[str, str]]:
    """(name, Spark SQL type) of a table's columns, in order."""
    words = {"long": "bigint", "timestamptz": "timestamp", "timestamp": "timestamp_ntz"}
    kinds = [(field.name, str(field.field_type)) for field in table.schema().fields]
    return [(name, words.get(kind, kind)) for name, kind in kinds]


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


def iceberg_schema(columns: pa.Schema) -> Schema:
    """The columns for Iceberg, with field ids from 1 on."""
    import pyarrow as pa
    from pyiceberg.io.pyarrow import pyarrow_to_schema

    return pyarrow_to_schema(
        pa.schema(
            field.with_metadata({"PARQUET:field_id": str(id_)})
            for id_, field in enumerate(columns, start=1)
        )
    )
