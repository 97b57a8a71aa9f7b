"""From produce to visible in an answer: worker, follower and gRPC server as they ship.

The load is half of what this very system sustains: a backlog is drained first, until its last
records are in answers, which says how much that is. Records of 100 impressions then arrive at half
that rate, evenly, while probes, each one impression of a profile that nobody else has, are sent
beside them. A probe is visible in the first answer that has its title; one caller asks every 10 ms
for all that are not visible yet, so a figure includes one call and the wait for its turn. Worker on
the first core, broker and callers on the other; server and follower may use both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Producer

from benchmarks import stream_processes as processes
from benchmarks import stream_world as streams
from benchmarks.frame import Goal, Row, row
from benchmarks.stream_processes import Worker
from benchmarks.world import World
from impressions.kafka import client
from impressions.kafka.packing import Record
from impressions.shell.settings import Settings
from serving.client import ImpressionsClient
from serving.failures import CallFailed

_PROFILES, _LOGS_PER_RECORD = 12_000, 10
_BACKLOG, _LOAD_S, _PROBES_PER_S = 300_000, 12.0, 25
_QUICK_BACKLOG, _QUICK_LOAD_S = 30_000, 1.0
_FIRST_PROBE = 1 << 40
_LAST_OF_BACKLOG, _LAST = _FIRST_PROBE + 10_000, 40
_LOST_AFTER_S = 30.0
_ASK_EVERY_S = 0.01
_HALF = 0.5


def run(world: World) -> Iterator[Row]:
    """p50 and p99 at half of the sustainable load."""
    quick = streams.is_quick(world)
    backlog, load_s = (_QUICK_BACKLOG, _QUICK_LOAD_S) if quick else (_BACKLOG, _LOAD_S)
    with streams.broker(world) as settings:
        system = streams.fresh(settings)
        before = streams.traffic(world.seed, backlog, streams.LOG, _PROFILES)
        last = [_probe(_LAST_OF_BACKLOG + i) for i in range(_LAST)]
        streams.fill(system, system.kafka.topic, streams.records(before, _LOGS_PER_RECORD) + last)
        with (
            processes.working(system) as worker,
            processes.started("serving", system, *_SERVING, core=None) as server,
        ):
            drained = worker.drain(backlog + _LAST)
            with ImpressionsClient(server.line()["address"], timeout_s=10) as asking:
                whole_s = drained.seconds + _until_visible_s(asking)
                sustained_per_s = drained.impressions / whole_s
                rate = _HALF * sustained_per_s
                load = _load(world, int(rate * load_s), backlog)
                seen_s = _measure(system, asking, load, load_s)
            _check_whole(worker, backlog + _LAST + load.impressions + len(seen_s))
    p50_s, p99_s = np.percentile(seen_s, [50, 99]).tolist()
    what = f"at {rate / 1e3:,.0f} k/s, half of sustained, {len(seen_s)} probes"
    yield row("freshness", f"p50 {what}", p50_s, "s", goal=Goal("ours", "<=", 0.4))
    yield row("freshness", f"p99 {what}", p99_s, "s", goal=Goal("ours", "<=", 1))
    yield row("freshness", "sustained, 100 a record, while serving", sustained_per_s,
              "impressions/s")  # fmt: skip


_SERVING = (processes.Process, "--listen", "127.0.0.1:0")


@dataclass(frozen=True)
class Load:
    """Records to send evenly."""

    records: list[Record]
    impressions: int


@dataclass
class Probes:
    """What was sent and not seen yet; what was seen after how long."""

    sent_s: dict[int, float] = field(default_factory=dict)
    seen_s: list[float] = field(default_factory=list)
    said: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def look(self, asking: ImpressionsClient) -> None:
        """Ask for all that are not visible yet."""
        time.sleep(_ASK_EVERY_S)
        waiting = list(self.sent_s)
        if not waiting:
            return
        for profile, found in zip(waiting, asking.get_many(waiting, totals=True), strict=True):
            if isinstance(found, CallFailed):
                self.said = str(found)
                continue
            self.said = str(found.context)
            if len(found.title_ids):
                _check_probe(
                    profile, found.title_ids.tolist(), found.totals["impressions"].tolist()
                )
                self.seen_s.append(time.perf_counter() - self.sent_s.pop(profile))


def _until_visible_s(asking: ImpressionsClient) -> float:
    """Wait until the last records of the backlog, some in each partition, are in answers, too."""
    started_s = time.perf_counter()
    waiting = [_LAST_OF_BACKLOG + i for i in range(_LAST)]
    while waiting:
        time.sleep(_ASK_EVERY_S)
        answers = zip(waiting, asking.get_many(waiting), strict=True)
        waiting = [i for i, x in answers if isinstance(x, CallFailed) or not len(x.title_ids)]
        if time.perf_counter() - started_s > _LOST_AFTER_S:
            raise AssertionError(f"freshness: {len(waiting)} of the backlog were never seen")
    return time.perf_counter() - started_s


def _check_probe(profile: int, titles: list[int], impressions: list[float]) -> None:
    if (titles, impressions) != ([_title(profile)], [1.0]):
        raise AssertionError(f"freshness: probe {profile} answers {titles}, {impressions}")


def _title(profile: int) -> int:
    return 1 + profile - _FIRST_PROBE


def _load(world: World, impressions: int, known: int) -> Load:
    first_log = 1 + known // streams.LOG
    traffic = streams.traffic(world.seed + 1, impressions, streams.LOG, _PROFILES, first_log)
    return Load(streams.records(traffic, _LOGS_PER_RECORD), traffic.impressions)


def _measure(system: Settings, asking: ImpressionsClient, load: Load, load_s: float) -> list[float]:
    """Send load and probes, until every probe was seen."""
    probes = Probes()
    sender = threading.Thread(target=_send, args=(system, load, load_s, probes))
    sender.start()
    deadline_s = time.monotonic() + load_s + _LOST_AFTER_S
    try:
        while not probes.ended.is_set() or probes.sent_s:
            probes.look(asking)
            if time.monotonic() > deadline_s:
                raise AssertionError(f"freshness: {len(probes.sent_s)} never seen: {probes.said}")
    finally:
        sender.join()
    return probes.seen_s


def _send(system: Settings, load: Load, load_s: float, probes: Probes) -> None:
    """Each record and each probe at its moment."""
    producer = Producer(client.librdkafka(system, compression_type="lz4", linger_ms=5))
    count = int(_PROBES_PER_S * load_s)
    due = [(i * load_s / len(load.records), record) for i, record in enumerate(load.records)]
    due += [((i + 0.5) * load_s / count, _probe(_FIRST_PROBE + i)) for i in range(count)]
    ids = iter(range(_FIRST_PROBE, _FIRST_PROBE + count))
    started_s = time.perf_counter()
    for at_s, record in sorted(due, key=lambda pair: pair[0]):
        while (pause_s := started_s + at_s - time.perf_counter()) > 0:
            producer.poll(0)
            time.sleep(min(pause_s, 0.005))
        if record.impressions == 1:
            probes.sent_s[next(ids)] = time.perf_counter()
        producer.produce(system.kafka.topic, record.value, partition=record.partition)
    producer.flush(30)
    probes.ended.set()


def _probe(profile: int) -> Record:
    one = streams.Traffic(
        profile_id=np.array([profile]),
        log_id=np.array([profile]),
        titles=np.array([[_title(profile)]]),
        locations=np.array([[0]]),
        event_ms=np.array([[int(time.time() * 1000)]]),
        played=np.zeros((1, 1)),
        dwell_s=np.zeros((1, 1)),
    )
    return streams.records(one, 1)[0]


def _check_whole(worker: Worker, impressions: int) -> None:
    """Everything that was sent was applied once."""
    expected = {"applied": impressions, "duplicate": 0, "rejected": 0}
    deadline_s = time.monotonic() + _LOST_AFTER_S
    while (found := worker.outcomes()) != expected:
        if time.monotonic() > deadline_s:
            raise AssertionError(f"freshness: the worker counted {found}, expected {expected}")
        time.sleep(0.1)
