"""Faust brings a Table back from its changelog, into an empty directory.

    PEER='{"broker": ..., "topic": ...}' python -m benchmarks.peers.faust_table_recovery worker

Recovery is Faust's own (https://faust-streaming.github.io/faust/userguide/tables.html, "The
Changelog"): the application starts, and its agent waits until the Table is whole. Keys and values
are bytes, which spares it JSON. Counting begins with its first record, by the Table's own
callback, and ends when the Table says that it is whole.
"""

from __future__ import annotations

from typing import Any

import faust

from benchmarks.peers.protocol import Count, request

_REQUEST = request()

app = faust.App(
    _REQUEST["group"],
    broker=f"kafka://{_REQUEST['broker']}",
    store="rocksdb://",
    datadir=_REQUEST["home"],
    topic_partitions=1,
    table_standby_replicas=0,
    topic_allow_declare=False,
    topic_disable_leader=True,
)
topic = app.topic(_REQUEST["topic"], value_type=bytes, value_serializer="raw")
count = Count(_REQUEST["records"])


async def _on_event(_: Any) -> None:
    count.begin()


blocks = app.Table("blocks", key_type=bytes, value_type=bytes, on_changelog_event=_on_event)


@app.agent(topic)
async def process(stream: Any) -> None:
    """Would use the Table; no record comes."""
    async for _ in stream:
        pass


@blocks.on_recover
async def _on_recover() -> None:
    """Everything that the changelog held is in the Table."""
    count.add(_REQUEST["records"])
    keys = [bytes.fromhex(key) for key in _REQUEST["sample"]]
    count.say(values={key.hex(): blocks[key].hex() for key in keys if key in blocks})


if __name__ == "__main__":
    app.main()
