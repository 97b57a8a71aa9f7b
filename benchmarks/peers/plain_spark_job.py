"""The Spark SQL job one would write for these sums, on the Iceberg table and with Spark's defaults.

It says what is wanted and leaves the plan to Spark: `power(2, ...)` per half-life as the formula
reads, one GROUP BY, adaptive execution on, shuffle partitions as they come. Nothing in it knows how
the table is laid out. It keeps no tail apart, so it has fewer groups to make than the product.

Settings as https://spark.apache.org/docs/latest/sql-performance-tuning.html has them by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from impressions.core.spec import DAY_MS, Spec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def default_session(spark: SparkSession) -> SparkSession:
    """A session beside `spark` that knows its catalogs, and none of its tuning."""
    session = spark.newSession()
    for key, value in spark.conf.getAll.items():
        if key.startswith("spark.sql.catalog."):
            session.conf.set(key, value)
    session.conf.set("spark.sql.shuffle.partitions", "200")
    session.conf.set("spark.sql.iceberg.planning.preserve-data-grouping", "false")
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


def aggregate(spark: SparkSession, raw: str, cutover_ms: int, spec: Spec) -> DataFrame:
    """One row per (profile, title, location), named as the product names its columns."""
    measures = {"impressions": "1", "plays": "CAST(played AS INT)", "dwell_s": "dwell_s"}
    decayed = [
        f"sum({x} * power(2, -({cutover_ms} - unix_millis(event_time)) / {h * DAY_MS}.0D)) "
        f"AS {spec.decayed_name(name, h)}"
        for name, x in measures.items()
        for h in spec.half_lives_days
    ]
    totals = [f"sum({x}) AS {name}" for name, x in measures.items()]
    return spark.sql(
        "SELECT profile_id, title_id, location, max(event_time) AS last_seen, "
        f"{', '.join([*totals, *decayed])} FROM {raw} WHERE NOT duplicate AND "
        f"event_time >= date_sub(timestamp_millis({cutover_ms}), {spec.window_days - 1}) "
        "GROUP BY profile_id, title_id, location"
    )
