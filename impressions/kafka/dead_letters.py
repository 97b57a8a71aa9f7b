"""Dead letters: what the stream could not count, as messages of the rejected topic.

    key      topic:partition:offset:log_index     the identity: a replay may write one twice
    value    the bytes as they were sent: the record if it does not decode, else a record with the
             complete device flush alone; of a record that is too large only the beginning
    headers  reason        the reasons of the impressions, in order, joined by commas; one if all
                           are the same
             impressions   which of the flush, 0-based, as ranges `first-last` joined by commas;
                           empty: not readable
             ingest_ms     the broker's time of the record
             topic partition offset log_index      where it came from; log_index -1: the record
             value_bytes   only where the value was cut: how long it was

`log_index` is the number of the device flush in its record. A dead letter counts as many rejected
impressions as it names, or one if it could not be read. Its value has 8 MiB at most, like the
records that are decoded, so it fits a message with its headers. A reader accepts no header that
contradicts the value (`read_dead_letter`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np

from impressions.core.decay import Int
from impressions.core.event import MAX_LOG_IMPRESSIONS, Reason
from impressions.formats.columns import YEAR_10000_MS
from impressions.formats.flush_framing import KEPT_BYTES, Cut, is_too_large, log_ranges, record_of
from impressions.kafka.decoded_batch import DecodedBatch

ALL_OF_RECORD = -1

_IMPRESSION_BYTES = 29
"""Of one impression on the wire, at least."""
_HEADER_BYTES = 256 << 10
"""Of one header: ten thousand reasons of twenty letters are less."""
_LABELS = {int(reason): reason.label for reason in Reason}
_NUMBER = re.compile(rb"-?[0-9]{1,19}")
_RANGE = re.compile(rb"([0-9]{1,9})-([0-9]{1,9})")
_REASON = re.compile(rb"[a-z_]{1,40}")
_TOPIC = re.compile(rb"[A-Za-z0-9._-]{1,249}")


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
    value_bytes: int | None = None

    @property
    def identity(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}:{self.log_index}"

    @property
    def counts(self) -> int:
        """Rejected impressions, by the rule of counting."""
        return max(1, len(self.impressions))

    def headers(self) -> list[tuple[str, bytes]]:
        fields: dict[str, object] = {
            "reason": ",".join(self.reasons if len(set(self.reasons)) > 1 else self.reasons[:1]),
            "impressions": ",".join(f"{first}-{last}" for first, last in _ranges(self.impressions)),
            "ingest_ms": self.ingest_ms,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "log_index": self.log_index,
        }
        if self.value_bytes is not None:
            fields["value_bytes"] = self.value_bytes
        return [(name, str(value).encode()) for name, value in fields.items()]

    def cut(self) -> DeadLetter:
        """The same with no more of its value than `KEPT_BYTES`, marked as cut by `value_bytes`."""
        if len(self.value) <= KEPT_BYTES:
            return self
        size = len(self.value) if self.value_bytes is None else self.value_bytes
        return replace(self, value=self.value[:KEPT_BYTES], value_bytes=size)


def dead_letters_of(
    batch: DecodedBatch, values: Sequence[bytes | None], offsets: Int, topic: str, partition: int,
    record_ingest_ms: Int,
) -> Iterator[DeadLetter]:  # fmt: skip
    """The dead letters of a batch: one for each flush, or record, that has something rejected."""
    value_of = Values(values)
    for bad in batch.unreadable:
        value = value_of(bad.record, bad.log_index)
        yield DeadLetter(
            topic, partition, int(offsets[bad.record]),
            ALL_OF_RECORD if bad.log_index is None else bad.log_index,
            int(record_ingest_ms[bad.record]), (bad.reason.label,), (),
            bytes(value), getattr(value, "value_bytes", None),
        )  # fmt: skip
    for rejected in _by_flush(batch):
        flush = int(batch.flush[rejected[0]])
        first, record = int(np.searchsorted(batch.flush, flush)), int(batch.record[flush])
        log_index = int(batch.log_index[flush])
        yield DeadLetter(
            topic, partition, int(offsets[record]), log_index, int(record_ingest_ms[record]),
            tuple(_LABELS[code] for code in batch.reason[rejected].tolist()),
            tuple((rejected - first).tolist()),
            value_of(record, log_index),
        )  # fmt: skip


def _by_flush(batch: DecodedBatch) -> Iterator[Int]:
    """The rejected impressions of each device flush that has some."""
    rejected = np.flatnonzero(batch.reason != Reason.OK)
    edges = np.flatnonzero(np.diff(batch.flush[rejected])) + 1
    bounds = [0, *edges.tolist(), len(rejected)]
    return (rejected[a:b] for a, b in pairwise(bounds) if a < b)


def read_dead_letter(value: bytes, headers: Sequence[tuple[str, bytes | None]]) -> DeadLetter:
    """A message of the rejected topic.

    Raises:
        ValueError: no dead letter: a header is absent or no value of its kind, or names more
            impressions than the value holds.
    """
    fields = {name: text for name, text in headers if text is not None}
    reasons = _reasons(_header(fields, "reason"))
    impressions = _impressions(_header(fields, "impressions"), _most(value, reasons))
    if len(reasons) not in (1, len(impressions)):
        raise ValueError(f"{len(reasons)} reasons of {len(impressions)} impressions")
    if not _TOPIC.fullmatch(topic := _header(fields, "topic")):
        raise ValueError("header topic: expected the name of a topic")
    return DeadLetter(
        topic.decode(),
        _number(fields, "partition", 0),
        _number(fields, "offset", 0),
        _number(fields, "log_index", ALL_OF_RECORD),
        _number(fields, "ingest_ms", -1, YEAR_10000_MS),
        reasons * len(impressions) if impressions and len(reasons) == 1 else reasons,
        impressions,
        value,
        _number(fields, "value_bytes", len(value) + 1) if "value_bytes" in fields else None,
    )


def _header(fields: dict[str, bytes], name: str) -> bytes:
    if name not in fields:
        raise ValueError(f"no header {name}")
    if len(fields[name]) > _HEADER_BYTES:
        raise ValueError(f"header {name}: {len(fields[name])} bytes")
    return fields[name]


def _number(fields: dict[str, bytes], name: str, lowest: int, end: int = 1 << 63) -> int:
    text = _header(fields, name)
    if not _NUMBER.fullmatch(text) or not lowest <= int(text) < end:
        raise ValueError(f"header {name}: expected a number of {lowest} or more, below {end}")
    return int(text)


def _reasons(text: bytes) -> tuple[str, ...]:
    words = text.split(b",")
    if not all(map(_REASON.fullmatch, words)):
        raise ValueError("header reason: expected words")
    return tuple(word.decode() for word in words)


def _most(value: bytes, reasons: tuple[str, ...]) -> int:
    """How many impressions a dead letter can have: what its bytes hold, and a flush may."""
    held = len(value) // _IMPRESSION_BYTES
    is_large = reasons == (Reason.TOO_LARGE.label,)
    return held if is_large else min(held, MAX_LOG_IMPRESSIONS)


def _impressions(text: bytes, most: int) -> tuple[int, ...]:
    """The numbers of ascending ranges below `most`, which is checked before any is made."""
    bounds: list[tuple[int, int]] = []
    lowest = 0
    for part in text.split(b",") if text else ():
        found = _RANGE.fullmatch(part)
        first, last = (int(found[1]), int(found[2])) if found else (-1, -1)
        if not lowest <= first <= last < most:
            raise ValueError(f"header impressions: expected ascending ranges below {most}")
        bounds.append((first, last))
        lowest = last + 1
    return tuple(i for first, last in bounds for i in range(first, last + 1))


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as (first, last) of each unbroken range."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        of_range = [number for _, number in group]
        yield of_range[0], of_range[-1]


class Values:
    """The value of a dead letter: its device flush out of the record. Each record is walked once,
    however many of its flushes are bad: a record of 8 MiB may hold a hundred thousand."""

    def __init__(self, values: Sequence[bytes | None]):
        self._values = values
        self._walked: tuple[int, list[tuple[int, int]]] = (-1, [])

    def __call__(self, record: int, log_index: int | None) -> bytes:
        value = self._values[record] or b""
        if log_index is None:
            return Cut.of(value) if is_too_large(value) else value
        if self._walked[0] != record:
            self._walked = record, log_ranges(value)[0]
        start, end = self._walked[1][log_index]
        return record_of(value[start:end])
