"""The textbook Faust application: an agent, a Table on RocksDB, an update for each impression.

    PEER='{"broker": ..., "topic": ...}' python -m benchmarks.peers.textbook_faust worker

As https://faust-streaming.github.io/faust/userguide/tables.html has it: `async for` over a stream,
`table[key] = ...` on a Table with a changelog, `store="rocksdb://"` as the guide to the application
advises for production. At least once, its default.

In its favour: no event is judged, nothing is de-duplicated, sums are kept by day so that the
application need not expire them. Its changelog topic is there before it starts, because Faust's own
making of topics sometimes waits for the controller for ever.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import faust

from benchmarks.peers import pair_sums
from benchmarks.peers.protocol import Count, request
from impressions.v1.impression_record_pb2 import ImpressionRecord

_REQUEST = request()

app = faust.App(
    _REQUEST["group"],
    broker=f"kafka://{_REQUEST['broker']}",
    store="rocksdb://",
    datadir=_REQUEST["home"],
    topic_partitions=_REQUEST["partitions"],
    table_standby_replicas=0,
    topic_allow_declare=False,
    topic_disable_leader=True,
)
topic = app.topic(_REQUEST["topic"], value_type=bytes, value_serializer="raw")
sums = app.Table("sums", default=pair_sums.zeros)
count = Count(_REQUEST["impressions"])
left = Counter({int(partition): n for partition, n in _REQUEST["records"].items()})
found: dict[str, pair_sums.Sums] = {}


@app.agent(topic)
async def process(stream: Any) -> None:
    """Count every impression of every record."""
    async for event in stream.events():
        count.begin()
        day = int(event.message.timestamp // 86_400)
        impressions = 0
        for log in ImpressionRecord.FromString(event.value).logs:
            impressions += len(log.title_ids)
            for title, location, event_ms, played, dwell_s in zip(
                log.title_ids, log.locations, log.event_time_ms, log.played, log.dwell_s,
                strict=True,
            ):  # fmt: skip
                pair = pair_sums.key(day, log.profile_id, title, location)
                sums[pair] = pair_sums.add(sums[pair], day, event_ms, played, dwell_s)
        left[event.message.partition] -= 1
        if not left[event.message.partition]:  # an event sees the Table of its own partition
            keys = [pair_sums.key(of, *pair) for pair in _REQUEST["pairs"] for of in (day - 1, day)]
            found.update({key: sums[key] for key in keys if key in sums})
        if count.add(impressions):
            count.say(sums=found)


if __name__ == "__main__":
    app.main()
