"""A lost partition comes back from its topic; peer: Faust Table recovery of the same records.

Ours is what a worker and a serving host do: `deltas.follower.restore_partition` into an empty
store, from the first question to the broker to the last write. The peer's time begins when its
first record is applied. Both topics hold one partition's blocks, a profile's day each, the same
keys and values; the peer gets the first part of them, and its Table keeps the bytes as they are,
without the JSON that its default would add. Both run on one core, the broker on the other.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from confluent_kafka import Producer

from benchmarks import stream_processes as processes
from benchmarks import stream_world as streams
from benchmarks.frame import Goal, Row, in_turns, or_nan, row
from benchmarks.stream_processes import Drained
from benchmarks.world import SPEC, Events, World, impressions_of
from impressions.core.spec import DAY_MS
from impressions.deltas.follower import restore_partition
from impressions.deltas.store import open_primary
from impressions.formats import delta_block, heartbeat
from impressions.formats.delta_block import DeltaBlock
from impressions.formats.heartbeat import Heartbeat
from impressions.kafka import client, topics
from impressions.settings.model import Settings

_IMPRESSIONS = 10
_OURS, _PEER, _QUICK = 300_000, 40_000, 1_000
_DISTINCT = 500
_DAY = 20_772
_RUNS = 2

Pair = tuple[bytes, bytes]


def run(world: World) -> Iterator[Row]:
    """Records per second, CPU time, and seconds per million profile-days."""
    quick = world.is_quick
    pairs = _pairs(world.seed, _QUICK if quick else _OURS)
    of_peer = pairs[: _QUICK // 2 if quick else _PEER]
    with streams.broker(world) as several:
        settings = several.model_copy(update={"partitions": 1})
        ours = _filled(settings, pairs)
        group = f"recovery-{ours.speed.group}"
        changelog = f"{group}-blocks-changelog"
        source = _peer_topics(settings, changelog, of_peer)
        drained: dict[str, list[Drained]] = {"ours": [], "peer": []}

        def rate(name: str) -> float:
            done = _ours(ours, pairs) if name == "ours" else _peer(ours, group, source, of_peer)
            drained[name].append(done)
            return done.per_s

        runs = 1 if quick else _RUNS
        works = {"ours": partial(rate, "ours"), "peer": or_nan("Faust", partial(rate, "peer"))}
        per_s = in_turns(works, runs)
    cpu_us = {name: min(each.cpu_us for each in of) for name, of in drained.items() if of}
    size = sum(len(value) for _, value in pairs) / len(pairs)
    what = f"{_IMPRESSIONS} impressions a profile-day ({size:,.0f} B)"
    yield row("restore", f"{what}, CPU", cpu_us["ours"], "us/record", peer=cpu_us.get("peer"))
    yield row("restore", what, per_s["ours"], "records/s", peer=per_s["peer"],
              goal=Goal("ratio_to_peer", ">=", 20))  # fmt: skip
    yield row("restore", "a million profile-days", 1e6 / per_s["ours"], "s",
              peer=1e6 / per_s["peer"])  # fmt: skip


def _pairs(seed: int, count: int) -> list[Pair]:
    """Keys and values of so many profile-days; profiles repeat some hundred contents."""
    rng = np.random.default_rng(seed)
    start_ms = _DAY * DAY_MS
    blocks = [delta_block.encode(_block(rng, start_ms), SPEC) for _ in range(_DISTINCT)]
    ids = rng.permutation(np.arange(1, count + 1)).tolist()
    return [(delta_block.key(i, start_ms), blocks[i % _DISTINCT]) for i in ids]


def _block(rng: np.random.Generator, start_ms: int) -> DeltaBlock:
    n = _IMPRESSIONS
    titles = rng.integers(1, 20_000, n)
    events = Events(
        titles, titles * 31 % 40, start_ms + rng.integers(0, DAY_MS, n),
        (rng.random(n) < 0.1).astype(np.float64), np.round(rng.exponential(3.0, n), 3),
    )  # fmt: skip
    return DeltaBlock(start_ms, 1, 0, rng.integers(1, 1 << 62, 1), impressions_of(events))


def _filled(settings: Settings, pairs: list[Pair]) -> Settings:
    """A delta topic as a worker leaves it: the blocks, then the heartbeat behind them."""
    system = streams.fresh(settings)
    _, deltas_id = identities = [topics.source_id(system), _id_of(system)]
    through_ms = (_DAY + 1) * DAY_MS
    beat = Heartbeat(0, 1, 1, *identities, len(pairs) - 1, through_ms, 0, through_ms)
    assert deltas_id == beat.deltas_id
    _send(
        system, system.kafka.deltas_topic, [*pairs, (heartbeat.KEY, heartbeat.encode(beat, SPEC))]
    )
    return system


def _id_of(system: Settings) -> bytes:
    from impressions.kafka.admin import connect

    with connect(system) as admin:
        return admin.identities([system.kafka.deltas_topic])[system.kafka.deltas_topic][0]


def _peer_topics(settings: Settings, changelog: str, pairs: list[Pair]) -> str:
    """The peer's changelog with its records, and an empty source; returns the source's name."""
    source = streams.fresh(settings).kafka.topic
    streams.changelog(settings, changelog, partitions=1)
    _send(settings, changelog, pairs)
    return source


def _send(settings: Settings, topic: str, pairs: list[Pair]) -> None:
    """Compressed as the worker compresses."""
    producer = Producer(
        client.librdkafka(
            settings,
            compression_type="snappy",
            linger_ms=20,
            batch_size=1 << 20,
            queue_buffering_max_kbytes=1 << 20,
            queue_buffering_max_messages=len(pairs) + 2,
            enable_idempotence=True,
        )
    )
    for key, value in pairs:
        producer.produce(topic, value, key, 0)
        producer.poll(0)
    if left := producer.flush(60):
        raise RuntimeError(f"topic {topic}: {left} records were not delivered")


def _ours(system: Settings, pairs: list[Pair]) -> Drained:
    """In a process of its own (this module's `main`), which leaves the store behind."""
    home = streams.empty_dir(system.home_dir / "restored")
    request = {"config": system.model_dump(mode="json", exclude_defaults=True), "store": str(home)}
    with processes.module("benchmarks.restore", home.parent, json.dumps(request)) as process:
        said = process.line()
    store = open_primary(home)
    wrong = [key for key, value in pairs[:: max(1, len(pairs) // 500)] if store.get(key) != value]
    kept = sum(1 for _ in store.scan())
    store.close()
    if wrong or kept != len(pairs):
        raise AssertionError(f"restore: {kept} of {len(pairs)} blocks, {len(wrong)} differ")
    return Drained(len(pairs), said["seconds"], said["cpu_s"])


def _peer(system: Settings, group: str, source: str, pairs: list[Pair]) -> Drained:
    """A Faust worker whose directory is empty."""
    home = streams.empty_dir(system.home_dir / "faust")
    request = {
        "broker": system.kafka.bootstrap,
        "topic": source,
        "group": group,
        "home": str(home),
        "records": len(pairs),
        "sample": [key.hex() for key, _ in pairs[:: max(1, len(pairs) // 100)]],
    }
    flags = ("worker", "--loglevel", "error", "--without-web")
    with processes.peer("faust_table_recovery", home, request, *flags) as peer:
        said = peer.line()
    expected = {key.hex(): value.hex() for key, value in pairs}
    wrong = [key for key, value in said["values"].items() if expected[key] != value]
    if wrong or len(said["values"]) != len(request["sample"]):  # type: ignore[arg-type]
        raise AssertionError(f"Faust recovery: {len(wrong)} of {len(said['values'])} differ")
    return Drained(said["impressions"], said["seconds"], said["cpu_s"])


def main() -> None:
    """Restore into an empty store; says how long it took."""
    from benchmarks.peers.protocol import Count

    request = json.loads(sys.argv[1])
    settings, count = Settings(**request["config"]), Count(0)
    store = open_primary(Path(request["store"]))
    count.begin()
    restore_partition(settings, store, 0)
    count.say()
    store.close()


if __name__ == "__main__":
    main()
