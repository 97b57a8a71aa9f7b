"""One pass over the log: rows that are read once and kept, for the two tables written of them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import snapshots
from batch.land_job import Before, Landing
from batch.land_plan import Range
from batch.land_rows import END, IMPRESSION, REJECTED
from batch.stages import stages
from impressions.errors import ImpressionsError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Pass:
    """Rows of batch/land_rows.py, and what they amount to.

    Attributes:
        ingest_ms: newest ingest time by partition.
        records: of Kafka.   read, valid: impressions.   rejected: impressions by reason.
    """

    rows: DataFrame
    ingest_ms: Mapping[int, int]
    records: int
    read: int
    valid: int
    rejected: Mapping[str, int]


@contextlib.contextmanager
def kept(job: Landing, before: Before, ranges: Sequence[Range]) -> Iterator[DataFrame]:
    """The rows of the ranges: read at the first action, and kept for the others in the block."""
    from pyspark import StorageLevel

    from batch import kafka_source

    rows = kafka_source.read(job.spark, job.settings, before.log.topic_id, ranges)
    rows.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield rows
    except Exception as error:
        raise _told(error) from error
    finally:
        rows.unpersist()


def count(job: Landing, rows: DataFrame, ranges: Sequence[Range]) -> Pass:
    """Reads the ranges."""
    from pyspark.sql import functions as F

    with stages(job.spark, "read Kafka"):
        groups = (
            rows.groupBy("kind", "shard", "reason")
            .agg(
                F.count("*").alias("n"),
                F.unix_millis(F.max("ingest_time")).alias("newest_ms"),
                F.sum("records").alias("records"),
                F.sum("read").alias("read"),
            )
            .collect()
        )
    ends = {row["shard"]: row for row in groups if row["kind"] == END}
    if ends.keys() != {r.partition for r in ranges}:
        raise ImpressionsError(f"partitions {sorted(ends)} came to their end, expected {ranges}")
    rejected: Counter[str] = Counter()
    for row in groups:
        if row["kind"] == REJECTED:
            rejected[row["reason"]] += row["n"]
    return Pass(
        rows=rows,
        ingest_ms={shard: row["newest_ms"] for shard, row in ends.items()},
        records=sum(row["records"] for row in ends.values()),
        read=sum(row["read"] for row in ends.values()),
        valid=sum(row["n"] for row in groups if row["kind"] == IMPRESSION),
        rejected=dict(rejected.most_common()),
    )


def _told(error: Exception) -> Exception:
    """A failed task as the error it raised; conflicts and errors of ours as they are."""
    from pyspark.errors import PySparkException

    from batch.kafka_source import failure

    if isinstance(error, PySparkException) and not snapshots.is_conflict(error):
        return failure(error)
    return error
