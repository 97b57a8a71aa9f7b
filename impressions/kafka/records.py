"""Records of the source topic as columns, each impression judged: what land and speed share.

In: the values of consecutive records of one partition, with their offsets and ingest times. Out:
one `Batch`: columns over all their impressions in log order, with the reason of each that must not
count (impressions/event.py), and the records or logs that could not be read at all.

Reasons of a whole log come first: undecodable (columns of different length), too_large (more than
10,000 impressions, or more than 50,000 together with the logs of its profile before it in the
record), missing_profile, missing_log_id, bad_profile, wrong_partition; then the rule judges each
impression. Duplicates are not decided here: speed asks its state, the batch its tables.

Counting: each impression is one; a record or log that cannot be read is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from impressions import event
from impressions.decay import Float, Int
from impressions.event import Reason
from impressions.shard import shards_of
from impressions.shell.twins import twins_of
from impressions.spec import Spec
from impressions.v1 import impression_record_pb2 as public

ABSENT = -1
"""In `row` and `position`: the sender left the column out."""

_TYPES = {
    FieldDescriptorProto.TYPE_SFIXED64: "<i8",
    FieldDescriptorProto.TYPE_FIXED32: "<u4",
    FieldDescriptorProto.TYPE_DOUBLE: "<f8",
    FieldDescriptorProto.TYPE_BOOL: "u1",
}
_Record: Any = twins_of(public.DESCRIPTOR, _TYPES)("ImpressionRecord")
_COLUMNS = {  # name in the message -> dtype
    "title_ids": "<i8",
    "locations": "<u4",
    "event_time_ms": "<i8",
    "played": "u1",
    "dwell_s": "<f8",
}
_IDS_ONLY_BYTES = 20  # a log of two ids; more bytes without a column may be columns in another form


@dataclass(frozen=True)
class Unreadable:
    """A record (`log_index` None) or a log that does not decode; counts as one rejected."""

    record: int
    log_index: int | None


@dataclass(frozen=True)
class Batch:
    """n impressions of m logs.

    Attributes:
        record, log_index, log_id, profile_id: (m,) of the logs; `record` indexes the input.
        device_type, app_version: m texts; empty where not given.
        log: (n,) which log an impression belongs to, ascending.
        title_id, location, row, position, event_ms, dwell_s, played: (n,) as sent.
        ingest_ms: (n,) ingest time, monotone along the partition.
        reason: (n,) uint8 of `Reason`.
        counted_ms: (n,) the event time to count with.
        unreadable: what could not be read.
    """

    record: Int
    log_index: Int
    log_id: Int
    profile_id: Int
    device_type: list[str]
    app_version: list[str]
    log: Int
    title_id: Int
    location: Int
    row: Int
    position: Int
    event_ms: Int
    played: NDArray[np.bool_]
    dwell_s: Float
    ingest_ms: Int
    reason: NDArray[np.uint8]
    counted_ms: Int
    unreadable: list[Unreadable]

    @property
    def read(self) -> int:
        """Impressions read, by the rule of counting."""
        return len(self.log) + len(self.unreadable)


def decode(
    values: Sequence[bytes | None],
    ingest_ms: Int,
    partition: int,
    partitions: int,
    spec: Spec,
) -> Batch:
    """Decode and judge records of one partition.

    Args:
        values: r record values; None (a tombstone) is undecodable here.
        ingest_ms: (r,) the running maximum of the broker's append times.
    """
    logs: list[Any] = []
    places: list[tuple[int, int]] = []
    counts: list[int] = []
    unreadable: list[Unreadable] = []
    for i, value in enumerate(values):
        parsed = None if value is None else _parsed(value)
        if parsed is None:
            unreadable.append(Unreadable(i, None))
            continue
        for j, (log, n) in enumerate(zip(*parsed, strict=True)):
            if n is None:
                unreadable.append(Unreadable(i, j))
            elif n:
                logs.append(log)
                places.append((i, j))
                counts.append(n)
    return _judged(logs, places, counts, unreadable, ingest_ms, partition, partitions, spec)


def _parsed(value: bytes) -> tuple[Any, list[int | None]] | None:
    """The logs of a record, their columns as bytes, and `_length` of each; None where the bytes are
    no record.

    A twin keeps the last of two pieces of a column and takes unpacked ones for unknown fields; then
    sizes differ, and the public class, which reads every form, writes it anew.
    """
    try:
        record = _Record.FromString(value)
        lengths = [_length(log) for log in record.logs]
        if record.ByteSize() != len(value) or any(map(_odd, record.logs, lengths)):
            whole = public.ImpressionRecord.FromString(value).SerializeToString()
            record = _Record.FromString(whole)
            lengths = [_length(log) for log in record.logs]
    except (DecodeError, UnicodeDecodeError):
        return None
    return record.logs, lengths


def _odd(log: Any, length: int | None) -> bool:
    """Whether columns may stand in another form than one packed piece each."""
    return length is None or (length == 0 and log.ByteSize() > _IDS_ONLY_BYTES)


def _length(log: Any) -> int | None:
    """Impressions of a log; None where its columns do not fit together."""
    n = len(log.played)  # of one byte each; written out, because every log passes here
    if (
        len(log.title_ids) == len(log.event_time_ms) == len(log.dwell_s) == 8 * n
        and len(log.locations) == 4 * n
        and len(log.rows) in (0, 4 * n)
        and len(log.positions) in (0, 4 * n)
    ):
        return n
    return None


def _judged(
    logs: list[Any],
    places: list[tuple[int, int]],
    counts: list[int],
    unreadable: list[Unreadable],
    record_ingest_ms: Int,
    partition: int,
    partitions: int,
    spec: Spec,
) -> Batch:
    of_log = np.array(places, np.int64).reshape(-1, 2)
    lengths = np.array(counts, np.int64)
    log = np.repeat(np.arange(len(logs)), lengths)
    column = {
        name: np.frombuffer(b"".join([getattr(g, name) for g in logs]), dtype)
        for name, dtype in _COLUMNS.items()
    }
    title_id = column["title_ids"].astype(np.int64, copy=False)
    location = column["locations"].astype(np.int64)
    event_ms = column["event_time_ms"].astype(np.int64, copy=False)
    dwell_s = column["dwell_s"].astype(np.float64, copy=False)
    log_id = np.array([g.log_id for g in logs], np.uint64).view(np.int64)
    profile_id = np.array([g.profile_id for g in logs], np.int64)
    has_profile = np.array([g.HasField("profile_id") for g in logs], np.bool_)
    together = _with_those_before(lengths, of_log[:, 0], profile_id)
    of_logs = _log_reasons(
        lengths, together, has_profile, log_id, profile_id, partition, partitions
    )
    ingest_ms = record_ingest_ms[of_log[:, 0]][log]
    reason, counted_ms = event.check(
        profile_id[log], title_id, location, event_ms, ingest_ms, dwell_s, spec
    )
    reason = np.where(of_logs[log] != Reason.OK, of_logs[log], reason).astype(np.uint8)
    return Batch(
        record=of_log[:, 0],
        log_index=of_log[:, 1],
        log_id=log_id,
        profile_id=profile_id,
        device_type=[g.device.type for g in logs],
        app_version=[g.device.app_version for g in logs],
        log=log,
        title_id=title_id,
        location=location,
        row=_optional(logs, lengths, "rows"),
        position=_optional(logs, lengths, "positions"),
        event_ms=event_ms,
        played=column["played"].astype(np.bool_),
        dwell_s=dwell_s,
        ingest_ms=ingest_ms,
        reason=reason,
        counted_ms=counted_ms,
        unreadable=unreadable,
    )


def _with_those_before(lengths: Int, record: Int, profile_id: Int) -> Int:
    """(m,) impressions of each log and of those before it in its record, of the same profile."""
    order = np.lexsort((profile_id, record))  # stable: logs of one profile stay in their order
    total = np.cumsum(lengths[order])
    of, by = profile_id[order], record[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (of[1:] != of[:-1]) | (by[1:] != by[:-1])
    before = np.where(first, total - lengths[order], 0)
    out = np.empty(len(order), np.int64)
    out[order] = total - np.maximum.accumulate(before)
    return out


def _log_reasons(
    lengths: Int,
    together: Int,
    has_profile: NDArray[np.bool_],
    log_id: Int,
    profile_id: Int,
    partition: int,
    partitions: int,
) -> NDArray[np.uint8]:
    """(m,) reasons that hold for every impression of a log."""
    failures = (
        (
            Reason.TOO_LARGE,
            (lengths > event.MAX_LOG_IMPRESSIONS) | (together > event.MAX_PROFILE_IMPRESSIONS),
        ),
        (Reason.MISSING_PROFILE, ~has_profile),
        (Reason.MISSING_LOG_ID, log_id == 0),
        (Reason.BAD_PROFILE, profile_id < 0),
        (Reason.WRONG_PARTITION, shards_of(profile_id, partitions) != partition),
    )
    reasons = np.select([f for _, f in failures], [r for r, _ in failures], Reason.OK)
    return reasons.astype(np.uint8)


def _optional(logs: list[Any], lengths: Int, name: str) -> Int:
    """A column that a log may leave out: `ABSENT` for its impressions then."""
    pieces = [getattr(g, name) for g in logs]
    given = np.array([len(piece) > 0 for piece in pieces], np.bool_)
    out = np.full(int(lengths.sum()), ABSENT, np.int64)
    out[np.repeat(given, lengths)] = np.frombuffer(b"".join(pieces), "<u4")
    return out
