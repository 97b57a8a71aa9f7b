"""The three Iceberg tables of the batch path: names, columns, layout, and whether they fit.

    raw        one row per valid impression, every copy kept; partitioned by (ingest_slot, shard)
    rejected   what did not count, with the reason and the row as it came; partitioned by source
    ema        one row per (profile, title, location, tail day); partitioned by shard

Columns are optional because files of plain Spark are nullable; jobs audit nulls instead. The files
of a table are sorted locally (Iceberg's sort order; each writer sorts what it has), and no writer
shuffles on its own: distribution-mode is none, jobs say how rows are dealt out.

A table carries the numbers it was made with, the spec's fingerprint and P, as properties. Settings
that differ are refused: a slot of another length or a shard of another P would be silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from impressions.errors import NotReady, Refused
from impressions.shell.settings import Settings
from impressions.spec import PARTITIONER, Spec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMESPACE = "impressions"
_ATTEMPTS = 3
SPEC_PROPERTY = "impressions.spec"
PARTITIONS_PROPERTY = "impressions.partitions"
PARTITIONER_PROPERTY = "impressions.partitioner"
SLOT_PROPERTY = "impressions.slot-ms"  # for people; the fingerprint covers it

RAW = "raw"
REJECTED = "rejected"
EMA = "ema"

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
    "log_offset": "bigint",  # with log_index: which occurrence of the log
    "log_index": "int",
    "source": "string",  # kafka:<topic's id>, or file:<the file's sha256>; 16 digits of either
    "device_type": "string",
    "app_version": "string",
    "duplicate": "boolean",  # null: not decided yet, so the slot is not closed
}
REJECTED_COLUMNS = {
    "source": "string",
    "file": "string",
    "row_number": "bigint",  # from 0 in a Parquet file; null for CSV, whose reader counts no rows
    "reason": "string",
    "ingest_slot": "timestamp",  # null where the ingest time is not known
    "row": "string",  # JSON; of files
    # Of Kafka, with `source` the identity; shard is the partition.
    "shard": "int",
    "log_offset": "bigint",
    "log_index": "int",  # null: the whole record could not be read
    "impression": "int",  # place in its log; null where the log could not be read
    "value": "binary",  # an ImpressionRecord with that log, or the bytes that are none
}

_COMMON = {
    "format-version": "2",
    "write.distribution-mode": "none",
    "write.parquet.compression-codec": "zstd",
    # Hourly commits would leave a metadata file each, for ever.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}
_WITH_SOURCE = {  # batch/imported.py reads whole bounds of `source`
    "write.metadata.metrics.column.source": "full"
}
_PROPERTIES = {RAW: _COMMON | _WITH_SOURCE, REJECTED: _COMMON | _WITH_SOURCE, EMA: _COMMON}
_LAYOUT = {
    RAW: (("ingest_slot", "shard"), ("profile_id", "title_id", "event_time")),
    REJECTED: (("source",), ("file", "row_number")),
    EMA: (("shard",), ("profile_id", "title_id", "location", "tail_day")),
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
    return {RAW: RAW_COLUMNS, REJECTED: REJECTED_COLUMNS, EMA: ema_columns(spec)}[table]


def full_name(settings: Settings, table: str) -> str:
    """`lake.impressions.raw`: what SQL, `spark.table` and procedures take."""
    return f"{settings.catalog.name}.{NAMESPACE}.{table}"


def exists(spark: SparkSession, settings: Settings, table: str) -> bool:
    return spark.catalog.tableExists(full_name(settings, table))


def create_if_missing(spark: SparkSession, settings: Settings, *tables: str) -> None:
    """Makes the tables that are not there, and checks those that are. Raises Refused."""
    namespace = f"{settings.catalog.name}.{NAMESPACE}"
    _make(
        spark,
        f"CREATE NAMESPACE IF NOT EXISTS {namespace}",
        lambda: spark.catalog.databaseExists(namespace),
    )
    for table in tables:
        if exists(spark, settings, table):
            check_fits(spark, settings, table)
            _add_columns(spark, settings, table)
            continue
        create, order = ddl(settings, table)
        _make(spark, create, partial(exists, spark, settings, table))
        spark.sql(order)


def _make(spark: SparkSession, statement: str, there: Callable[[], bool]) -> None:
    """Runs it, also where another job does the same at the same moment.

    IF NOT EXISTS can race; and the very first two jobs of a catalog both make its own tables, which
    fails for one of them.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            spark.sql(statement)
        except Exception:
            if there():
                return
            if not left:
                raise
        else:
            return


def _add_columns(spark: SparkSession, settings: Settings, table: str) -> None:
    """Those that an earlier version of this code did not have; in old rows they are null."""
    name = full_name(settings, table)
    there = set(spark.table(name).columns)
    new = {c: t for c, t in columns_of(table, settings.spec).items() if c not in there}
    if new:
        listed = ", ".join(f"`{c}` {t}" for c, t in new.items())
        spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({listed})")


def shaped(rows: DataFrame, table: str, spec: Spec) -> DataFrame:
    """`rows` with exactly the table's columns; one that they lack is null."""
    from pyspark.sql import functions as F

    return rows.select(
        *(
            (F.col(name) if name in rows.columns else F.lit(None)).cast(kind).alias(name)
            for name, kind in columns_of(table, spec).items()
        )
    )


def ddl(settings: Settings, table: str) -> tuple[str, str]:
    """The two statements that make a table: create, and sort order."""
    name, (partition, order) = full_name(settings, table), _LAYOUT[table]
    columns = ", ".join(f"`{c}` {t}" for c, t in columns_of(table, settings.spec).items())
    properties = ", ".join(
        f"'{k}'='{v}'" for k, v in (_PROPERTIES[table] | _identity(settings)).items()
    )
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING iceberg "
        f"PARTITIONED BY ({', '.join(partition)}) TBLPROPERTIES ({properties})",
        f"ALTER TABLE {name} WRITE LOCALLY ORDERED BY {', '.join(order)}",
    )


def require(spark: SparkSession, settings: Settings, table: str, hint: str) -> None:
    """NotReady (with `hint`) where the table does not exist; Refused where it does not fit."""
    if not exists(spark, settings, table):
        raise NotReady(
            f"table {full_name(settings, table)} does not exist yet", hint=hint, reason="no_table"
        )
    check_fits(spark, settings, table)


def check_fits(spark: SparkSession, settings: Settings, table: str) -> None:
    """Refused, with both values, where the table was made with other numbers than the settings."""
    name, expected = full_name(settings, table), _identity(settings)
    rows = spark.sql(f"SHOW TBLPROPERTIES {name}").collect()
    found = {row["key"]: row["value"] for row in rows}
    for key, what in (
        (SLOT_PROPERTY, "slot_seconds x 1000"),
        (PARTITIONS_PROPERTY, "partitions"),
        (PARTITIONER_PROPERTY, "the partitioner"),
        (SPEC_PROPERTY, "the spec's fingerprint"),
    ):
        if found.get(key) != expected[key]:
            raise Refused(
                f"table {name} was made with {key} = {found.get(key, 'none')}, "
                f"but the settings say {expected[key]} ({what})",
                hint="use the settings the table was made with, or another home or catalog.uri",
                reason="table_mismatch",
            )


def _identity(settings: Settings) -> dict[str, str]:
    return {
        SPEC_PROPERTY: settings.spec.fingerprint,
        PARTITIONS_PROPERTY: str(settings.partitions),
        PARTITIONER_PROPERTY: PARTITIONER,
        SLOT_PROPERTY: str(settings.spec.slot_ms),
    }
