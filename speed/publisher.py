"""The worker's own producer: `publish` returns when the broker has everything, or raises.

Faust's producer only logs a failure, after which the source offset would be committed over a hole;
so blocks go through this one: idempotent, acks of all replicas, whole batches (a call per record
costs more than the record).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaProducer

from impressions.kafka.client import aiokafka
from impressions.kafka.dead_letters import DeadLetter
from impressions.kafka.topics import MAX_MESSAGE_BYTES
from impressions.shell.settings import Settings

_BATCH_BYTES = 1 << 20
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
            compression_type="lz4",
            max_batch_size=_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=_TIMEOUT_MS,
        )
        await self._producer.start()

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def publish(
        self, partition: int, records: Iterable[tuple[bytes, bytes]]
    ) -> tuple[int, int]:
        """Send (key, value) records, at least one, to the delta topic and wait for the broker.

        Returns:
            The offsets they got, [first, last + 1). Records of others may lie between.
        """
        producer, topic = self._started(), self._settings.kafka.deltas_topic
        batch, sent = producer.create_batch(), []
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                batch.close()
                sent.append((await producer.send_batch(batch, topic, partition=partition), batch))
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:
                    raise ValueError(f"a record of {len(value)} bytes fits no batch")
        if batch.record_count():
            batch.close()
            sent.append((await producer.send_batch(batch, topic, partition=partition), batch))
        done = await asyncio.gather(*(future for future, _ in sent))
        return done[0].offset, done[-1].offset + sent[-1][1].record_count()

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
