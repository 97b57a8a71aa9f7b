"""The rule of validity as Spark expressions: the twin of impressions/event.py, tested equal to it.

In: canonical columns (batch/canonical.py), where null is "absent". Out: the `Reason` as an int and
the event time to count with. Checks run in the order of `Reason`, the first that fails names it;
rows that could not be read at all come before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from impressions.event import MAX_DWELL_S, Reason
from impressions.item import MAX_LOCATION, MAX_TITLE
from impressions.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import Column


def reason(spec: Spec, identified: bool) -> Column:
    """int of `Reason` for the columns undecodable, profile_id, title_id, event_ms, ingest_ms,
    log_id, location and dwell_s; `identified`: the logs have ids, so a missing one is wrong."""
    from pyspark.sql import functions as F

    dwell_s = F.col("dwell_s")
    failures = (
        (Reason.UNDECODABLE, F.col("undecodable")),
        (Reason.MISSING_PROFILE, F.col("profile_id").isNull()),
        (Reason.MISSING_TITLE, F.col("title_id").isNull()),
        (Reason.MISSING_EVENT_TIME, F.col("event_ms").isNull()),
        (Reason.MISSING_INGEST_TIME, F.col("ingest_ms").isNull()),
        (Reason.MISSING_LOG_ID, F.lit(identified) & F.col("log_id").isNull()),
        (Reason.BAD_PROFILE, F.col("profile_id") < 0),
        (Reason.BAD_TITLE, ~F.col("title_id").between(0, MAX_TITLE)),
        (Reason.BAD_LOCATION, ~F.col("location").between(0, MAX_LOCATION)),
        # Spark holds NaN to be larger than any number.
        (Reason.BAD_DWELL, (dwell_s < 0) | (dwell_s > MAX_DWELL_S)),
        (Reason.OUT_OF_WINDOW, F.col("ingest_ms") - F.col("event_ms") > spec.max_late_ms),
    )
    found = F.lit(int(Reason.OK))
    for code, failed in reversed(failures):
        found = F.when(failed, F.lit(int(code))).otherwise(found)
    return found


def counted_ms(spec: Spec) -> Column:
    """bigint: event_ms, or ingest_ms where the event lies too far after its ingest."""
    from pyspark.sql import functions as F

    ahead_ms = F.col("event_ms") - F.col("ingest_ms")
    return F.when(ahead_ms > spec.max_ahead_ms, F.col("ingest_ms")).otherwise(F.col("event_ms"))


def reason_label(code: Column) -> Column:
    """The name that is written to tables and reports."""
    from pyspark.sql import functions as F

    label = F.lit(Reason.OK.label)
    for known in Reason:
        label = F.when(code == int(known), F.lit(known.label)).otherwise(label)
    return label
