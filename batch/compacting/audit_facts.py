"""What the audits need to know, counted by Spark: one aggregation per side, by shard.

Both sides are partitioned by shard and grouped by it, so nothing is shuffled; the driver gets P
rows of each. Repeated keys need a grouping of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING

from batch.compacting.audits import Facts
from batch.rules.aggregate import KEYS, counted, measures
from batch.rules.shard import shard_column
from impressions.core import window
from impressions.core.spec import DAY_MS, Spec
from impressions.settings.sections import Audits

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_BAD = "bad_"


def gather(
    raw: DataFrame,
    ema: DataFrame,
    cutover_ms: int,
    partitions: int,
    earlier_impressions: Sequence[float],
    spec: Spec,
    limits: Audits,
) -> Facts:
    """Count everything.

    Args:
        raw: the window's branch.   ema: the audit branch.
    """
    from pyspark.sql import functions as F

    of_raw = counted(raw, cutover_ms, spec).groupBy("shard")
    raw_rows = of_raw.agg(*(F.sum(x).alias(m) for m, x in measures(spec).items())).collect()
    bad = _bad_values(cutover_ms, spec)
    counts = {
        **{_BAD + name: F.count_if(wrong) for name, wrong in bad.items()},
        "shrinking": F.count_if(_shrinks(cutover_ms, spec, limits)),
        "misplaced": F.count_if(
            ~F.col("shard").eqNullSafe(shard_column(F.col("profile_id"), partitions))
        ),
        "entries": F.count(F.lit(1)),
        **{m: F.coalesce(F.sum(m), F.lit(0)) for m in spec.measure_names},
    }
    ema_rows = ema.groupBy("shard").agg(*(c.alias(name) for name, c in counts.items())).collect()
    copies = ema.groupBy(*KEYS).count()
    repeated = copies.agg(F.coalesce(F.sum(F.col("count") - 1), F.lit(0)).alias("n")).collect()
    return Facts(
        raw={row["shard"]: {m: row[m] or 0 for m in spec.measure_names} for row in raw_rows},
        ema={row["shard"]: {m: row[m] for m in spec.measure_names} for row in ema_rows},
        entries={row["shard"]: row["entries"] for row in ema_rows},
        bad_values={name: sum(row[_BAD + name] for row in ema_rows) for name in bad},
        shrinking=sum(row["shrinking"] for row in ema_rows),
        repeated=repeated[0]["n"],
        misplaced=sum(row["misplaced"] for row in ema_rows),
        earlier_impressions=earlier_impressions,
    )


def _bad_values(cutover_ms: int, spec: Spec) -> dict[str, Column]:
    """Column -> whether a row's value in it may not be."""
    from pyspark.sql import functions as F

    def not_a_number(name: str) -> Column:
        column = F.col(name)
        return column.isNull() | F.isnan(column) | (column == F.lit(float("inf"))) | (column < 0)

    integers = ["shard", "profile_id", "title_id", "location"]
    integers += [m.name for m in spec.measures if m.integral]
    doubles = [m.name for m in spec.measures if not m.integral] + list(spec.decayed_names)
    tail = window.tail_days(cutover_ms, spec)
    day = F.unix_date("tail_day")
    last_ms = F.unix_millis("last_seen")
    return {
        **{name: F.col(name).isNull() | (F.col(name) < 0) for name in integers},
        **{name: not_a_number(name) for name in doubles},
        "tail_day": day.isNotNull() & ((day < tail.start) | (day >= tail.stop)),
        "last_seen": last_ms.isNull()
        | (last_ms < tail.start * DAY_MS)
        | (last_ms >= cutover_ms + spec.max_ahead_ms + 1),
    }


def _shrinks(cutover_ms: int, spec: Spec, limits: Audits) -> Column:
    """Whether a sum is larger than the same sum with the next longer half-life."""
    from pyspark.sql import functions as F

    slack = F.lit(1 + limits.sum_tolerance)
    half_lives = sorted(spec.half_lives_days)
    pairs = [
        F.col(spec.decayed_name(m, short)) > F.col(spec.decayed_name(m, long)) * slack
        for m in spec.measure_names
        for short, long in pairwise(half_lives)
    ]
    return (F.unix_millis("last_seen") <= F.lit(cutover_ms)) & reduce(or_, pairs)
