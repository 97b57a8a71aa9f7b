"""Columns of the logs of some records, not judged yet; by the public protobuf class.

In: the values of consecutive records. Out: `Columns` of every log that holds impressions, in order,
and what could not be read. This is the definition, and the way where numba is absent. Where it is
there, impressions/compiled/flushes.py reads the same many times faster and comes here with logs in
an unusual form (`rewritten`).

    a log is nothing         if it has no impressions
    a log is unreadable      if the public class does not read it, a text of bad UTF-8 among that,
                             or its columns are of different length
    a record is unreadable   for its bytes or its size (impressions/formats/flush_framing.py), or if
                             more of its logs are unreadable than it could hold (`are_no_logs`)

Records are taken one by one and logs one by one, so that a message of protobuf, which may be many
times larger than its bytes, never is that of more than one log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from impressions.core.decay import Float, Int
from impressions.core.event import Reason
from impressions.formats.flush_framing import LEAST_LOG_BYTES, log_ranges
from impressions.v1.impression_record_pb2 import ImpressionLog

ABSENT = -1
"""In `row` and `position`: the sender left the column out."""

Texts = tuple[list[str], list[str]]
"""device_type and app_version of each log; empty where not given."""

_NEEDED = (  # name in the message, dtype in `Columns`
    ("title_ids", np.int64), ("locations", np.int64), ("event_time_ms", np.int64),
    ("played", np.bool_), ("dwell_s", np.float64),
)  # fmt: skip
_OPTIONAL = ("rows", "positions")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record (`log_index` None) or a log that could not be read; counts as one rejected."""

    record: int
    log_index: int | None
    reason: Reason = Reason.UNDECODABLE


@dataclass(frozen=True)
class Columns:
    """n impressions of m logs.

    Attributes:
        record, log_index, log_id, profile_id: (m,) int64 of the logs; `record` indexes the input.
        has_profile: (m,) bool.
        count: (m,) int64 impressions of each log, at least one.
        texts: makes the texts of the m logs.
        title_id, location, row, position, event_ms, dwell_s, played: (n,) as sent; `ABSENT` in row
            and position where the sender left the column out.
        unreadable: in order.
    """

    record: Int
    log_index: Int
    log_id: Int
    profile_id: Int
    has_profile: NDArray[np.bool_]
    count: Int
    texts: Callable[[], Texts]
    title_id: Int
    location: Int
    row: Int
    position: Int
    event_ms: Int
    played: NDArray[np.bool_]
    dwell_s: Float
    unreadable: list[Unreadable]


def read_plain(values: Sequence[bytes | None]) -> Columns:
    """The columns of r records; a value of None (a tombstone) is undecodable."""
    logs: list[_Log] = []
    unreadable: list[Unreadable] = []
    for i, value in enumerate(values):
        ranges, reason = ([], Reason.UNDECODABLE) if value is None else log_ranges(value)
        if value is None or reason != Reason.OK:
            unreadable.append(Unreadable(i, None, reason))
            continue
        of_record, bad = len(logs), len(unreadable)
        for j, (start, end) in enumerate(ranges):
            message = message_of(value[start:end])
            n = None if message is None else length_of(message)
            if message is None or n is None:
                unreadable.append(Unreadable(i, j))
            elif n:
                logs.append(_Log.of(i, j, n, message))
        if are_no_logs(len(unreadable) - bad, len(value)):
            del logs[of_record:]
            unreadable[bad:] = [Unreadable(i, None)]
    return _columns(logs, unreadable)


def are_no_logs(unreadable: int, value_bytes: int) -> bool:
    """Whether so many unreadable logs fit into no record of logs that have an impression each.

    Then they are one unreadable record instead, or three bytes could become a dead letter each.
    """
    return unreadable * LEAST_LOG_BYTES > value_bytes


def message_of(log: bytes) -> ImpressionLog | None:
    """The message of a log; None where its bytes are none."""
    try:
        return ImpressionLog.FromString(log)
    except (DecodeError, UnicodeDecodeError):
        return None


def rewritten(log: bytes) -> bytes | None:
    """A log in the usual form: columns packed and in one piece, and nothing that is not known."""
    message = message_of(log)
    if message is None:
        return None
    message.DiscardUnknownFields()
    return message.SerializeToString()


def length_of(log: ImpressionLog) -> int | None:
    """Impressions of a log; None where its columns do not fit together."""
    lengths = {len(getattr(log, name)) for name, _ in _NEEDED}
    given = {len(getattr(log, name)) for name in _OPTIONAL} - {0}
    return lengths.pop() if len(lengths) == 1 and given <= lengths else None


class _Log(NamedTuple):
    """What is taken out of a message."""

    record: int
    log_index: int
    n: int
    log_id: int
    profile_id: int
    has_profile: bool
    device_type: str
    app_version: str
    columns: tuple[NDArray[np.generic], ...]

    @classmethod
    def of(cls, record: int, log_index: int, n: int, log: ImpressionLog) -> _Log:
        needed = [np.fromiter(getattr(log, name), dtype, n) for name, dtype in _NEEDED]
        optional = [
            np.fromiter(getattr(log, name) or repeat(ABSENT, n), np.int64, n) for name in _OPTIONAL
        ]
        return cls(
            record, log_index, n, log.log_id, log.profile_id, log.HasField("profile_id"),
            log.device.type, log.device.app_version, (*needed, *optional),
        )  # fmt: skip


def _columns(logs: Sequence[_Log], unreadable: list[Unreadable]) -> Columns:
    texts = [log.device_type for log in logs], [log.app_version for log in logs]

    def of_logs(values: Iterable[int], dtype: type[np.generic] = np.int64) -> Any:
        return np.fromiter(values, dtype, len(logs))

    dtypes = [*(dtype for _, dtype in _NEEDED), np.int64, np.int64]
    title_id, location, event_ms, played, dwell_s, row, position = (
        np.concatenate([np.empty(0, dtype), *(log.columns[c] for log in logs)])
        for c, dtype in enumerate(dtypes)
    )
    return Columns(
        record=of_logs(log.record for log in logs),
        log_index=of_logs(log.log_index for log in logs),
        log_id=of_logs((log.log_id for log in logs), np.uint64).view(np.int64),
        profile_id=of_logs(log.profile_id for log in logs),
        has_profile=of_logs((log.has_profile for log in logs), np.bool_),
        count=of_logs(log.n for log in logs),
        texts=lambda: texts,
        title_id=title_id,
        location=location,
        row=row,
        position=position,
        event_ms=event_ms,
        played=played,
        dwell_s=dwell_s,
        unreadable=unreadable,
    )
