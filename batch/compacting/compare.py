"""Whether two computations of one generation are the same: keys and integers equal, sums close.

The order in which files are read decides the last bits of a sum of doubles, so those are compared
relatively; everything else must be equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from batch.rules.aggregate import KEYS
from impressions.core.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SAME_SUM = 1e-12
"""Relative difference of doubles up to which two computations count as the same."""


@dataclass(frozen=True)
class Difference:
    """How far two computations are apart.

    Attributes:
        rows: keys in either.   unpaired: keys that are not exactly once in both.
        unequal: keys whose integers or last seen differ.
        largest: the largest relative difference of any double.
    """

    rows: int
    unpaired: int
    unequal: int
    largest: float

    def within(self, limit: float) -> bool:
        """Whether keys and integers are equal, and doubles within a relative difference."""
        return not self.unpaired and not self.unequal and self.largest <= limit


def compare(one: DataFrame, other: DataFrame, spec: Spec) -> Difference:
    """Compare two tables with the columns of `impressions.ema` key by key."""
    from pyspark.sql import functions as F

    exact = ["last_seen", *(m.name for m in spec.measures if m.integral)]
    doubles = [m.name for m in spec.measures if not m.integral] + list(spec.decayed_names)
    both = one.withColumn("side", F.lit(0)).unionByName(other.withColumn("side", F.lit(1)))
    per_key = both.groupBy(*KEYS).agg(
        ((F.count(F.lit(1)) != 2) | (F.sum("side") != 1)).alias("unpaired"),
        reduce(or_, (F.min(c) != F.max(c) for c in exact)).alias("unequal"),
        # Null where both are 0.
        F.greatest(
            *(F.try_divide(F.max(c) - F.min(c), F.max(F.abs(F.col(c)))) for c in doubles)
        ).alias("apart"),
    )
    row = per_key.agg(
        F.count(F.lit(1)).alias("rows"),
        F.count_if("unpaired").alias("unpaired"),
        F.count_if("unequal").alias("unequal"),
        F.coalesce(F.max("apart"), F.lit(0.0)).alias("largest"),
    ).collect()[0]
    return Difference(row["rows"], row["unpaired"], row["unequal"], row["largest"])
