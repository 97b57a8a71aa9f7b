"""From produce to visible in an answer: worker, follower and gRPC server as they ship.

Records of 100 impressions arrive evenly, while probes, each one impression of a profile that nobody
else has, are sent beside them. A probe is visible in the first answer that has its title; one
caller asks every 10 ms for all that are not visible yet, so a figure includes one call and the wait
for its turn. What this very system sustains is found first, by higher and higher rates, each for
some seconds: the last one at which nine of ten probes were visible within a second. The figures are
for half of it. All processes, callers and broker included, share the machine's cores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Producer

from benchmarks import stream_processes as processes
from benchmarks import stream_world as streams
from benchmarks.frame import Goal, Row, row
from benchmarks.stream_processes import Worker
from benchmarks.world import World
from impressions.client import CallFailed, ImpressionsClient
from impressions.kafka import client
from impressions.kafka.record_packing import Record
from impressions.settings.model import Settings

_PROFILES, _LOGS_PER_RECORD = 12_000, 10
_RATES_PER_S = (4_000, 8_000, 12_000, 18_000, 27_000, 40_000, 60_000)
_TRY_S, _LOAD_S, _PROBES_PER_S = 3.0, 12.0, 25
_FIRST_PROBE = 1 << 40
_SUSTAINED_S, _OF_TEN = 1.0, 90
_LOST_AFTER_S = 60.0
_ASK_EVERY_S = 0.01
_HALF = 0.5


def run(world: World) -> Iterator[Row]:
    """p50 and p99 at half of the sustainable load."""
    quick = world.is_quick
    with streams.broker(world) as settings:
        system = streams.fresh(settings)
        with (
            processes.working(system, core=None) as worker,
            processes.started("serving", system, *_SERVING, core=None) as server,
        ):
            with ImpressionsClient(server.line()["address"], timeout_s=10) as asking:
                sender = Sender(world, system, asking)
                sender.measure(_RATES_PER_S[0], _TRY_S)  # the group has formed, code is warm
                sustained_per_s = sender.sustained(_RATES_PER_S[:2] if quick else _RATES_PER_S)
                seen_s = sender.measure(_HALF * sustained_per_s, 1.0 if quick else _LOAD_S)
            _check_whole(worker, sender.sent)
    p50_s, p99_s = np.percentile(seen_s, [50, 99]).tolist()
    rate = _HALF * sustained_per_s / 1e3
    what = f"at {rate:,.0f} k/s, half of sustained, {len(seen_s)} probes"
    yield row("freshness", f"p50 {what}", p50_s, "s", goal=Goal("ours", "<=", 0.06))
    yield row("freshness", f"p99 {what}", p99_s, "s", goal=Goal("ours", "<=", 0.15))
    yield row("freshness", "sustained by everything on this machine, 100 a record",
              sustained_per_s, "impressions/s")  # fmt: skip


_SERVING = (processes.Process, "--listen", "127.0.0.1:0")


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


class Sender:
    """Load and probes for one system, each log and each probe once.

    Attributes:
        sent: impressions sent by now.
    """

    def __init__(self, world: World, system: Settings, asking: ImpressionsClient):
        self._seed, self._system, self._asking = world.seed, system, asking
        self._first_log, self._first_probe, self.sent = 1, _FIRST_PROBE, 0

    def sustained(self, rates_per_s: Sequence[int]) -> float:
        """The highest of the rates that answers keep up with; the first, where with none."""
        best = rates_per_s[0]
        for rate in rates_per_s:
            seen_s = self.measure(rate, _TRY_S)
            if np.percentile(seen_s, _OF_TEN) > _SUSTAINED_S:
                break
            best = rate
        return best

    def measure(self, rate_per_s: float, load_s: float) -> list[float]:
        """Send for so long, wait until every probe was seen: after how many seconds each was."""
        probes, count = Probes(), int(_PROBES_PER_S * load_s)
        ids = range(self._first_probe, self._first_probe + count)
        load = streams.traffic(
            self._seed + self._first_log, int(rate_per_s * load_s), streams.LOG, _PROFILES,
            self._first_log,
        )  # fmt: skip
        self._first_probe, self._first_log = ids.stop, self._first_log + len(load.log_id)
        self.sent += load.impressions + count
        records = streams.records(load, _LOGS_PER_RECORD)
        sending = threading.Thread(target=_send, args=(self._system, records, ids, load_s, probes))
        sending.start()
        deadline_s = time.monotonic() + load_s + _LOST_AFTER_S
        try:
            while not probes.ended.is_set() or probes.sent_s:
                probes.look(self._asking)
                if time.monotonic() > deadline_s:
                    left = len(probes.sent_s)
                    raise AssertionError(f"freshness: {left} never seen: {probes.said}")
        finally:
            sending.join()
        return probes.seen_s


def _check_probe(profile: int, titles: list[int], impressions: list[float]) -> None:
    if (titles, impressions) != ([_title(profile)], [1.0]):
        raise AssertionError(f"freshness: probe {profile} answers {titles}, {impressions}")


def _title(profile: int) -> int:
    return 1 + profile - _FIRST_PROBE


def _send(
    system: Settings, records: list[Record], ids: range, load_s: float, probes: Probes
) -> None:
    """Each record and each probe at its moment."""
    producer = Producer(client.librdkafka(system, compression_type="lz4", linger_ms=5))
    due = [(i * load_s / len(records), record) for i, record in enumerate(records)]
    due += [((n + 0.5) * load_s / len(ids), _probe(i)) for n, i in enumerate(ids)]
    of_probes = iter(ids)
    started_s = time.perf_counter()
    for at_s, record in sorted(due, key=lambda pair: pair[0]):
        while (pause_s := started_s + at_s - time.perf_counter()) > 0:
            producer.poll(0)
            time.sleep(min(pause_s, 0.005))
        if record.impressions == 1:
            probes.sent_s[next(of_probes)] = time.perf_counter()
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
