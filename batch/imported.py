"""Which files raw or rejected holds rows of already, mostly from metadata.

Each data file says the smallest and the largest `source` in it, whole (batch/tables.py). Where the
two are equal the file's rows all come from that source, so its record count is the answer; only
files that mix sources around one of ours are scanned. A year of history is thousands of files, and
asking again must not open them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from batch import tables
from impressions.shell.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def rows_by_source(
    spark: SparkSession, settings: Settings, table: str, sources: Iterable[str]
) -> dict[str, int]:
    """Source -> rows that the table holds, for those of `sources` it holds any of."""
    if not tables.exists(spark, settings, table):
        return {}
    name, asked = tables.full_name(settings, table), set(sources)
    bounds = spark.sql(
        "SELECT readable_metrics.source.lower_bound AS low, readable_metrics.source.upper_bound "
        f"AS high, sum(record_count) AS rows FROM {name}.files WHERE content = 0 GROUP BY ALL"
    ).collect()
    mixed = [row for row in bounds if row["low"] is None or row["low"] != row["high"]]
    unsure = {
        s for s in asked for row in mixed if row["low"] is None or row["low"] <= s <= row["high"]
    }
    found = Counter({row["low"]: row["rows"] for row in bounds if row["low"] == row["high"]})
    held = {s: found[s] for s in asked - unsure if s in found}
    return held | (_scanned(spark, name, unsure) if unsure else {})


def _scanned(spark: SparkSession, name: str, sources: set[str]) -> dict[str, int]:
    from pyspark.sql import functions as F

    rows = spark.table(name).where(F.col("source").isin(sorted(sources)))
    return {row["source"]: row["count"] for row in rows.groupBy("source").count().collect()}
