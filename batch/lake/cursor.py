"""How far a topic has been landed: the properties that a commit of `land` carries beside its rows.

    impressions.kafka.topic           name of the source topic
    impressions.kafka.topic-id        Kafka's id of it, 32 hex digits
    impressions.kafka.epoch           stream.epoch it was landed with
    impressions.kafka.first-ms        ingest time of the first record ever landed; "" before one is
    impressions.kafka.next-offsets    [12, 0, ...]: by partition, the first record not in the table
    impressions.kafka.ingest-ms       [...]: by partition, the newest ingest time before that record
    impressions.kafka.through-ms      [...]: by partition, everything ingested before it is landed
    impressions.kafka.suspect-ms      [...]: by partition, a stamp far ahead that the next record
                                      may confirm (impressions/core/ingest_time.py); 0: none
    impressions.kafka.last-offsets    [...]: by partition, the last record that was landed, and
    impressions.kafka.last-digests    [...]: what it was (impressions/kafka/last_record.py)

They are part of the snapshot, so rows and offsets are one commit, and a table that is rolled back
is rolled back with its offsets. `raw` and `rejected` carry each their own.

A partition's ingest time is the running maximum of the broker's stamps, but for those that nobody
confirms. It is carried along, since what was before the next offset cannot be read again in an
hour. Several landers may share the partitions: each commit says all of it and changes what its own
partitions have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from impressions.core.ingest_time import Carried
from impressions.kafka.last_record import LastRecord

TOPIC = "impressions.kafka.topic"
TOPIC_ID = "impressions.kafka.topic-id"
EPOCH = "impressions.kafka.epoch"
FIRST = "impressions.kafka.first-ms"
NEXT = "impressions.kafka.next-offsets"
INGEST = "impressions.kafka.ingest-ms"
THROUGH = "impressions.kafka.through-ms"
SUSPECT = "impressions.kafka.suspect-ms"
LAST_OFFSETS = "impressions.kafka.last-offsets"
LAST_DIGESTS = "impressions.kafka.last-digests"
LOST = "impressions.kafka.lost"

SOURCE_PREFIX = "kafka:"
_SOURCE_DIGITS = 16


@dataclass(frozen=True)
class Cursor:
    """Between two records of a partition: what is before `next_offset` is landed.

    Attributes:
        ingest_ms: the newest ingest time of any record before it; 0 where there is none.
        through_ms: everything ingested before it is landed, as far as a landing said.
        suspect_ms: see the module's docstring.
        last: the last record before it that was landed.
    """

    next_offset: int
    ingest_ms: int = 0
    through_ms: int = 0
    suspect_ms: int = 0
    last: LastRecord = field(default_factory=LastRecord)

    @property
    def carried(self) -> Carried:
        return Carried(self.ingest_ms, self.suspect_ms)


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
            THROUGH: _array([cursor.through_ms for cursor in self.cursors]),
            SUSPECT: _array([cursor.suspect_ms for cursor in self.cursors]),
            LAST_OFFSETS: _array([cursor.last.offset for cursor in self.cursors]),
            LAST_DIGESTS: _array([cursor.last.digest for cursor in self.cursors]),
        }

    @property
    def through_ms(self) -> int:
        """Everything ingested before it is landed, of every partition."""
        return min(cursor.through_ms for cursor in self.cursors)


def from_properties(said: Mapping[str, str]) -> Landed | None:
    """None where the commit says nothing of a topic."""
    if NEXT not in said:
        return None
    columns = [json.loads(said[name]) for name in (NEXT, INGEST)]
    # Written before landers shared partitions, a commit says one time for all of them.
    columns.append(json.loads(said[THROUGH]) if THROUGH in said else columns[1])
    nothing = [0] * len(columns[0])
    suspects, offsets, digests = (
        json.loads(said[name]) if name in said else nothing
        for name in (SUSPECT, LAST_OFFSETS, LAST_DIGESTS)
    )
    columns += [suspects, [LastRecord(*last) for last in zip(offsets, digests, strict=True)]]
    return Landed(
        topic=said[TOPIC],
        topic_id=said[TOPIC_ID],
        epoch=int(said[EPOCH]),
        first_ms=int(said[FIRST]) if said[FIRST] else None,
        cursors=tuple(Cursor(*of_one) for of_one in zip(*columns, strict=True)),
    )


def source_of(topic_id: str) -> str:
    """`kafka:<first 16 digits of the topic's id>`: with partition, offset and place in the record
    it names an impression, also after the topic was deleted and created again."""
    return SOURCE_PREFIX + topic_id[:_SOURCE_DIGITS]


def _array(numbers: Sequence[int]) -> str:
    return json.dumps(numbers, separators=(",", ":"))
