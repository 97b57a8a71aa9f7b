"""Spark's bare scan: the columns a compaction needs, read and thrown away.

No job that starts from this table in Spark can be faster. The sink is Spark's own `noop`, which
consumes every row and keeps none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COLUMNS = (
    "shard", "profile_id", "title_id", "location", "event_time", "played", "dwell_s", "duplicate",
)  # fmt: skip


def scan(raw: DataFrame) -> DataFrame:
    """What is read."""
    return raw.select(*COLUMNS)


def discard(rows: DataFrame) -> None:
    """Compute all rows and keep none."""
    rows.write.format("noop").mode("overwrite").save()
