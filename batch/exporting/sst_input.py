"""What the tasks of an export read: the data files of the tagged snapshot, dealt out by shard.

    straight     a task opens the files of its shard by itself (batch/exporting/ema_rows.py); of
                 Spark it gets a number, a place to run and another attempt
    by Spark     Spark scans and sorts, and hands rows to the task: slower by far. Used where a file
                 alone does not say its rows (delete files), is no Parquet, is not sorted by
                 profile, or cannot be opened from Python (`obstacle`)

`compact` leaves nothing of the kind; somebody's own hands might. Both give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch.exporting.ema_rows import open_parquet

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from impressions.settings.model import Settings

_DATA = 0  # what Iceberg calls a file that is no delete file
_STORAGE = ("s3.", "gcs.", "adls.", "hdfs.", "hf.", "client.", "py-io-impl")


@dataclass(frozen=True)
class DataFile:
    """One file of a snapshot, as the table `files` has it.

    Attributes:
        content: 0 for data, else deletes.   order: id of the sort order it was written in.
    """

    shard: int
    path: str
    rows: int
    content: int
    format: str
    order: int | None


@dataclass(frozen=True)
class ShardFiles:
    """The files of a shard, for the task that packs it."""

    shard: int
    paths: list[str]


def data_files(spark: SparkSession, ema: str, ref: str) -> list[DataFile]:
    """All files of the snapshot that a tag or branch names, delete files included."""
    rows = spark.read.option("versionAsOf", ref).table(f"{ema}.files")
    wanted = ("file_path", "record_count", "content", "file_format", "sort_order_id")
    return [DataFile(*row) for row in rows.select("partition.shard", *wanted).collect()]


def entries_per_shard(files: Iterable[DataFile], table: Callable[[], DataFrame]) -> dict[int, int]:
    """Rows of each shard that has any: from the metadata, or counted where rows are deleted."""
    if any(file.content != _DATA for file in files):
        return dict(table().groupBy("shard").count().collect())
    entries: dict[int, int] = {}
    for file in files:
        entries[file.shard] = entries.get(file.shard, 0) + file.rows
    return {shard: count for shard, count in entries.items() if count}


def by_shard(files: Iterable[DataFile]) -> list[ShardFiles]:
    """The files that have rows; the largest shard first, so that no task begins late and long."""
    paths: dict[int, list[str]] = {}
    rows: dict[int, int] = {}
    for file in sorted(files, key=lambda file: file.path):
        if file.rows:
            paths.setdefault(file.shard, []).append(file.path)
            rows[file.shard] = rows.get(file.shard, 0) + file.rows
    return [ShardFiles(shard, paths[shard]) for shard in sorted(paths, key=lambda s: (-rows[s], s))]


def obstacle(files: Sequence[DataFile], table: Any, storage: Mapping[str, str]) -> str:
    """Why tasks cannot read these files by themselves; empty where they can.

    Args:
        table: Iceberg's own, see `iceberg_table`.
    """
    deletes = sum(file.content != _DATA for file in files)
    if deletes:
        return f"{deletes} delete files"
    for file in files:
        if file.format.upper() != "PARQUET":
            return f"{file.path} is {file.format}, expected PARQUET"
    for order in {file.order for file in files}:
        if not _by_profile(table, order):
            return f"files in sort order {order}, expected one by profile_id"
    try:
        for file in files[:1]:
            open_parquet(file.path, storage)
    except Exception as error:  # of any storage: Spark can read what Python cannot
        return f"{file.path} cannot be opened from Python: {error}".partition("\n")[0]
    return ""


def storage_of(table: Any, settings: Settings) -> dict[str, str]:
    """How to open the table's files in Python: what Spark's catalog has, then the settings' own.

    Iceberg's Java and pyiceberg name the properties of an object store alike.
    """
    known = {**table.io().properties(), **settings.catalog.python_properties}
    return {key: str(value) for key, value in known.items() if key.startswith(_STORAGE)}


def iceberg_table(spark: SparkSession, ema: str) -> Any:
    """The table as Iceberg's Java has it."""
    session: Any = spark
    iceberg = session._jvm.org.apache.iceberg.spark.Spark3Util
    return iceberg.loadIcebergTable(session._jsparkSession, ema)


def rows_by_shard(table: DataFrame, partitions: int) -> DataFrame:
    """Each partition holds one complete shard, sorted the way profile blocks are built.

    A scan of the aggregate table is grouped by shard as it is; what comes otherwise is dealt out.
    """
    from pyspark.sql import functions as F

    from batch.rules.aggregate import exchanges

    if exchanges(table.groupBy("shard").count()):
        # repartitionById passes the id through; repartition(n, "shard") would hash it again.
        table = table.repartitionById(partitions, F.col("shard"))
    return table.sortWithinPartitions(
        "profile_id", F.col("tail_day").asc_nulls_first(), "title_id", "location"
    )


def numbered(spark: SparkSession, shards: Sequence[ShardFiles]) -> DataFrame:
    """A row for each of them, in a partition of its own: its place in the sequence."""
    return spark.range(0, len(shards), 1, max(1, len(shards)))


def _by_profile(table: Any, order: int | None) -> bool:
    """Whether a sort order of the table begins with profiles, ascending."""
    known = None if order is None else table.sortOrders().get(order)
    if known is None or known.isUnsorted():
        return False
    first = known.fields().get(0)
    name = table.schema().findColumnName(first.sourceId())
    ascends = str(first.direction()) == "ASC"
    return bool(name == "profile_id" and ascends and first.transform().isIdentity())
