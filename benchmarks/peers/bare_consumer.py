"""The limit of whatever reads the source: librdkafka and protobuf, nothing kept.

    PEER='{"broker": ..., "topic": ...}' python -m benchmarks.peers.bare_consumer

`consume` by hundreds, as confluent-kafka's documentation advises for throughput; each record is
parsed by the generated class, and its impressions are counted.
"""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from benchmarks.peers.protocol import Count, request
from impressions.v1.impression_record_pb2 import ImpressionRecord

_AT_ONCE, _WAIT_S = 500, 1.0


def main() -> None:
    given = request()
    consumer = Consumer(
        {"bootstrap.servers": given["broker"], "group.id": "bare", "enable.auto.commit": False}
    )
    parts = [TopicPartition(given["topic"], p, 0) for p in given["numbers"]]
    consumer.assign(parts)
    left = sum(consumer.get_watermark_offsets(part, timeout=30)[1] for part in parts)
    count = Count(0)
    while left:
        for message in consumer.consume(min(_AT_ONCE, left), _WAIT_S):  # more would be waited for
            if message.error() is not None:
                raise RuntimeError(message.error().str())
            count.begin()
            logs = ImpressionRecord.FromString(message.value()).logs
            count.add(sum(len(log.title_ids) for log in logs))
            left -= 1
    count.say()
    consumer.close()


if __name__ == "__main__":
    main()
