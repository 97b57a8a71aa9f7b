"""The source topic as a Spark data source: one task per Kafka partition.

    driver   fixes [start, end) of each partition (batch/land_plan.py); that is the whole plan
    task     librdkafka -> impressions/kafka/records.py, as the stream does -> Arrow rows

A task ends by position: once a record at or behind `end` came, or the broker said that this is the
end of the partition. Counting would wait for ever where offsets have gaps. What a task may not do
is go on behind an error: a range that begins before the log, or a record that the producer stamped,
fails the job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from batch import land_rows
from batch.land_plan import Range
from batch.landed import source_of
from impressions import errors
from impressions.clock import monotonic_s
from impressions.errors import ImpressionsError, Refused, ServiceError
from impressions.kafka.client import reading
from impressions.kafka.records import decode
from impressions.shell.settings import Settings
from impressions.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa
    from confluent_kafka import Consumer, Message
    from pyspark.sql import DataFrame, SparkSession

NAME = "impressions_kafka"

_BATCH_RECORDS, _BATCH_BYTES = 10_000, 16 << 20
_POLL_RECORDS, _POLL_S = 500, 0.2
_SILENCE_S = 60.0


@dataclass(frozen=True)
class Plan:
    """What every task must know; travels as one option in JSON.

    Attributes:
        client: librdkafka's properties.
    """

    client: dict[str, Any]
    topic: str
    topic_id: str
    partitions: int
    slot_ms: int
    ranges: tuple[Range, ...]

    @classmethod
    def of(cls, text: str) -> Plan:
        fields = json.loads(text)
        return cls(**fields | {"ranges": tuple(Range(**r) for r in fields["ranges"])})


def read(
    spark: SparkSession, settings: Settings, topic_id: str, ranges: Sequence[Range]
) -> DataFrame:
    """Rows of batch/land_rows.py; nothing is read before an action."""
    from batch.session import register_source

    client = reading(settings, client_id="impressions-land", enable_partition_eof=True)
    plan = Plan(
        client, settings.kafka.topic, topic_id, settings.partitions, settings.spec.slot_ms,
        tuple(ranges),
    )  # fmt: skip
    register_source(spark, KafkaSource)
    return spark.read.format(NAME).option("plan", json.dumps(asdict(plan))).load()


class KafkaSource(DataSource):
    """`spark.read.format(NAME).option("plan", ...)`."""

    @classmethod
    def name(cls) -> str:
        return NAME

    def schema(self) -> str:
        return ", ".join(f"`{name}` {kind}" for name, kind in land_rows.COLUMNS.items())

    def reader(self, schema: Any) -> KafkaReader:
        return KafkaReader(Plan.of(self.options["plan"]))


class OfPartition(InputPartition):
    """One task's part."""

    def __init__(self, part: Range):
        super().__init__(part.partition)
        self.part = part


class KafkaReader(DataSourceReader):
    """See the module."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def partitions(self) -> Sequence[InputPartition]:
        return [OfPartition(part) for part in self._plan.ranges]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, OfPartition)
        return rows_of(self._plan, partition.part)


def rows_of(plan: Plan, part: Range) -> Iterator[pa.RecordBatch]:
    """All rows of one range, the end row last."""
    from confluent_kafka import Consumer, TopicPartition

    spec, source = Spec(slot_ms=plan.slot_ms), source_of(plan.topic_id)
    newest_ms, records, read_count = part.ingest_ms, 0, 0
    consumer = Consumer(plan.client)
    try:
        consumer.assign([TopicPartition(plan.topic, part.partition, part.start)])
        for messages in batches(consumer, plan.topic, part):
            values = [message.value() for message in messages]
            offsets = np.array([message.offset() for message in messages], np.int64)
            stamps = np.array([_append_ms(message) for message in messages], np.int64)
            ingest_ms = np.maximum.accumulate(np.maximum(stamps, newest_ms))
            newest_ms = int(ingest_ms[-1])
            batch = decode(values, ingest_ms, part.partition, plan.partitions, spec)
            records, read_count = records + len(messages), read_count + batch.read
            yield land_rows.impressions(batch, offsets, part.partition, source, spec)
            yield land_rows.rejected(
                batch, values, offsets, ingest_ms, part.partition, source, spec
            )
        yield land_rows.end(part, source, newest_ms, records, read_count)
    finally:
        consumer.close()


def batches(consumer: Consumer, topic: str, part: Range) -> Iterator[list[Message]]:
    """The records of [start, end), some thousands at a time.

    Raises:
        Refused: the log begins behind `start`.
        ServiceError: the broker does not answer.
    """
    held: list[Message] = []
    at, size, through, heard_s = part.start, 0, False, monotonic_s()
    while not through:
        # It waits for as many as are asked for, so no more than there can be.
        polled = consumer.consume(min(_POLL_RECORDS, part.end - at), _POLL_S)
        if polled:
            heard_s = monotonic_s()
        elif monotonic_s() - heard_s > _SILENCE_S:
            raise ServiceError(
                f"topic {topic}, partition {part.partition}: silent for {_SILENCE_S:.0f} s before "
                f"offset {part.end}",
                hint="is the broker well? what was landed is kept; run land again",
                reason="broker",
            )
        for message in polled:
            if message.error() is not None:
                through |= _at_end(message, topic, part)
            elif message.offset() >= part.end:
                through = True
            else:
                held.append(message)
                at, size = message.offset() + 1, size + len(message)
                through |= at == part.end
        if held and (through or len(held) >= _BATCH_RECORDS or size >= _BATCH_BYTES):
            yield held
            held, size = [], 0


def _at_end(message: Message, topic: str, part: Range) -> bool:
    """Whether this event means that the range is through; the other errors are raised."""
    from confluent_kafka import KafkaError

    error = message.error()
    if error.code() == KafkaError._PARTITION_EOF:
        return bool(message.offset() >= part.end)
    at = f"topic {topic}, partition {part.partition}, records {part.start}..{part.end}"
    gone = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)
    if error.code() in gone:
        raise Refused(
            f"{at}: no longer in the log", hint="run land again: it says how much is lost",
            reason="records_lost",
        )  # fmt: skip
    if error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
        return False  # librdkafka goes on trying; the silence above ends it
    raise ServiceError(f"{at}: {error.str()}", hint="impressions topics check", reason="broker")


def _append_ms(message: Message) -> int:
    from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

    kind, stamp_ms = message.timestamp()
    if kind != TIMESTAMP_LOG_APPEND_TIME:
        raise Refused(
            f"topic {message.topic()}, partition {message.partition()}, offset {message.offset()}: "
            "its time is the producer's, expected the broker's (LogAppendTime)",
            hint="impressions topics check says how to fix the topic; records from before the fix "
            "are passed over with `impressions land --accept-loss` once they are deleted",
            reason="not_append_time",
        )
    return int(stamp_ms)


def failure(error: Exception) -> ImpressionsError:
    """What a task raised, out of the text that Spark makes of it.

    An error of ours keeps its class and message; its hint does not travel.
    """
    ends = re.findall(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)", str(error))
    reason = str(ends[-1] if ends else str(error).strip().partition("\n")[0])
    name, _, message = reason.partition(": ")
    known = getattr(errors, name.removeprefix("impressions.errors."), None)
    again = "nothing of this commit was landed; run land again"
    if isinstance(known, type) and issubclass(known, ImpressionsError):
        return known(message, hint=again)
    return ImpressionsError(
        f"a task of the landing failed: {reason}", hint=again, reason="land_failed"
    )
