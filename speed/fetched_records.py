"""What aiokafka unpacks is a `SourceRecord` from the start.

aiokafka makes an object of eleven fields of each record, with both sizes and a tuple of headers.
At one impression a record that was a quarter of what an impression cost the worker, and nobody here
asks for those fields. So its reader of a fetched batch makes the four that a flush needs.
"""

from __future__ import annotations

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.structs import ConsumerRecord

from speed.applying.source_record import SourceRecord

_LOG_APPEND_TIME = 1


class SourceRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # it has no types
    """The records of one partition in one answer of the broker; `next` unpacks one."""

    def _consumer_record(self, tp: Any, record: Any) -> SourceRecord:
        value = self._value_deserializer(record.value)
        return SourceRecord(
            record.offset, record.timestamp, value, record.timestamp_type == _LOG_APPEND_TIME
        )


def unpack_to_source_records() -> None:
    """For every consumer of aiokafka in this process that has a deserializer of values."""
    fetcher.PartitionRecords = SourceRecords


def consumer_record(tp: Any, last: SourceRecord, value: Any) -> ConsumerRecord[None, Any]:
    """What Faust is given for some records of a partition: their last one, with another value."""
    return ConsumerRecord(
        topic=tp.topic,
        partition=tp.partition,
        offset=last.offset,
        timestamp=last.append_ms,
        timestamp_type=_LOG_APPEND_TIME if last.stamped else 0,
        key=None,
        value=value,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=(),
    )
