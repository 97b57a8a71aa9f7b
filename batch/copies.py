"""What is one log in a file: rows of files become occurrences of logs.

Kafka says which impressions were sent together; a file does not, so the rule is:

    with an ingest column     rows with the same (profile, log_id, ingest_time) are one occurrence
                              of that log. A row that repeats another of them in every mapped column
                              is the same log stored again with the same stamp: copy 1, 2, ...
    ingest time = event time  nothing groups a log, so a row is identified by its log_id and content
                              together: raw.log_id is a 63-bit hash of both, and each further row
                              of that hash is the next copy

`log_index` is the number of the copy, `log_offset` the ingest time in ms, so copies count as later
occurrences and the rule of duplicates drops them. A log with a later ingest time is a later
occurrence anyway. Copies are numbered on from those that raw holds already, so that importing files
one by one, or overlapping ones, gives what importing them together gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.ids import content_hash

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CONTENT = ("title_id", "location", "row", "position", "played", "dwell_s")
FACTS = ("device_type", "app_version")


def log_identity(ingest_is_event: bool, identified: bool) -> Column:
    """bigint raw.log_id of judged rows; null where logs are not identified."""
    from pyspark.sql import functions as F

    if not identified or not ingest_is_event:
        return F.col("log_id")
    return content_hash([F.col(c) for c in ("log_id", "profile_id", "event_ms", *CONTENT, *FACTS)])


def number_copies(new: DataFrame, existing: DataFrame | None, by_content: bool) -> DataFrame:
    """`new` with log_index = number of the copy, after the copies that `existing` holds.

    Args:
        new: columns of raw, `original_ms` (event time before the rule of validity).
        existing: rows of raw of the same slots; None where there are none.
        by_content: a copy is a row of the same log with the same content; else log_id covers that.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    tasks = int(str(new.sparkSession.conf.get("spark.sql.shuffle.partitions")))
    rows = new.withColumn("_new", F.lit(True))
    if existing is not None:
        rows = rows.unionByName(_of_files(existing), allowMissingColumns=True)
    # One exchange for both windows here and for the window of the duplicates.
    rows = rows.repartition(tasks, "profile_id", "log_id")
    occurrence = ["profile_id", "log_id", "ingest_time"]
    if by_content:
        occurrence += ["event_time", *CONTENT, *FACTS]
    same = Window.partitionBy(*occurrence, "_new", "original_ms").orderBy("source")
    rows = rows.withColumn("_copy", F.row_number().over(same) - 1)
    if existing is not None:
        all_copies = Window.partitionBy(*occurrence)
        held = F.max(F.when(F.col("_new").isNull(), F.col("log_index"))).over(all_copies)
        rows = rows.withColumn("_copy", F.col("_copy") + F.coalesce(held + 1, F.lit(0)))
        rows = rows.where("_new")
    index = F.when(F.col("log_id").isNull(), F.lit(0)).otherwise(F.col("_copy")).cast("int")
    return rows.withColumn("log_index", index).drop("_copy", "_new", "original_ms")


def _of_files(existing: DataFrame) -> DataFrame:
    """A Kafka row's index is its place in a record, not the number of a copy."""
    from pyspark.sql import functions as F

    return existing.where(F.col("source").startswith("file:") & F.col("log_id").isNotNull())
