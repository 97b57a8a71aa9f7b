"""Which rows belong to a log that was sent before: one window over (profile, log).

A device that retries sends the whole log again, so a row is a duplicate when its log occurred
before, in the same ingest slot or in the one before (distance 0 or 1, accepted or dropped). In SQL:

    over the rows of one (profile_id, log_id), ordered by the number of the slot,
    range between 1 preceding and current row:
    duplicate  <=>  the first occurrence (slot, ingest_time, log_offset, log_index) is not this one

Rows of one occurrence share those four, so a log of many impressions counts whole. A row without a
log_id is never a duplicate. The frame is the same for all rows of a slot, so Spark computes it once
per slot: linear, also for a profile whose rows have no log_id.

`flag_duplicates` over every row is two shuffles and a sort of all there is. Over the `occurrences`
of logs it is cheap, and `flag_repeated` then looks rows up among the few that are repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from impressions.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

OCCURRENCE = ("ingest_time", "log_offset", "log_index")
KEY = ("profile_id", "log_id", "slot_number")


def flag_duplicates(rows: DataFrame) -> DataFrame:
    """`rows` of raw, `with_slot_number`, with `duplicate` decided.

    The rows of a slot are decided rightly if all rows of that slot and the KEY columns of the slot
    before are among `rows`.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    this = F.struct("slot_number", *OCCURRENCE)
    near = Window.partitionBy("profile_id", "log_id").orderBy("slot_number").rangeBetween(-1, 0)
    repeated = ~F.min(this).over(near).eqNullSafe(this)
    return rows.withColumn("duplicate", F.col("log_id").isNotNull() & repeated)


def occurrences(rows: DataFrame) -> DataFrame:
    """One row per occurrence of a log: what `flag_duplicates` needs of it.

    Grouped by slot and shard as well, because the table is: rows become occurrences before anything
    is shuffled.
    """
    identified = rows.where("log_id IS NOT NULL")
    where = ("ingest_slot", "shard", "profile_id", "log_id", *OCCURRENCE)
    return identified.groupBy(*where).count().drop("ingest_slot", "shard", "count")


def flag_repeated(rows: DataFrame, repeated: DataFrame) -> DataFrame:
    """`rows` of raw with `duplicate` decided: whether their occurrence is among `repeated`.

    `repeated` must fit into the memory of every task. Slots are not compared: they follow from the
    ingest time.
    """
    from pyspark.sql import functions as F

    names = ("profile_id", "log_id", *OCCURRENCE)
    known = repeated.select(*(F.col(name).alias(f"_{name}") for name in names)).distinct()
    same = [F.col(name) == F.col(f"_{name}") for name in names[:2]]
    same += [F.col(name).eqNullSafe(F.col(f"_{name}")) for name in OCCURRENCE]
    found = rows.join(F.broadcast(known), same, "left")
    return found.withColumn("duplicate", F.col("_log_id").isNotNull()).select(*rows.columns)


def with_slot_number(rows: DataFrame, spec: Spec) -> DataFrame:
    """`rows` of raw and the number of the ingest slot of each, counted from 1970."""
    from pyspark.sql import functions as F

    number = F.floor(F.unix_millis("ingest_time") / F.lit(spec.slot_ms)).cast("bigint")
    return rows.withColumn("slot_number", number)
