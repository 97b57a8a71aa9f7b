"""A broker and traffic for the stages of the stream: seeded, packed as the producer packs, checked.

A log is what one device flushed: 10 impressions of one profile, 1 where a record holds one. Each
of the profiles gets logs in random order, so a flush meets about as many profiles as it has logs,
and the blocks that it writes again grow through the run: no batch is spared by meeting one profile
again and again. Titles are drawn from a catalogue of 20,000, so nearly every impression is a row.

The broker runs where this process does (benchmarks/cores.py), the process under test on the other
core. Topics have four partitions. Records carry their partition as key: nobody of ours needs one,
Quix Streams keeps its state by it.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer

from benchmarks.world import CATALOGUE, World
from impressions.core.decay import Float, Int
from impressions.kafka import client, topics
from impressions.kafka.admin import connect
from impressions.kafka.record_packing import Record, columns_message, pack
from impressions.local.broker import Broker
from impressions.settings.model import Settings
from oracle import naive
from tests.compare import differences
from tests.tolerance import FLOAT64

PARTITIONS = 4
LOG = 10
_SPREAD_MS = 3 * 3_600_000
_AHEAD = 50_000
_numbers = itertools.count()

Pairs = dict[tuple[int, int, int], dict[Any, float]]
"""(profile, title, location) -> what oracle/naive.py answers for it."""


@contextlib.contextmanager
def broker(world: World) -> Iterator[Settings]:
    """Settings of a system whose broker runs, with nothing in it."""
    home = world.home / f"stream-{next(_numbers)}"
    running, _ = (started := Broker(Settings(home=home, partitions=PARTITIONS))).start()
    settings = Settings(home=home, partitions=PARTITIONS, kafka={"bootstrap": running.bootstrap})
    try:
        yield settings
    finally:
        started.stop()


def fresh(settings: Settings, source: str | None = None) -> Settings:
    """A system of its own on the same broker: topics, group and directories that nobody used.

    Args:
        source: read this topic; None makes a new one.
    """
    n = next(_numbers)
    out = settings.model_copy(
        update={
            "home": settings.home_dir / f"system-{n}",
            "kafka": settings.kafka.model_copy(
                update={
                    "topic": source or f"impressions-{n}",
                    "deltas_topic": f"impression-deltas-{n}",
                    "rejected_topic": f"impressions-rejected-{n}",
                    "clock_topic": f"impressions-clock-{n}",
                }
            ),
            "speed": settings.speed.model_copy(update={"group": f"speed-{n}"}),
        }
    )
    topics.create(out)
    return out


def changelog(settings: Settings, name: str, partitions: int = PARTITIONS) -> None:
    """A compacted topic of a peer."""
    with connect(settings) as admin:
        admin.create(name, partitions, 1, {"cleanup.policy": "compact"})


def empty_dir(path: Path) -> Path:
    """The directory, with nothing in it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


@dataclass(frozen=True)
class Traffic:
    """n logs of k impressions.

    Attributes:
        profile_id, log_id: (n,).
        titles, locations, event_ms, played, dwell_s: (n, k).
    """

    profile_id: Int
    log_id: Int
    titles: Int
    locations: Int
    event_ms: Int
    played: Float
    dwell_s: Float

    @property
    def impressions(self) -> int:
        return int(self.titles.size)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(cls.__dataclass_fields__)

    def first(self, logs: int) -> Traffic:
        return Traffic(*(getattr(self, name)[:logs] for name in self.names()))


def traffic(
    seed: int,
    impressions: int,
    log: int,
    profiles: int,
    first_log: int = 1,
    first_profile: int = 1,
) -> Traffic:
    """So many impressions of the last three hours, none of them known to the stream before."""
    rng = np.random.default_rng(seed)
    logs = impressions // log
    shape = (logs, log)
    titles = rng.integers(1, CATALOGUE, shape)
    return Traffic(
        profile_id=rng.integers(first_profile, first_profile + profiles, logs),
        log_id=np.arange(first_log, first_log + logs),
        titles=titles,
        locations=titles * 31 % 40,
        event_ms=int(time.time() * 1000) - rng.integers(0, _SPREAD_MS, shape),
        played=(rng.random(shape) < 0.1).astype(np.float64),
        dwell_s=np.round(rng.exponential(3.0, shape), 3),
    )


