"""Records as they leave aiokafka's own reader of a fetched batch."""

from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from speed.applying.source_record import SourceRecord
from speed.fetched_records import SourceRecords, consumer_record

AT = TopicPartition("impressions", 3)


def unpacked(*values, first=0, keep=lambda value: value):
    """Records of one batch, produced at 1000, 1001, ..., read from offset `first` on."""
    batch = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=1 << 16,
    )  # fmt: skip
    for offset, value in enumerate(values):
        batch.append(offset, 1_000 + offset, b"key", value, headers=[("h", b"x")])
    records = MemoryRecords(bytes(batch.build()))
    return list(SourceRecords(AT, records, [], first, None, keep, True, 0))


def test_a_record_is_what_a_flush_needs_of_it():
    """The producer's time, because the broker did not stamp this batch; a value may be absent."""
    assert unpacked(b"a", None) == [
        SourceRecord(0, 1_000, b"a", stamped=False),
        SourceRecord(1, 1_001, None, stamped=False),
    ]


def test_each_value_passes_the_deserializer():
    """Which counts it, and may cut it (speed/fetch_memory.py)."""
    assert [r.value for r in unpacked(b"abc", b"def", keep=lambda value: value[:1])] == [b"a", b"d"]


def test_a_batch_that_begins_too_early_is_read_from_where_the_consumer_is():
    assert [r.offset for r in unpacked(b"a", b"b", b"c", first=2)] == [2]


def test_faust_gets_the_last_record_with_the_piece_as_its_value():
    """Its offset is what the group commits."""
    record = consumer_record(AT, SourceRecord(7, 1_007, b"x"), "piece")
    assert (record.topic, record.partition, record.offset) == ("impressions", 3, 7)
    assert (record.timestamp, record.timestamp_type, record.value) == (1_007, 1, "piece")
    assert consumer_record(AT, SourceRecord(7, 1_007, b"x", stamped=False), "").timestamp_type == 0
