"""The worker's own producer: `publish` returns when the broker has everything, or raises.

Faust's producer only logs a failure, after which the source offset would be committed over a hole;
so blocks go through this one: idempotent, acks of all replicas, whole batches (a call per record
costs more than the record).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from impressions.kafka.client import aiokafka
from impressions.kafka.dead_letters import DeadLetter
from impressions.kafka.topics import MAX_MESSAGE_BYTES
from impressions.shell.settings import Settings

Pair = tuple[bytes, bytes]
"""(key, value) of a record."""

Offsets = tuple[int, int]
"""[first, last + 1) of records in the delta topic."""

_BATCH_BYTES = 1 << 20
_COMPRESSION = "snappy"
"""aiokafka's lz4 is lz4's strongest level: 60 MB/s for 0.69 of a block, snappy 1,500 for 0.75."""
_TIMEOUT_MS = 30_000


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

    async def publish(self, partition: int, blocks: Iterable[Pair], last: Pair) -> list[Offsets]:
        """Send (key, value) records to the delta topic, `last` behind all of them, and wait.

        `last` says that the others are there, so unless all fit in one batch, which is written as a
        whole or not at all, it is sent when the broker has confirmed the others.

        Returns:
            The offsets they got, ascending, a range for each batch; records of others may lie
            between two.
        """
        batches = self._batches(blocks)
        if len(batches) == 1 and _append(batches[0], last):
            return await self._send(partition, batches)
        sent = await self._send(partition, batches)
        return sent + await self._send(partition, self._batches([last]))

    def _batches(self, records: Iterable[Pair]) -> list[Any]:
        batches: list[Any] = []
        for record in records:
            if not batches or not _append(batches[-1], record):
                batches.append(self._started().create_batch())
                if not _append(batches[-1], record):
                    raise ValueError(f"a record of {len(record[1])} bytes fits no batch")
        return batches

    async def _send(self, partition: int, batches: Sequence[Any]) -> list[Offsets]:
        producer, topic = self._started(), self._settings.kafka.deltas_topic
        for batch in batches:
            batch.close()
        sent = [await producer.send_batch(batch, topic, partition=partition) for batch in batches]
        done = await asyncio.gather(*sent)
        return [
            (told.offset, told.offset + batch.record_count())
            for told, batch in zip(done, batches, strict=True)
        ]

    async def reject(self, letters: Sequence[DeadLetter]) -> None:
        """Send dead letters, and wait for the broker."""
        producer, topic = self._started(), self._settings.kafka.rejected_topic
        await asyncio.gather(
            *[
                await producer.send(
                    topic,
                    key=letter.identity.encode(),
                    value=letter.value,
                    partition=letter.partition,
                    headers=letter.headers(),
                )
                for letter in letters
            ]
        )

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the publisher was not started")
        return self._producer


def _append(batch: Any, record: Pair) -> bool:
    return batch.append(key=record[0], value=record[1], timestamp=None) is not None