def crowds(seed: int, times: int, impressions: int, log: int, profiles: int) -> Traffic:
    """So many crowds, one after the other, each of profiles of its own: more data in which nobody
    is busier and no flush meets more of the same profile."""
    each = [
        traffic(seed + i, impressions, log, profiles, 1 + i * impressions, 1 + i * profiles)
        for i in range(times)
    ]
    return Traffic(
        *(np.concatenate([getattr(one, name) for one in each]) for name in each[0].names())
    )


def records(of: Traffic, logs_per_record: int) -> list[Record]:
    """The logs as records, in an order in which every partition has its turn."""
    waiting: dict[int, list[bytes]] = defaultdict(list)
    out = []
    columns = (getattr(of, name).tolist() for name in of.names())
    for profile, log_id, titles, locations, event_ms, played, dwell_s in zip(*columns, strict=True):
        message = columns_message(
            profile, log_id, title_ids=titles, locations=locations, event_time_ms=event_ms,
            played=[bool(x) for x in played], dwell_s=dwell_s,
        )  # fmt: skip
        packed = pack(message, PARTITIONS)
        logs = waiting[packed.partition]
        logs.append(packed.data)
        if len(logs) == logs_per_record:
            out.append(_record(packed.partition, waiting.pop(packed.partition), of))
    return out + [_record(partition, logs, of) for partition, logs in waiting.items()]


def _record(partition: int, logs: list[bytes], of: Traffic) -> Record:
    return Record(partition, b"".join(logs), len(logs), len(logs) * of.titles.shape[1])


def fill(settings: Settings, topic: str, of: Iterable[Record]) -> None:
    """Send the records, and wait for the broker."""
    producer = Producer(
        client.librdkafka(
            settings,
            compression_type="lz4",
            linger_ms=20,
            queue_buffering_max_kbytes=512 << 10,
            queue_buffering_max_messages=2 * _AHEAD,
        )
    )
    for record in of:
        producer.produce(topic, record.value, str(record.partition).encode(), record.partition)
        while len(producer) > _AHEAD:
            producer.poll(0.05)
    if left := producer.flush(60):
        raise RuntimeError(f"topic {topic}: {left} records were not delivered")


def oracle(of: Traffic, profiles: Iterable[int], query_ms: int) -> Pairs:
    """What oracle/naive.py answers for these profiles."""
    logs = []
    for i in np.flatnonzero(np.isin(of.profile_id, list(profiles))).tolist():
        names = ("title", "location", "event_ms", "played", "dwell_s")
        columns = (of.titles, of.locations, of.event_ms, of.played, of.dwell_s)
        rows = zip(*(column[i].tolist() for column in columns), strict=True)
        events = [dict(zip(names, row, strict=True)) for row in rows]
        logs.append((int(of.profile_id[i]), int(of.log_id[i]), query_ms, events))
    applied, _ = naive.accept(logs)  # type: ignore[no-untyped-call]
    return naive.answers(applied, query_ms)  # type: ignore[no-any-return,no-untyped-call]


def check(what: str, found: Pairs, expected: Pairs) -> None:
    """Stop the run where a sum differs from the oracle's."""
    wrong = differences(found, expected, FLOAT64)  # type: ignore[arg-type]
    if wrong or not expected:
        raise AssertionError(f"{what}: {len(wrong)} of {len(expected)} differ: {wrong[:3]}")


def sample(of: Traffic, count: int = 5) -> list[int]:
    """The first few profiles."""
    return np.unique(of.profile_id[: 10 * count])[:count].tolist()  # type: ignore[no-any-return]
