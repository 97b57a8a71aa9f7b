"""Records of the source topic decoded to columns and validated: what land and speed share.

In: the values of consecutive records of one partition, with their offsets and ingest times. Out:
one `DecodedBatch`: columns over all their impressions in order, with the reason of each that must
not count (impressions/core/event.py), and the records or device flushes that could not be read:

    record         undecodable, or too_large: more than 8 MiB, or more than 100,000 device flushes
    device flush   undecodable: not its bytes, a text that is no UTF-8, columns of different length;
                   if more of those are named than fit into the record, the record is undecodable

Reasons that hold for a device flush come first: too_large (more than 10,000 impressions, or more
than 50,000 together with the flushes of its profile before it in the record), missing_profile,
missing_log_id, bad_profile, wrong_partition; then the rule checks each impression. Duplicates are
not decided here: speed asks its state, the batch its tables.

Counting: each impression is one; a record or device flush that cannot be read is one.

Memory is a multiple of the bytes given, whatever they contain: five to six times for records that
are as they should be, twenty at most (tests/kafka/test_records_memory.py); without numba twice
that. So the caller bounds the bytes of a batch, uncompressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from impressions.compiled.flushes import reader
from impressions.core import event
from impressions.core.decay import Int
from impressions.core.event import Reason
from impressions.core.shard import shards_of
from impressions.core.spec import Spec
from impressions.formats.device_flushes import ABSENT, Columns, Texts, Unreadable, read_plain

__all__ = ["ABSENT", "DecodedBatch", "Unreadable", "decode"]


@dataclass(frozen=True)
class DecodedBatch(Columns):
    """`Columns` of n impressions of m device flushes, validated.

    Attributes:
        flush: (n,) which device flush an impression belongs to, ascending.
        ingest_ms: (n,) ingest time, monotone along the partition.
        reason: (n,) uint8 of `Reason`.
        counted_ms: (n,) the event time to count with.
    """

    flush: Int
    ingest_ms: Int
    reason: NDArray[np.uint8]
    counted_ms: Int

    @property
    def read(self) -> int:
        """Impressions read, by the rule of counting."""
        return len(self.flush) + len(self.unreadable)

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
) -> DecodedBatch:
    """Decode and validate records of one partition.

    Args:
        values: r record values, less than 1 GiB together; None (a tombstone) is undecodable here.
        ingest_ms: (r,) the running maximum of the broker's append times.
        compiled: False reads the plain way, which is the same and slow.
    """
    columns = (reader() if compiled else read_plain)(values)
    return _validated(columns, ingest_ms, partition, partitions, spec)


def _validated(
    columns: Columns, record_ingest_ms: Int, partition: int, partitions: int, spec: Spec
) -> DecodedBatch:
    flush = np.repeat(np.arange(len(columns.count)), columns.count)
    ingest_ms = record_ingest_ms[columns.record][flush]
    reason, counted_ms = event.check(
        columns.profile_id[flush], columns.title_id, columns.location, columns.event_ms, ingest_ms,
        columns.dwell_s, spec,
    )  # fmt: skip
    of_flushes = _flush_reasons(columns, partition, partitions)
    if of_flushes.any():
        first = of_flushes[flush]
        reason = np.where(first != Reason.OK, first, reason).astype(np.uint8)
    return DecodedBatch(
        **vars(columns), flush=flush, ingest_ms=ingest_ms, reason=reason, counted_ms=counted_ms
    )


def _with_those_before(lengths: Int, record: Int, profile_id: Int) -> Int:
    """(m,) impressions of each device flush together with those of the same profile before it in
    its record; of the flush alone if no record has more than one profile may have."""
    if not len(lengths) or np.bincount(record, lengths).max() <= event.MAX_PROFILE_IMPRESSIONS:
        return lengths  # as nearly always: the sums are within the limit, too
    order = np.lexsort((profile_id, record))  # stable: flushes of one profile stay in their order
    total = np.cumsum(lengths[order])
    of, by = profile_id[order], record[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (of[1:] != of[:-1]) | (by[1:] != by[:-1])
    before = np.where(first, total - lengths[order], 0)
    out = np.empty(len(order), np.int64)
    out[order] = total - np.maximum.accumulate(before)
    return out


def _flush_reasons(columns: Columns, partition: int, partitions: int) -> NDArray[np.uint8]:
    """(m,) reasons that hold for every impression of a device flush."""
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
    return event.first_of(failures, len(count))
