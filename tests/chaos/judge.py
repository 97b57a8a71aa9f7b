"""The oracle beside the system: what is lost, counted twice or wrong in its answers.

Everything that was sent stands in the source topic; it is read on from where the last look ended,
in plain Python over the public wire classes, and judged by oracle/naive.py. Records that are no
records (sent on purpose) are left out, as the rule says.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from google.protobuf.message import DecodeError

from examples.demo.check import ask
from impressions.client import ImpressionsClient
from impressions.kafka import client as kafka
from impressions.settings.model import Settings
from impressions.v1.impression_record_pb2 import ImpressionRecord
from oracle import naive
from tests.chaos.watcher import Sample
from tests.compare import differences
from tests.live import events_of, until
from tests.tolerance import FLOAT32_STORED


@dataclass
class Verdict:
    """What a comparison found. lost, twice: impressions; wrong: answers; stale: samples."""

    answers: int = 0
    samples: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.twice or self.wrong)

    def __iadd__(self, other: Verdict) -> Verdict:
        for name in ("answers", "samples", "lost", "twice", "wrong", "examples"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


class Judge:
    """Knows everything that was sent.

    Attributes:
        newest_ms: ingest time of the newest record.
    """

    def __init__(self, settings: Settings, history: Sequence[Any]):
        self._settings, self._history = settings, list(history)
        self._logs: dict[int, list[Any]] = {p: [] for p in range(settings.partitions)}
        self._next = dict.fromkeys(self._logs, 0)
        self._ingest_ms = dict.fromkeys(self._logs, 0)
        self._accepted: list[tuple[int, dict[str, Any], int]] = []
        self.undecodable = 0

    @property
    def newest_ms(self) -> int:
        return max(self._ingest_ms.values())

    @property
    def events(self) -> int:
        return len(self._accepted)

    def look(self) -> int:
        """Read on to the end of the topic; returns the newest ingest time."""
        with reader_of(self._settings) as consumer:
            for partition in self._logs:
                at = TopicPartition(self._settings.kafka.topic, partition, self._next[partition])
                _, end = ends_of(consumer, at)
                for message in messages_until(consumer, at, end):
                    self._take(partition, message)
                self._next[partition] = max(self._next[partition], end)
        return self.newest_ms

    def compare(self, client: ImpressionsClient, query_ms: int) -> Verdict:
        """Every (profile, title, location) of every profile, at one query time."""
        sent = [log for partition in self._logs.values() for log in partition]
        self._accepted, _ = naive.accept(self._history + sent, self._settings.spec.slot_ms)
        expected = naive.answers(self._accepted, query_ms)
        found = ask(client, sorted({event[0] for event in self._accepted}), query_ms)
        verdict = Verdict(answers=len(expected))
        for key in expected.keys() | found.keys():
            want, got = expected.get(key), found.get(key)
            if want == got:
                continue
            surplus = (got or {"impressions": 0})["impressions"] - (want or {"impressions": 0})[
                "impressions"
            ]
            verdict.twice += max(0, int(surplus))
            verdict.lost += max(0, int(-surplus))
            if not surplus:
                assert want is not None
                assert got is not None
                lines = differences({key: got}, {key: want}, FLOAT32_STORED)
                verdict.wrong += bool(lines)
                verdict.examples += lines
            else:
                verdict.examples.append(f"{key}: {got}, expected {want}")
        return verdict

    def samples(self, samples: Sequence[Sample], max_lag_ms: int) -> Verdict:
        """Answers given while things were broken, against what was known: an answer that says it is
        complete holds all that was ingested before its `through_ms`, and that is no older than the
        bound; none holds more than was ever sent."""
        ingested: dict[int, list[int]] = defaultdict(list)
        for profile, _, ingest_ms in self._accepted:
            ingested[profile].append(ingest_ms)
        verdict = Verdict(samples=len(samples))
        for sample in samples:
            known = ingested[sample.profile]
            if sample.impressions > sum(ms <= sample.answered_ms + 1_000 for ms in known):
                verdict.twice += 1
                verdict.examples.append(f"holds more than was sent: {sample}")
            if sample.reasons:
                continue
            through_ms = sample.through_ms or 0
            if sample.impressions < sum(ms < through_ms for ms in known):
                verdict.lost += 1
                verdict.examples.append(f"says complete and is not: {sample}")
            if sample.asked_ms - through_ms > max_lag_ms + 1_000:
                verdict.wrong += 1
                verdict.examples.append(f"stale and says nothing: {sample}")
        return verdict

    def _take(self, partition: int, message: Any) -> None:
        ingest_ms = max(self._ingest_ms[partition], message.timestamp()[1])
        self._ingest_ms[partition] = ingest_ms
        try:
            record = ImpressionRecord.FromString(message.value())
        except DecodeError:
            self.undecodable += 1
            return
        self._logs[partition] += [
            (log.profile_id, log.log_id, ingest_ms, events_of(log)) for log in record.logs
        ]


@contextlib.contextmanager
def reader_of(settings: Settings) -> Iterator[Consumer]:
    """Sees what the product sees: records of open and of aborted transactions, too."""
    consumer = Consumer(kafka.reading(settings, enable_partition_eof=True))
    try:
        yield consumer
    finally:
        consumer.close()


def messages_until(consumer: Consumer, at: TopicPartition, end: int) -> Iterator[Any]:
    """From the offset of `at` on; the last ones may be no records but a transaction's marker."""
    consumer.assign([at])
    next_offset, deadline_s = at.offset, time.monotonic() + 30
    while next_offset < end:
        message = consumer.poll(1)
        error = None if message is None else message.error()
        if message is None or error is not None:
            if error and error.code() == KafkaError._PARTITION_EOF and message.offset() >= end:
                return
            assert time.monotonic() < deadline_s, "the broker stopped answering"
            continue
        next_offset = message.offset() + 1
        if next_offset <= end:
            yield message


def ends_of(consumer: Consumer, at: TopicPartition) -> tuple[int, int]:
    """First and end offset; a broker that has just come back leads no partition for a moment."""

    def asked() -> tuple[int, int] | None:
        try:
            return consumer.get_watermark_offsets(at, timeout=5)
        except KafkaException:
            return None

    found = until(asked, f"the broker to answer for {at.topic}/{at.partition}", 60)
    assert isinstance(found, tuple)
    return found


def tally(reasons: Sequence[str]) -> str:
    """How often each, as a person reads it."""
    return ", ".join(f"{n} x {reason}" for reason, n in Counter(reasons).most_common())
