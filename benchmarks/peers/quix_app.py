"""The same as a Quix Streams application: a StreamingDataFrame with state on RocksDB.

    PEER='{"broker": ..., "topic": ...}' python -m benchmarks.peers.quix_app

As https://quix.io/docs/quix-streams/advanced/stateful-processing.html has it: a function with
`stateful=True`, `state.get` and `state.set`, a changelog topic, the default commit interval. Its
own ProtobufDeserializer with `to_dict=False`, which its documentation names as the faster way.

State is by message key. In its favour the key is the record's partition, so that one function may
count all impressions of a record: by profile, each record would go through another topic first
(`group_by`). Nothing is judged, nothing is de-duplicated. Its time ends when `run` has committed.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from quixstreams import Application, State
from quixstreams.models.serializers.protobuf import ProtobufDeserializer

from benchmarks.peers import pair_sums
from benchmarks.peers.protocol import Count, request
from impressions.v1.impression_record_pb2 import ImpressionRecord


class Counting:
    """The stateful function, and a look at its own state after a partition's last record."""

    def __init__(self, asked: dict[str, Any]):
        self.count, self.found = Count(asked["impressions"]), dict[str, list[float]]()
        self._left = Counter({int(p): n for p, n in asked["records"].items()})
        self._pairs: list[list[int]] = asked["pairs"]

    def __call__(
        self, record: ImpressionRecord, key: bytes, timestamp_ms: int, headers: Any, state: State
    ) -> None:
        self.count.begin()
        day, partition = timestamp_ms // pair_sums.DAY_MS, int(key)
        impressions = 0
        for log in record.logs:
            impressions += len(log.title_ids)
            for title, location, event_ms, played, dwell_s in zip(
                log.title_ids, log.locations, log.event_time_ms, log.played, log.dwell_s,
                strict=True,
            ):  # fmt: skip
                pair = pair_sums.key(day, log.profile_id, title, location)
                held = state.get(pair) or pair_sums.zeros()
                state.set(pair, pair_sums.add(held, day, event_ms, played, dwell_s))
        self.count.add(impressions)
        self._left[partition] -= 1
        if not self._left[partition]:
            self._look(state, day)

    def _look(self, state: State, day: int) -> None:
        for pair in self._pairs:
            for of in (day - 1, day):
                key = pair_sums.key(of, *pair)
                if (held := state.get(key)) is not None:
                    self.found[key] = held


def main() -> None:
    given = request()
    app = Application(
        broker_address=given["broker"],
        consumer_group=given["group"],
        auto_offset_reset="earliest",
        state_dir=given["home"],
        loglevel="WARNING",
    )
    topic = app.topic(
        given["topic"],
        key_deserializer="bytes",
        value_deserializer=ProtobufDeserializer(ImpressionRecord, to_dict=False),
    )
    counting = Counting(given)
    app.dataframe(topic).update(counting, stateful=True, metadata=True)
    app.run(count=sum(given["records"].values()), collect=False)
    counting.count.say(sums=counting.found)


if __name__ == "__main__":
    main()
