"""The producer client: impression logs in, Kafka records out.

    with Producer(settings) as producer:
        producer.send(Log(profile_id=7, log_id=1, impressions=[Impression(99, event_time_ms=...)]))
        left = producer.flush()          # logs that are not delivered, 0 when all is well

Each log goes to the partition of its profile; logs are packed, many to a record
(impressions/kafka/record_packing.py), and a record is sent when it is full or has waited
`linger_s`. The producer is idempotent with acks=all: the client's own retries neither lose nor
double a record.

Memory is bounded: when the queue is full, `send` blocks until the broker has taken some of it, and
raises after `block_s`. What cannot be delivered is counted, never dropped in silence: by `flush`,
and by leaving the `with` block, which raises for what no flush has reported.

Thread-safe: any number of threads may send. Not to be carried over a fork.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

from impressions.process.extras import require

# ruff: noqa: E402  An absent package is refused before the imports that need it.
require("pydantic_settings", "producer")

from impressions.clock import monotonic_s
from impressions.core.errors import ServiceError, UsageError
from impressions.kafka import topics
from impressions.kafka.admin import silent_logger
from impressions.kafka.client import librdkafka
from impressions.kafka.record_packing import (
    Impression,
    Log,
    Packed,
    Packer,
    Record,
    columns_message,
    log_message,
    pack,
)
from impressions.settings.model import Settings
from impressions.v1.impression_record_pb2 import ImpressionLog

__all__ = ["Counts", "Impression", "Log", "Producer"]

_RECORD_OVERHEAD_BYTES = 4_096  # what Kafka writes around one record, generously
_POLL_S = 0.01


@dataclass(frozen=True)
class Counts:
    """What became of everything handed in so far, in logs. sent = delivered + failed + waiting."""

    sent: int
    delivered: int
    failed: int
    impressions: int
    records: int

    @property
    def waiting(self) -> int:
        return self.sent - self.delivered - self.failed


class Producer:
    """See the module's docstring."""

    def __init__(
        self,
        settings: Settings,
        *,
        linger_s: float = 0.05,
        record_bytes: int = 64 << 10,
        queue_bytes: int = 64 << 20,
        block_s: float = 60,
    ) -> None:
        """Connects, and compares the topic's number of partitions with P.

        Args:
            linger_s: how long a log waits for others to share its record.
            record_bytes: a record is sent once it is so large; a larger log goes by itself.
            queue_bytes: what may be on its way at once.
            block_s: how long `send` waits for room.

        Raises:
            Refused: the topic has another number of partitions.
            NotReady: no broker is configured, or the topic is absent.
            ServiceError: no broker answers.
        """
        require("confluent_kafka", "producer")
        from confluent_kafka import Producer as Client

        topics.source_id(settings)  # refuses another P
        self._topic, self._partitions = settings.kafka.topic, settings.partitions
        self._block_s = block_s
        self._packer = Packer(record_bytes, linger_s)
        self._packing = threading.Lock()  # may be held while waiting for room in the queue
        self._counting = threading.Lock()  # never is: deliveries take it, and they make that room
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._reported = 0
        self._closed = threading.Event()
        self._client = Client(
            librdkafka(
                settings,
                enable_idempotence=True,
                acks="all",
                compression_type="lz4",
                reconnect_backoff_max_ms=1_000,
                message_max_bytes=topics.MAX_RECORD_BYTES,
                queue_buffering_max_kbytes=max(1, queue_bytes >> 10),
            )
            | {"logger": silent_logger()}
        )
        self._thread = threading.Thread(target=self._tend, name="producer", daemon=True)
        self._thread.start()

    def send(self, log: Log) -> None:
        """Hands in one log.

        Raises:
            UsageError: a value the wire cannot hold; nothing of the log was sent.
            ServiceError: no room within `block_s`, or the producer can no longer work.
        """
        self.send_message(log_message(log))

    def add(
        self,
        profile_id: int,
        log_id: int,
        *,
        title_ids: Sequence[int],
        event_time_ms: Sequence[int],
        **columns: Any,
    ) -> None:
        """Hands in one log as columns; further ones as in `packing.columns_message`."""
        message = columns_message(
            profile_id, log_id, title_ids=title_ids, event_time_ms=event_time_ms, **columns
        )
        self.send_message(message)

    def send_message(self, message: ImpressionLog) -> None:
        """Hands in one log as the wire has it."""
        log = pack(message, self._partitions)
        largest = topics.MAX_RECORD_BYTES - _RECORD_OVERHEAD_BYTES
        if len(log.data) > largest:
            raise UsageError(
                f"log {message.log_id} of profile {message.profile_id}: {len(log.data):,} bytes "
                f"({log.impressions:,} impressions), expected at most {largest:,}",
                hint="send it as several logs with a log_id each",
            )
        self._send(log)

    def flush(self, timeout_s: float = 30) -> int:
        """Sends what waits and returns how many logs are not delivered.

        That is: those that failed since the producer was made, and those still under way.
        """
        deadline_s = monotonic_s() + timeout_s
        with self._packing:
            for record in self._packer.drain():
                with contextlib.suppress(ServiceError):  # counted
                    self._produce(record, deadline_s)
        self._client.flush(max(0.0, deadline_s - monotonic_s()))
        counts = self.counts
        self._reported = counts.sent - counts.delivered
        return self._reported

    @property
    def counts(self) -> Counts:
        with self._counting:
            names = ("sent", "delivered", "failed", "impressions", "records")
            return Counts(*(self._counts[name] for name in names))

    @property
    def errors(self) -> dict[str, int]:
        """Why deliveries failed -> how many logs."""
        with self._counting:
            return dict(self._errors)

    def close(self, timeout_s: float = 30) -> int:
        """The last flush; returns what it returns. The producer takes no more."""
        left = self.flush(timeout_s)
        self._closed.set()
        self._thread.join()
        return left

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        reported = self._reported
        left = self.close() if error is None else self.close(timeout_s=5)
        if left > reported and error is None:
            reasons = "; ".join(f"{text} ({n})" for text, n in self.errors.items())
            raise ServiceError(
                f"{left:,} of {self.counts.sent:,} logs were not delivered: "
                f"{reasons or 'the broker did not answer in time'}",
                reason="not_delivered",
            )

    def _send(self, log: Packed) -> None:
        if self._closed.is_set():
            raise UsageError("this producer is closed")
        with self._packing:
            with self._counting:
                self._counts.update(sent=1, impressions=log.impressions)
            for record in self._packer.add(log, monotonic_s()):
                self._produce(record, monotonic_s() + self._block_s)

    def _tend(self) -> None:
        """The thread: takes in deliveries, and sends records that have waited long enough."""
        while not self._closed.is_set():
            self._client.poll(_POLL_S)
            if not self._packing.acquire(blocking=False):
                continue  # a sender is at it, perhaps waiting for the room that polling makes
            try:
                for record in self._packer.due(monotonic_s()):
                    with contextlib.suppress(ServiceError):  # counted
                        self._produce(record, monotonic_s() + self._block_s)
            finally:
                self._packing.release()

    def _produce(self, record: Record, deadline_s: float) -> None:
        """Queues one record, waiting for room; ServiceError, and counted, where there is none."""
        from confluent_kafka import KafkaException

        on_delivery = partial(self._delivered, record)
        while True:
            try:
                self._client.produce(
                    self._topic, record.value, partition=record.partition, on_delivery=on_delivery
                )
                break
            except BufferError:
                if monotonic_s() < deadline_s:
                    self._client.poll(_POLL_S)
                    continue
                reason = "the queue of what is not delivered stayed full"
            except KafkaException as error:
                reason = str(error.args[0].str())
            self._fail(record, reason)
            raise ServiceError(
                f"{self._topic}: {reason}; {record.logs:,} logs of a record were given up",
                hint="is the broker there, and quick enough? flush() says how many are missing",
                reason="not_delivered",
            )
        with self._counting:
            self._counts["records"] += 1

    def _delivered(self, record: Record, error: Any, _message: Any) -> None:
        if error is not None:
            self._fail(record, error.str())
            return
        with self._counting:
            self._counts["delivered"] += record.logs

    def _fail(self, record: Record, reason: str) -> None:
        with self._counting:
            self._counts["failed"] += record.logs
            self._errors[reason] += record.logs
