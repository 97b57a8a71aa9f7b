"""The formula as Spark expressions: rows of raw become rows of the aggregate table.

Derived from impressions/core/spec.py and tested equal to impressions/core/decay.py. One pass, one
group-by:

    keep      duplicate = false, and event day in the window at the cutover
    key       shard, profile, title, location, and the event day if it is a tail day, else null
    columns   undecayed totals, last seen, and sum(x * exp(-(cutover - t) * ln 2 / h)) per measure
              and half-life, in double

It is the form to read and a check of the compiled one that `compact` runs: `--recompute`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from impressions.core import window
from impressions.core.spec import DAY_MS, Adds, Measure, Spec

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MAX_POWER = 8  # keeps the error of a weight within 8 times that of exp
KEYS = ("shard", "profile_id", "title_id", "location", "tail_day")


def counted(raw: DataFrame, cutover_ms: int, spec: Spec) -> DataFrame:
    """The rows of raw that a generation counts; see `keep`."""
    from pyspark.sql import functions as F

    oldest_ms = window.first_day(cutover_ms, spec) * DAY_MS
    in_window = F.col("event_time") >= F.timestamp_millis(F.lit(oldest_ms))
    return raw.where(~F.col("duplicate") & in_window)


def aggregate(raw: DataFrame, cutover_ms: int, spec: Spec) -> DataFrame:
    """One row per key; columns of `impressions.ema`."""
    from pyspark.sql import functions as F

    tail = window.tail_days(cutover_ms, spec)
    event_ms = F.unix_millis("event_time")  # whole milliseconds, as `compact` counts
    event_day = F.floor(event_ms / F.lit(DAY_MS)).cast("int")
    prepared = counted(raw, cutover_ms, spec).select(
        "shard",
        "profile_id",
        "title_id",
        "location",
        # `when` without `otherwise` is null.
        F.when(event_day < tail.stop, F.date_from_unix_date(event_day)).alias("tail_day"),
        event_ms.alias("event_ms"),
        *(x.alias(name) for name, x in measures(spec).items()),
        *(w.alias(f"weight_{h}d") for h, w in _weights(event_ms, cutover_ms, spec).items()),
    )
    sums = [
        F.sum(F.col(m) * F.col(f"weight_{h}d")).alias(spec.decayed_name(m, h))
        for m in spec.measure_names
        for h in spec.half_lives_days
    ]
    totals = [F.sum(m).alias(m) for m in spec.measure_names]
    last_seen = F.timestamp_millis(F.max("event_ms"))
    return prepared.groupBy(*KEYS).agg(last_seen.alias("last_seen"), *totals, *sums)


def measures(spec: Spec) -> dict[str, Column]:
    """What one row of raw adds to each measure: x_m(e), as the spec declares it."""
    return {measure.name: _added(measure) for measure in spec.measures}


def _added(measure: Measure) -> Column:
    from pyspark.sql import functions as F

    x = F.lit(1) if measure.adds is Adds.ONE else F.col(measure.adds.column)
    return x.cast("bigint") if measure.integral else x


def _weights(event_ms: Column, cutover_ms: int, spec: Spec) -> dict[int, Column]:
    """2^-((cutover - t)/h) per half-life.

    As exp, which is one instruction fewer than power(2, ...); and where a half-life is a small
    multiple of another, as a power of its weight: 2^-(t/30) is 2^-(t/180) six times.
    """
    from pyspark.sql import functions as F

    after_ms = (event_ms - F.lit(cutover_ms)).cast("double")
    weights: dict[int, Column] = {}
    for h in sorted(spec.half_lives_days, reverse=True):
        longer = [known for known in weights if known % h == 0 and known // h <= _MAX_POWER]
        if longer:
            weights[h] = _power(weights[min(longer)], min(longer) // h)
        else:
            weights[h] = F.exp(after_ms * F.lit(math.log(2) / (h * DAY_MS)))
    return weights


def _power(x: Column, n: int) -> Column:
    """x^n by squaring; its error is n times that of x."""
    if n == 1:
        return x
    half = _power(x * x, n // 2)
    return half * x if n % 2 else half
