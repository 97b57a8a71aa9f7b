"""Spark's sort and write: a day's rows dealt out by shard, sorted, one Parquet file each.

What closing a slot cannot do without, and nothing else. zstd, as the product's table has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def sort_and_write(rows: DataFrame, target: Path, shards: int) -> None:
    """Write the rows to a directory that is not there yet."""
    dealt = rows.repartition(shards, "shard")
    ordered = dealt.sortWithinPartitions("profile_id", "title_id", "event_time")
    ordered.write.option("compression", "zstd").parquet(str(target))
