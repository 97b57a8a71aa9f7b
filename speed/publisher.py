"""The worker's own producer: `publish` returns when the broker has everything, or raises.

Faust's producer only logs a failure, after which the source offset would be committed over a hole;
so blocks go through this one: idempotent, acks of all replicas, a call per batch (a call per record
costs more than the record).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from impressions.kafka.client import aiokafka
from impressions.kafka.dead_letters import DeadLetter
from impressions.kafka.topics import MAX_MESSAGE_BYTES
from impressions.settings.model import Settings
from speed.applying.flush import Pair
from speed.partitions.delta_position import Offsets


class Written(NamedTuple):
    """What the broker acknowledged.

    Attributes:
        ranges: the offsets that the records got, ascending, a range for each batch; records of
            others may lie between two.
        stamp_ms: the broker's time of the last one; None if its topic takes the producer's.
    """

    ranges: list[Offsets]
    stamp_ms: int | None


_BATCH_BYTES = 1 << 20
_COMPRESSION = "snappy"
"""aiokafka's lz4 is lz4's strongest level: 60 MB/s for 0.69 of a block, snappy 1,500 for 0.75."""
_TIMEOUT_MS = 30_000
_LOG_APPEND_TIME = 1
_REJECTED_AT_ONCE, _REJECTED_BYTES = 1_000, 8 << 20


class Publisher:
    """Writes to the delta topic and to the rejected topic."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        self._producer = AIOKafkaProducer(
            **aiokafka(self._settings),
            client_id="impressions-speed",
            enable_idempotence=True,
            acks="all",
            compression_type=_COMPRESSION,
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=_TIMEOUT_MS,
        )
        await self._producer.start()

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def publish(self, partition: int, blocks: Iterable[Pair], last: Pair) -> Written:
        """Send (key, value) records to the delta topic, `last` after all of them, and wait.

        `last` says that the others are there, so unless all fit in one batch, which is written
        completely or not at all, it is sent when the broker has confirmed the others.
        """
        batches = self._batches(blocks)
        if len(batches) == 1 and _append(batches[0], last):
            return await self._send(partition, batches)
        before = await self._send(partition, batches)
        after = await self._send(partition, self._batches([last]))
        return Written(before.ranges + after.ranges, after.stamp_ms)

    def _batches(self, records: Iterable[Pair]) -> list[Any]:
        batches: list[Any] = []
        for record in records:
            if not batches or not _append(batches[-1], record):
                batches.append(self._started().create_batch())
                if not _append(batches[-1], record):
                    raise ValueError(f"a record of {len(record[1])} bytes fits no batch")
        return batches

    async def _send(self, partition: int, batches: Sequence[Any]) -> Written:
        producer, topic = self._started(), self._settings.kafka.deltas_topic
        for batch in batches:
            batch.close()
        sent = [await producer.send_batch(batch, topic, partition=partition) for batch in batches]
        acks = await asyncio.gather(*sent)
        stamped = acks and acks[-1].timestamp_type == _LOG_APPEND_TIME
        ranges = [
            (ack.offset, ack.offset + batch.record_count())
            for ack, batch in zip(acks, batches, strict=True)
        ]
        return Written(ranges, acks[-1].timestamp if stamped else None)

    async def reject(self, dead_letters: Iterable[DeadLetter]) -> None:
        """Send dead letters, some at a time, and wait for the broker."""
        for some in _slices(dead_letters):
            sent = [await self._reject(dead_letter) for dead_letter in some]
            results = await asyncio.gather(*sent, return_exceptions=True)
            for dead_letter, result in zip(some, results, strict=True):
                if isinstance(result, MessageSizeTooLargeError):
                    # The topic takes smaller messages than it was made for: send the beginning.
                    await (await self._reject(dead_letter.cut()))
                elif isinstance(result, BaseException):
                    raise result

    async def _reject(self, dead_letter: DeadLetter) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = await self._started().send(
            self._settings.kafka.rejected_topic,
            key=dead_letter.identity.encode(),
            value=dead_letter.value,
            partition=dead_letter.partition,
            headers=dead_letter.headers(),
        )
        return sent

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the publisher was not started")
        return self._producer


def _slices(dead_letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """In order, so few at a time that they fit the memory: there may be many."""
    some: list[DeadLetter] = []
    held_bytes = 0
    for dead_letter in dead_letters:
        some.append(dead_letter)
        held_bytes += len(dead_letter.value)
        if held_bytes >= _REJECTED_BYTES or len(some) == _REJECTED_AT_ONCE:
            yield some
            some, held_bytes = [], 0
    if some:
        yield some


def _append(batch: Any, record: Pair) -> bool:
    return batch.append(key=record[0], value=record[1], timestamp=None) is not None
