"""Dead letters: what the stream could not count, as messages of the rejected topic.

    key      topic:partition:offset:log_index     the identity: a replay may write a letter twice
    value    the bytes as they were sent: the record where it does not decode, else a record that
             holds the one log, whole
    headers  reason        the reasons of the impressions, in order, joined by commas; one if all
                           are the same
             impressions   which of the log, 0-based, as ranges `first-last` joined by commas;
                           empty: not readable
             ingest_ms     the broker's time of the record
             topic partition offset log_index      where it came from; log_index -1: the record

A letter counts as many rejected impressions as it names, or one where it could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from google.protobuf.message import DecodeError

from impressions.decay import Int
from impressions.event import Reason
from impressions.ids import LOG_BITS, hash_id
from impressions.kafka.records import Batch
from impressions.v1.impression_record_pb2 import ImpressionLog, ImpressionRecord

WHOLE_RECORD = -1
_PER_IMPRESSION = (
    "title_ids", "locations", "rows", "positions", "event_time_ms", "played", "dwell_s"
)  # fmt: skip


@dataclass(frozen=True)
class DeadLetter:
    """See the module's docstring."""

    topic: str
    partition: int
    offset: int
    log_index: int
    ingest_ms: int
    reasons: tuple[str, ...]
    impressions: tuple[int, ...]
    value: bytes

    @property
    def identity(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}:{self.log_index}"

    @property
    def counts(self) -> int:
        """Rejected impressions, by the rule of counting."""
        return max(1, len(self.impressions))

    def headers(self) -> list[tuple[str, bytes]]:
        fields = {
            "reason": ",".join(self.reasons if len(set(self.reasons)) > 1 else self.reasons[:1]),
            "impressions": ",".join(f"{first}-{last}" for first, last in _ranges(self.impressions)),
            "ingest_ms": self.ingest_ms,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "log_index": self.log_index,
        }
        return [(name, str(value).encode()) for name, value in fields.items()]


def letters_of(
    batch: Batch, values: Sequence[bytes | None], offsets: Int, topic: str, partition: int,
    record_ingest_ms: Int,
) -> Iterator[DeadLetter]:  # fmt: skip
    """The dead letters of a batch: one for each log, or record, that has something rejected."""
    value_of = _Values(values)
    for bad in batch.unreadable:
        yield DeadLetter(
            topic, partition, int(offsets[bad.record]),
            WHOLE_RECORD if bad.log_index is None else bad.log_index,
            int(record_ingest_ms[bad.record]), (Reason.UNDECODABLE.label,), (),
            value_of(bad.record, bad.log_index),
        )  # fmt: skip
    rejected = np.flatnonzero(batch.reason != Reason.OK)
    for log, group in groupby(rejected.tolist(), key=lambda i: int(batch.log[i])):
        positions, record = list(group), int(batch.record[log])
        first = int(np.searchsorted(batch.log, log))
        log_index = int(batch.log_index[log])
        yield DeadLetter(
            topic, partition, int(offsets[record]), log_index, int(record_ingest_ms[record]),
            tuple(Reason(int(batch.reason[i])).label for i in positions),
            tuple(i - first for i in positions),
            value_of(record, log_index),
        )  # fmt: skip


def read_letter(value: bytes, headers: Sequence[tuple[str, bytes]]) -> DeadLetter:
    """A message of the rejected topic. KeyError or ValueError: not one of ours."""
    fields = {name: text.decode() for name, text in headers}
    bounds = [text.split("-") for text in fields["impressions"].split(",") if text]
    impressions = tuple(i for a, b in bounds for i in range(int(a), int(b) + 1))
    reasons = tuple(fields["reason"].split(","))
    return DeadLetter(
        fields["topic"],
        int(fields["partition"]),
        int(fields["offset"]),
        int(fields["log_index"]),
        int(fields["ingest_ms"]),
        reasons * len(impressions) if impressions and len(reasons) == 1 else reasons,
        impressions,
        value,
    )


def revived(letter: DeadLetter) -> ImpressionLog | None:
    """The rejected impressions as a log to send again; None where nothing can be read.

    Its log_id is new, because the rest of the log has counted under the old one, and the same each
    time, so that sending it twice counts once.
    """
    if not letter.impressions:
        return None
    log = ImpressionRecord.FromString(letter.value).logs[0]
    for name in _PER_IMPRESSION:
        column = getattr(log, name)
        if len(column):
            column[:] = [column[i] for i in letter.impressions]
    log.log_id = max(1, hash_id(f"again:{letter.identity}:{log.log_id}", LOG_BITS))
    return log


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as (first, last) of each unbroken range."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        of_range = [number for _, number in group]
        yield of_range[0], of_range[-1]


class _Values:
    """The value of a letter: its log out of the record. Each record is parsed once, however many
    of its logs are bad: a record of 8 MiB may hold a hundred thousand."""

    def __init__(self, values: Sequence[bytes | None]):
        self._values = values
        self._parsed: tuple[int, ImpressionRecord | None] = (-1, None)

    def __call__(self, record: int, log_index: int | None) -> bytes:
        value = self._values[record] or b""
        if log_index is None:
            return value
        if self._parsed[0] != record:
            self._parsed = record, _read(value)
        read = self._parsed[1]
        if read is None or log_index >= len(read.logs):
            return value
        return ImpressionRecord(logs=[read.logs[log_index]]).SerializeToString()


def _read(value: bytes) -> ImpressionRecord | None:
    try:
        return ImpressionRecord.FromString(value)
    except DecodeError:
        return None
