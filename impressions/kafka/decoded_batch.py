"""Records of the source topic as columns, each impression judged: what land and speed share.

In: the values of consecutive records of one partition, with their offsets and ingest times. Out:
one `Batch`: columns over all their impressions in log order, with the reason of each that must not
count (impressions/core/event.py), and the records or logs that could not be read at all:

    record   undecodable, or too_large: more than 8 MiB, or more than 100,000 logs
    log      undecodable: not its bytes, a text that is no UTF-8, columns of different length; more
             of those than fit into their record are one undecodable record instead

Reasons of a whole log come first: too_large (more than 10,000 impressions, or more than 50,000
together with the logs of its profile before it in the record), missing_profile, missing_log_id,
bad_profile, wrong_partition; then the rule judges each impression. Duplicates are not decided here:
speed asks its state, the batch its tables.

Counting: each impression is one; a record or log that cannot be read is one.

Memory is a multiple of the bytes given, whatever stands in them: five to six times for records that
are as they should be, twenty at most (tests/kafka/test_records_memory.py); without numba twice
that. So whoever calls bounds the bytes of a batch, uncompressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from impressions.compiled.logs import reader
from impressions.core import event
from impressions.core.decay import Int
from impressions.core.event import Reason
from impressions.core.shard import shards_of
from impressions.core.spec import Spec
from impressions.formats.device_flushes import ABSENT, Columns, Texts, Unreadable, read_plain

__all__ = ["ABSENT", "Batch", "Unreadable", "decode"]


@dataclass(frozen=True)
class Batch(Columns):
    """`Columns` of n impressions of m logs, judged.

    Attributes:
        log: (n,) which log an impression belongs to, ascending.
        ingest_ms: (n,) ingest time, monotone along the partition.
        reason: (n,) uint8 of `Reason`.
        counted_ms: (n,) the event time to count with.
    """

    log: Int
    ingest_ms: Int
    reason: NDArray[np.uint8]
    counted_ms: Int

    @property
    def read(self) -> int:
        """Impressions read, by the rule of counting."""
        return len(self.log) + len(self.unreadable)

    @property
    def device_type(self) -> list[str]:
        """m texts; empty where not given."""
        return self._texts[0]

    @property
    def app_version(self) -> list[str]:
        """m texts; empty where not given."""
        return self._texts[1]

    @cached_property
    def _texts(self) -> Texts:
        return self.texts()


def decode(
    values: Sequence[bytes | None],
    ingest_ms: Int,
    partition: int,
    partitions: int,
    spec: Spec,
    *,
    compiled: bool = True,
) -> Batch:
    """Decode and judge records of one partition.

    Args:
        values: r record values, less than 1 GiB together; None (a tombstone) is undecodable here.
        ingest_ms: (r,) the running maximum of the broker's append times.
        compiled: False reads the plain way, which is the same and slow.
    """
    columns = (reader() if compiled else read_plain)(values)
    return _judged(columns, ingest_ms, partition, partitions, spec)


def _judged(
    columns: Columns, record_ingest_ms: Int, partition: int, partitions: int, spec: Spec
) -> Batch:
    log = np.repeat(np.arange(len(columns.count)), columns.count)
    ingest_ms = record_ingest_ms[columns.record][log]
    reason, counted_ms = event.check(
        columns.profile_id[log], columns.title_id, columns.location, columns.event_ms, ingest_ms,
        columns.dwell_s, spec,
    )  # fmt: skip
    of_logs = _log_reasons(columns, partition, partitions)
    if of_logs.any():
        reason = np.where(of_logs[log] != Reason.OK, of_logs[log], reason).astype(np.uint8)
    return Batch(
        **vars(columns), log=log, ingest_ms=ingest_ms, reason=reason, counted_ms=counted_ms
    )


def _with_those_before(lengths: Int, record: Int, profile_id: Int) -> Int:
    """(m,) impressions of each log and of those before it in its record, of the same profile; of
    the log alone where no record has more than one profile may have."""
    if not len(lengths) or np.bincount(record, lengths).max() <= event.MAX_PROFILE_IMPRESSIONS:
        return lengths  # as nearly always; whatever they add up to is within the limit
    order = np.lexsort((profile_id, record))  # stable: logs of one profile stay in their order
    total = np.cumsum(lengths[order])
    of, by = profile_id[order], record[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (of[1:] != of[:-1]) | (by[1:] != by[:-1])
    before = np.where(first, total - lengths[order], 0)
    out = np.empty(len(order), np.int64)
    out[order] = total - np.maximum.accumulate(before)
    return out


def _log_reasons(columns: Columns, partition: int, partitions: int) -> NDArray[np.uint8]:
    """(m,) reasons that hold for every impression of a log."""
    count, profile_id = columns.count, columns.profile_id
    together = _with_those_before(count, columns.record, profile_id)
    failures = (
        (
            Reason.TOO_LARGE,
            (count > event.MAX_LOG_IMPRESSIONS) | (together > event.MAX_PROFILE_IMPRESSIONS),
        ),
        (Reason.MISSING_PROFILE, ~columns.has_profile),
        (Reason.MISSING_LOG_ID, columns.log_id == 0),
        (Reason.BAD_PROFILE, profile_id < 0),
        (Reason.WRONG_PARTITION, shards_of(profile_id, partitions) != partition),
    )
    reasons = np.select([f for _, f in failures], [r for r, _ in failures], Reason.OK)
    return reasons.astype(np.uint8)
