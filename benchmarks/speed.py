"""One worker drains a real topic; peers: textbook Faust, Quix Streams; limit: librdkafka, decoding.

`python -m speed` as it ships, on one core; the broker and everything else on the other. The topic
is filled before. What counts is the steady part: from the end of the first flush (of the first
record, for peers and limit) to the last impression. Start-up, the group's first join and restore
are left out for all. Peers get the first part of the same records, some seconds of work for them,
keep the same fifteen sums by the same keys, and are compared with the oracle as we are.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import stream_processes as processes
from benchmarks import stream_world as streams
from benchmarks.frame import Goal, Row, beside_ours, exponent, row
from benchmarks.peers import pair_sums
from benchmarks.peers.installed import PeerMissing, python_of
from benchmarks.stream_processes import Drained
from benchmarks.world import World
from impressions.clock import now_ms
from impressions.kafka.record_packing import Record
from impressions.settings.model import Settings
from impressions.terminal.console import say
from tests.live import copy_of_deltas, stream_rows

_PROFILES = 6_000
_GROWTH = (1, 4, 16)
_GROWTH_IMPRESSIONS, _GROWTH_PROFILES = 100_000, 1_000
_QUICK_SHARE = 20


@dataclass(frozen=True)
class Case:
    """Records of one size, how much of them ours drains, and how much each peer.

    Attributes:
        log: impressions of a log; a record holds `per_record / log` of them.
        peers: 0 where they are not asked.
        at_least_per_s: the goal.
    """

    per_record: int
    log: int
    ours: int
    peers: int
    at_least_per_s: int
    profiles: int = _PROFILES


CASES = (
    Case(1, 1, 300_000, 8_000, 100_000),
    Case(1, 1, 400_000, 0, 50_000, profiles=200_000),
    Case(20, streams.LOG, 1_200_000, 16_000, 800_000),
    Case(100, streams.LOG, 1_200_000, 20_000, 350_000),
)
_GOALS = {
    ("Faust", 1): Goal("ratio_to_peer", ">=", 4),
    ("Faust", 100): Goal("ratio_to_peer", ">=", 20),
    ("Quix", 100): Goal("ratio_to_peer", ">=", 5),
}


def run(world: World) -> Iterator[Row]:
    """Every size of a record."""
    with streams.broker(world) as settings:
        for case in CASES[-1:] if world.is_quick else CASES:
            yield from _case(world, settings, case)


def growth(world: World) -> Iterator[Row]:
    """The exponent of the worker's CPU time over the data, at 1, 4 and 16 times as much.

    More data is more profiles, each as busy as before and within as short a time: what grows is
    the number of keys.
    """
    case, share = CASES[-1], _QUICK_SHARE if world.is_quick else 1
    sizes, costs = [], []
    with streams.broker(world) as settings:
        for times in _GROWTH[:2] if world.is_quick else _GROWTH:
            impressions, profiles = _GROWTH_IMPRESSIONS // share, _GROWTH_PROFILES // share
            traffic = streams.crowds(world.seed, times, impressions, case.log, profiles)
            source = _filled(settings, traffic, case.per_record)
            drained = _ours(settings, source)
            sizes.append(float(drained.impressions))
            costs.append(max(drained.cpu_s, 1e-3))
    name = f"speed, {sum(sizes):,.0f} impressions in {len(sizes)} sizes"
    yield row("growth", name, exponent(sizes, costs), "exponent", goal=Goal("ours", "<=", 1.02))


@dataclass(frozen=True)
class Source:
    """A filled topic and what is in it."""

    topic: str
    traffic: streams.Traffic
    records: list[Record]
    expected: streams.Pairs
    query_ms: int

    @property
    def impressions(self) -> int:
        return self.traffic.impressions


def _case(world: World, settings: Settings, case: Case) -> Iterator[Row]:
    share = _QUICK_SHARE if world.is_quick else 1
    profiles = case.profiles // share

    def filled(impressions: int) -> Source:
        traffic = streams.traffic(world.seed, impressions // share, case.log, profiles)
        return _filled(settings, traffic, case.per_record)

    source = filled(case.ours)
    works: dict[str, Callable[[], Drained]] = {
        "ours": partial(_ours, settings, source),
        "limit": partial(_peer, "bare_consumer", settings, source),
    }
    if case.peers:
        works |= _peers(settings, filled(case.peers))
    drained: dict[str, list[Drained]] = {name: [] for name in works}

    def rate(name: str) -> float:
        drained[name].append(works[name]())
        return drained[name][-1].per_s

    per_s = beside_ours({name: partial(rate, name) for name in works}, 1 if share > 1 else 2)
    cpu_us = {name: min(each.cpu_us for each in of) for name, of in drained.items() if of}
    what = f"{case.per_record} a record, {profiles:,} profiles"
    yield row("speed", f"{what}, CPU; peer: Faust", cpu_us["ours"], "us/impression",
              peer=cpu_us.get("Faust"), limit=cpu_us.get("limit"))  # fmt: skip
    yield row("speed", what, per_s["ours"], "impressions/s", limit=per_s["limit"],
              goal=Goal("ours", ">=", case.at_least_per_s))  # fmt: skip
    for peer in ("Faust", "Quix") if case.peers else ():
        yield row("speed", f"{what}; peer: {peer}", per_s["ours"], "impressions/s",
                  peer=per_s.get(peer), goal=_GOALS.get((peer, case.per_record)))  # fmt: skip


def _peers(settings: Settings, source: Source) -> dict[str, Callable[[], Drained]]:
    """Faust, and Quix where it can be installed."""
    works: dict[str, Callable[[], Drained]] = {
        "Faust": partial(_peer, "textbook_faust", settings, source, "worker", *_FAUST_FLAGS)
    }
    try:
        works["Quix"] = partial(_peer, "quix_app", settings, source, python=python_of("quix"))
    except PeerMissing as missing:
        say(f"bench: {missing}")
    return works


_FAUST_FLAGS = ("--loglevel", "error", "--without-web")


def _filled(settings: Settings, traffic: streams.Traffic, per_record: int) -> Source:
    """A topic of its own with this traffic, and what some profiles must answer."""
    records = streams.records(traffic, per_record // traffic.titles.shape[1])
    topic = streams.fresh(settings).kafka.topic
    streams.fill(settings, topic, records)
    query_ms = now_ms()
    expected = streams.oracle(traffic, streams.sample(traffic), query_ms)
    return Source(topic, traffic, records, expected, query_ms)


def _ours(settings: Settings, source: Source) -> Drained:
    """A worker that never ran before drains the topic."""
    system = streams.fresh(settings, source.topic)
    with processes.working(system) as worker:
        drained = worker.drain(source.impressions)
    with tempfile.TemporaryDirectory(dir=settings.home_dir) as copy:
        store = copy_of_deltas(system, Path(copy) / "deltas")  # type: ignore[no-untyped-call]
        found = stream_rows(
            system, store, {profile for profile, _, _ in source.expected}, source.query_ms
        )
        store.close()
    streams.check("speed: ours", found, source.expected)
    return drained


def _peer(
    module: str, settings: Settings, source: Source, *flags: str, python: Path | None = None
) -> Drained:
    system = streams.fresh(settings, source.topic)
    group = f"{module}-{system.speed.group}"
    streams.changelog(settings, f"{group}-sums-changelog")
    request = {
        "broker": settings.kafka.bootstrap,
        "topic": source.topic,
        "group": group,
        "home": str(system.home_dir / "state"),
        "partitions": streams.PARTITIONS,
        "numbers": list(range(streams.PARTITIONS)),
        "impressions": source.impressions,
        "records": Counter(record.partition for record in source.records),
        "pairs": list(source.expected),
    }
    with processes.peer(module, system.home_dir, request, *flags, python=python) as peer:
        said = peer.line()
    if said["impressions"] != source.impressions:
        raise AssertionError(f"{module}: {said['impressions']}, expected {source.impressions}")
    if "sums" in said:
        found = _by_pair(said["sums"], source.query_ms)
        streams.check(f"speed: {module}", found, source.expected)
    return Drained(said["impressions"], said["seconds"], said["cpu_s"])


def _by_pair(found: dict[str, list[float]], query_ms: int) -> streams.Pairs:
    """A peer's sums of days, in the oracle's form: decayed to the query time and added."""
    measures, days = ("impressions", "plays", "dwell_s"), pair_sums.HALF_LIVES_DAYS
    out: streams.Pairs = {}
    for key, held in found.items():
        day, *pair = map(int, key.split(":"))
        age_ms = query_ms - day * pair_sums.DAY_MS
        pair_sum: dict[Any, float] = out.setdefault((pair[0], pair[1], pair[2]), {})
        pair_sum["last_seen_ms"] = max(held[0], pair_sum.get("last_seen_ms", 0))
        for m, measure in enumerate(measures):
            pair_sum[measure] = pair_sum.get(measure, 0.0) + held[1 + m]
            for h, half_life in enumerate(days):
                decayed = held[4 + len(days) * m + h]
                decayed *= 2.0 ** (-age_ms / (half_life * pair_sums.DAY_MS))
                pair_sum[measure, half_life] = pair_sum.get((measure, half_life), 0.0) + decayed
    return out
