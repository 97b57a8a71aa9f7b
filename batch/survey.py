"""What an import will do, counted in one pass before anything is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch import partitions
from batch.reading import NULL_PREFIX
from impressions.errors import ImpressionsError
from impressions.event import Reason

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Survey:
    """Counts of judged rows.

    Attributes:
        read, valid: rows.
        rejected: label of the reason -> rows, the most frequent first.
        rejected_by_source: source -> rejected rows, where there are any.
        slots: starts in ms of the ingest slots of valid rows.
        newest_ingest_ms: of valid rows; None where there are none.
        defaulted: mapped optional target -> rows with a null there.
    """

    read: int
    valid: int
    rejected: dict[str, int]
    rejected_by_source: dict[str, int]
    slots: frozenset[int]
    newest_ingest_ms: int | None
    defaulted: dict[str, int]


def survey(rows: DataFrame) -> Survey:
    """Counts the rows of `batch.reading.judged`."""
    from pyspark.sql import functions as F

    valid = F.col("reason") == int(Reason.OK)
    ingest_ms = F.col("ingest_ms")
    slot = F.when(valid, partitions.history_start_ms(ingest_ms))
    nulls = [name for name in rows.columns if name.startswith(NULL_PREFIX)]
    counted = (
        rows.groupBy("source", "reason", slot.alias("slot"))
        .agg(
            F.count("*").alias("rows"),
            F.max(F.when(valid, ingest_ms)).alias("newest_ms"),
            *(F.count_if(name).alias(name) for name in nulls),
        )
        .collect()
    )
    return _summed([row.asDict() for row in counted], nulls)


def _summed(groups: list[dict[str, Any]], nulls: list[str]) -> Survey:
    reasons: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    for group in groups:
        if group["source"] is None:
            raise ImpressionsError("rows came from a file that is not among those asked for")
        if group["reason"] != Reason.OK:
            reasons[Reason(group["reason"]).label] += group["rows"]
            by_source[group["source"]] += group["rows"]
    valid = [group for group in groups if group["reason"] == Reason.OK]
    defaulted = {n.removeprefix(NULL_PREFIX): sum(g[n] for g in groups) for n in nulls}
    return Survey(
        read=sum(group["rows"] for group in groups),
        valid=sum(group["rows"] for group in valid),
        rejected=dict(reasons.most_common()),
        rejected_by_source=dict(by_source),
        slots=frozenset(group["slot"] for group in valid),
        newest_ingest_ms=max((group["newest_ms"] for group in valid), default=None),
        defaulted={target: count for target, count in defaulted.items() if count},
    )
