"""Which rows belong to a log that was sent before: one window over (profile, log).

A device that retries sends the whole log again, so a row is a duplicate when its log occurred
before, in the same ingest slot or in the one before (distance 0 or 1, accepted or dropped). In SQL:

    over the rows of one (profile_id, log_id), ordered by the number of the slot,
    range between 1 preceding and current row:
    duplicate  <=>  the first occurrence (slot, ingest_time, log_offset, log_index) is not this one

Rows of one occurrence share those four, so a log of many impressions counts whole. A row without a
log_id is never a duplicate. The frame is the same for all rows of a slot, so Spark computes it once
per slot: linear, also for a profile whose rows have no log_id.
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


def with_slot_number(rows: DataFrame, spec: Spec) -> DataFrame:
    """`rows` of raw and the number of the ingest slot of each, counted from 1970."""
    from pyspark.sql import functions as F

    number = F.floor(F.unix_millis("ingest_time") / F.lit(spec.slot_ms)).cast("bigint")
    return rows.withColumn("slot_number", number)
