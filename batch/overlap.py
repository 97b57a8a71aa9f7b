"""History from files and the topic must not overlap in ingest time: what both hold counts twice.

History lies before the first record of the topic. Whoever comes second is refused: an import of
rows from then on, and the first landing where raw holds such rows. And where a topic is landed, it
alone says how far raw is complete; an import adds to what was before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch import snapshots, tables
from batch.landed import SOURCE_PREFIX, Landed
from impressions.clock import Clock
from impressions.errors import ImpressionsError, Refused, UsageError
from impressions.shell.console import warn
from impressions.shell.settings import Settings
from impressions.slot import format_utc

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def check_import(newest_ms: int, first_ms: int | None, topic: str) -> None:
    """Raises Refused where files hold a row ingested when the topic had begun, at `first_ms`."""
    if first_ms is not None and newest_ms >= first_ms:
        raise Refused(
            f"the files hold rows ingested at {format_utc(newest_ms)}, but topic {topic} begins "
            f"at {format_utc(first_ms)}: what both hold would count twice",
            hint="import only rows ingested before the topic began",
            reason="overlap",
        )


def check_landing(
    spark: SparkSession, settings: Settings, version: int | None, first_ms: int
) -> None:
    """Raises Refused where raw holds rows of files ingested when the topic had begun."""
    newest_ms = newest_of_files(spark, settings, version)
    if newest_ms is not None and newest_ms >= first_ms:
        raise Refused(
            f"topic {settings.kafka.topic} begins at {format_utc(first_ms)}, but raw holds rows "
            f"from files ingested up to {format_utc(newest_ms)}: what both hold would count twice",
            hint="delete the rows of files from then on (the import prints the SQL), or land "
            "another topic",
            reason="overlap",
        )


def newest_of_files(spark: SparkSession, settings: Settings, version: int | None) -> int | None:
    """The newest ingest time of any row that came from a file; None without one.

    Files whose bounds of `source` lie before "kafka:" hold rows of files only, so their bounds of
    the ingest time answer it; only files that hold both are read.
    """
    from pyspark.sql import functions as F

    if version is None:
        return None
    name = tables.full_name(settings, tables.RAW)
    metrics = "readable_metrics."
    files = spark.sql(
        f"SELECT {metrics}source.upper_bound AS high, {metrics}source.lower_bound AS low, "
        f"unix_millis(max({metrics}ingest_time.upper_bound)) AS newest_ms "
        f"FROM {name}.files VERSION AS OF {version} WHERE content = 0 GROUP BY ALL"
    ).collect()
    pure = [f["newest_ms"] for f in files if f["high"] is not None and f["high"] < SOURCE_PREFIX]
    found = max((ms for ms in pure if ms is not None), default=None)
    if any(f["low"] is None or f["low"] < SOURCE_PREFIX <= f["high"] for f in files):
        rows = snapshots.read_at(spark, name, version)
        of_files = rows.where(~F.col("source").startswith(SOURCE_PREFIX))
        row = of_files.agg(F.unix_millis(F.max("ingest_time")).alias("newest_ms")).collect()[0]
        if row["newest_ms"] is not None:
            found = max(found or 0, row["newest_ms"])
    return found


def history_until_ms(
    spark: SparkSession, settings: Settings, version: int | None, cutover_ms: int
) -> int:
    """Behind the newest row of any file, where that is not before the cutover; else 0.

    Such rows are in no answer until the next generation, for the stream never saw them; live
    answers say so.
    """
    newest_ms = newest_of_files(spark, settings, version)
    if newest_ms is None or newest_ms < cutover_ms:
        return 0
    warn(
        f"files brought rows ingested up to {format_utc(newest_ms)}: those from "
        f"{format_utc(cutover_ms)} on are in no answer until the next generation; live answers "
        "say so (deltas_missing)"
    )
    return newest_ms + 1


def topic_begins_ms(settings: Settings, landed: Landed | None) -> int | None:
    """When the first record of the topic was ingested; None where there is none, or no broker.

    A broker that does not answer is said and passed over: the first landing checks again.
    """
    from impressions.kafka.client import find_bootstrap

    if landed is not None and landed.first_ms is not None:
        return landed.first_ms
    if find_bootstrap(settings) is None:
        return None
    try:
        from batch.kafka_log import first_record_ms

        return first_record_ms(settings)
    except ImpressionsError as error:
        warn(f"whether the files overlap topic {settings.kafka.topic} is not known: {error}")
        return None


def claim_ms(
    chosen_ms: int, settings: Settings, landed: Landed | None, first_ms: int | None, clock: Clock
) -> int | None:
    """How far an import may say that raw is complete; None where the landings say it.

    Where a topic is configured but not landed yet, its records may come from `first_ms` on, or from
    now on: the rest of the newest row's slot is not the files' to speak for.
    """
    from impressions.kafka.client import find_bootstrap

    if landed is not None:
        return None
    if find_bootstrap(settings) is None:
        return chosen_ms
    return min(chosen_ms, first_ms if first_ms is not None else clock())


def refuse_claim(landed: Landed | None) -> None:
    """Raises UsageError for an explicit --valid-through where a topic is landed."""
    if landed is not None:
        raise UsageError(
            f"topic {landed.topic} is landed: its landings say how far raw is complete",
            hint="leave out --valid-through; run impressions land",
            reason="landed_topic",
        )
