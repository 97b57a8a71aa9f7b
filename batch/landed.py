"""How far a topic has been landed: the properties that a commit of `land` carries beside its rows.

    impressions.kafka.topic           name of the source topic
    impressions.kafka.topic-id        Kafka's id of it, 32 hex digits
    impressions.kafka.epoch           stream.epoch it was landed with
    impressions.kafka.first-ms        ingest time of the first record ever landed; "" before one is
    impressions.kafka.next-offsets    [12, 0, ...]: by partition, the first record not in the table
    impressions.kafka.ingest-ms       [...]: by partition, the newest ingest time before that record

They are part of the snapshot, so rows and offsets are one commit, and a table that is rolled back
is rolled back with its offsets. `raw` and `rejected` carry each their own.

A partition's ingest time is the running maximum of the broker's stamps. It is carried along, since
what was before the next offset cannot be read again in an hour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOPIC = "impressions.kafka.topic"
TOPIC_ID = "impressions.kafka.topic-id"
EPOCH = "impressions.kafka.epoch"
FIRST = "impressions.kafka.first-ms"
NEXT = "impressions.kafka.next-offsets"
INGEST = "impressions.kafka.ingest-ms"
LOST = "impressions.kafka.lost"

SOURCE_PREFIX = "kafka:"
_SOURCE_DIGITS = 16


@dataclass(frozen=True)
class Cursor:
    """Between two records of a partition: what is before `next_offset` is landed.

    Attributes:
        ingest_ms: the largest broker time of any record before it; 0 where there is none.
    """

    next_offset: int
    ingest_ms: int = 0


@dataclass(frozen=True)
class Landed:
    """One topic, and a cursor for each of its partitions.

    Attributes:
        topic_id: hex; a topic that was deleted and made again has another.
        first_ms: ingest time of the first record ever landed, of any topic; None before that.
    """

    topic: str
    topic_id: str
    epoch: int
    first_ms: int | None
    cursors: tuple[Cursor, ...]

    @property
    def source(self) -> str:
        """What rows of this topic have in `source`."""
        return source_of(self.topic_id)

    def properties(self) -> dict[str, str]:
        return {
            TOPIC: self.topic,
            TOPIC_ID: self.topic_id,
            EPOCH: str(self.epoch),
            FIRST: "" if self.first_ms is None else str(self.first_ms),
            NEXT: _array([cursor.next_offset for cursor in self.cursors]),
            INGEST: _array([cursor.ingest_ms for cursor in self.cursors]),
        }


def from_properties(said: Mapping[str, str]) -> Landed | None:
    """None where the commit says nothing of a topic."""
    if NEXT not in said:
        return None
    pairs = zip(json.loads(said[NEXT]), json.loads(said[INGEST]), strict=True)
    return Landed(
        topic=said[TOPIC],
        topic_id=said[TOPIC_ID],
        epoch=int(said[EPOCH]),
        first_ms=int(said[FIRST]) if said[FIRST] else None,
        cursors=tuple(Cursor(*pair) for pair in pairs),
    )


def source_of(topic_id: str) -> str:
    """`kafka:<first 16 digits of the topic's id>`: with partition, offset and place in the record
    it names an impression for ever, also after the topic was made again."""
    return SOURCE_PREFIX + topic_id[:_SOURCE_DIGITS]


def _array(numbers: Sequence[int]) -> str:
    return json.dumps(numbers, separators=(",", ":"))
