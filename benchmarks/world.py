"""The data of all stages: seeded, built without a loop over events, checked by the oracle.

A profile has 1,500 titles of a catalogue of 20,000, each at one location, seen four times on
average within a few weeks of the year; and, if asked for, seven more days of some 100 events, which
are its delta blocks. A generation on disk repeats `distinct` such blocks under many profile ids,
because a block does not hold its profile and building 2,500 of them tells no more than 32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bulkload.activate import activate
from bulkload.load import load
from impressions.core import item, window
from impressions.core.decay import Float, Int
from impressions.core.impressions import Impressions
from impressions.core.merge import plus
from impressions.core.rows import Rows, joined
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import delta_block, profile_block
from impressions.formats.delta_block import DeltaBlock
from impressions.formats.generation_paths import generation_id
from impressions.formats.manifest import Manifest
from impressions.settings.model import Settings
from impressions.settings.sections.live import Host
from oracle import naive
from speed.applying.slot_parts import full_at
from tests.compare import differences
from tests.generations import publish
from tests.tolerance import FLOAT32_STORED

SPEC = Spec()
CUTOVER_MS = 20_772 * DAY_MS  # 2026-11-15, a UTC midnight
DELTA_DAYS = 7
QUERY_MS = CUTOVER_MS + DELTA_DAYS * DAY_MS
CATALOGUE = 20_000
_SPREAD_DAYS = 14
_QUICK_BYTES = 16 << 20
_EVENTS_A_DAY = 100


@dataclass(frozen=True)
class Events:
    """Columns of n events of one profile."""

    titles: Int
    locations: Int
    event_ms: Int
    played: Float
    dwell_s: Float

    def take(self, index: Any) -> Events:
        return Events(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Profile:
    """One profile, as events for the oracle and as bytes for the product.

    Attributes:
        year, week: events that the generation owns; those of the days after its cutover.
        block, deltas: the same as a profile block and as one delta block per day.
        chosen: (200,) int64 titles to ask for, ascending.
    """

    year: Events
    week: Events
    block: bytes
    deltas: tuple[bytes, ...]
    chosen: Int

    def oracle(self, profile_id: int, *, with_week: bool, query_ms: int = QUERY_MS) -> Any:
        """What oracle/naive.py answers."""
        applied = applied_of(profile_id, self.year)
        return naive.answers(  # type: ignore[no-untyped-call]
            applied + (applied_of(profile_id, self.week) if with_week else []), query_ms
        )


class World:
    """Everything a stage may need; made on first use, in a directory that the caller removes.

    Attributes:
        partitions: shards of the generation.
        raw_rows: rows of the lake of the batch stages, where another number than theirs is asked.
        distinct: how many profiles differ; profile i holds what i + distinct holds.
        is_quick: whether this run is only to see that it runs.
    """

    def __init__(
        self,
        home: Path,
        seed: int,
        size_bytes: int,
        titles: int = 1_500,
        *,
        partitions: int = 8,
        raw_rows: int | None = None,
    ):
        self.home, self.seed, self.titles = home, seed, titles
        self.partitions, self.raw_rows = partitions, raw_rows
        self._size_bytes, self.distinct = size_bytes, 32
        self.is_quick = size_bytes < _QUICK_BYTES

    @cached_property
    def profiles(self) -> list[Profile]:
        """The distinct profiles."""
        rng = np.random.default_rng(self.seed)
        return [make_profile(rng, self.titles) for _ in range(self.distinct)]

    def profile(self, profile_id: int) -> Profile:
        """What the generation holds of a profile id."""
        return self.profiles[profile_id % self.distinct]

    @cached_property
    def profile_ids(self) -> range:
        """The ids in the generation, so many that it has about the size that was asked for."""
        size_bytes = sum(len(profile.block) for profile in self.profiles) // self.distinct
        return range(1, 1 + max(2 * self.distinct, self._size_bytes // size_bytes))

    @cached_property
    def manifest(self) -> Manifest:
        """The generation, published."""
        return publish(
            self.home / "published",
            {i: self.profile(i).block for i in self.profile_ids},
            CUTOVER_MS,
            entries=self.titles * len(self.profile_ids),
            partitions=self.partitions,
        )

    def with_partitions(self, partitions: int) -> World:
        """The same profiles under the same ids, in a generation of so many shards."""
        home = self.home / f"shards-{partitions}"
        home.mkdir(exist_ok=True)
        other = World(home, self.seed, self._size_bytes, self.titles, partitions=partitions)
        other.profiles, other.profile_ids = self.profiles, self.profile_ids
        return other

    def settings(self, host: str) -> Settings:
        """A host of that name, with nothing loaded yet."""
        return Settings(
            home=self.home / host,
            generations_uri=str(self.home / "published"),
            partitions=self.partitions,
            host=Host(reserve_bytes=0),
        )

    @cached_property
    def loaded(self) -> Settings:
        """A host on which the generation is active."""
        settings = self.settings("host")
        name = self.manifest.generation
        load(settings, name)
        activate(settings, name)
        return settings


def make_profile(rng: np.random.Generator, titles: int) -> Profile:
    """A profile of so many titles."""
    year = _year(rng, titles)
    week = _week(rng, np.unique(year.titles))
    return Profile(
        year=year,
        week=week,
        block=block_of(year),
        deltas=deltas_of(week),
        chosen=np.sort(rng.choice(np.unique(year.titles), min(200, titles), replace=False)),
    )


def block_of(events: Events) -> bytes:
    """The profile block of events that a generation owns."""
    day = events.event_ms // DAY_MS
    in_tail = day < window.first_day(CUTOVER_MS, SPEC) + SPEC.tail_days
    body = plus([_lifted(events.take(~in_tail), CUTOVER_MS)], SPEC)
    tail_day, tail = _by_day(events.take(in_tail), day[in_tail])
    return profile_block.encode(CUTOVER_MS, body, tail, tail_day, SPEC)


def deltas_of(events: Events) -> tuple[bytes, ...]:
    """The delta blocks of each day of the events, which came ten by ten in the order of time."""
    blocks: list[bytes] = []
    for day in np.unique(events.event_ms // DAY_MS).tolist():
        of_day = events.take(events.event_ms // DAY_MS == day)
        of_day = of_day.take(np.argsort(of_day.event_ms))
        at, part = 0, 0
        while at < len(of_day.titles):
            flushes = -(-full_at(part) // 11)
            seen = impressions_of(of_day.take(slice(at, at + 10 * flushes)))
            block = DeltaBlock(day * DAY_MS, 1, 0, np.arange(flushes), seen)
            blocks.append(delta_block.encode(block, SPEC))
            at, part = at + 10 * flushes, part + 1
    return tuple(blocks)


def impressions_of(events: Events) -> Impressions:
    """As a delta block holds them."""
    items = item.pack(events.titles, events.locations)
    seen = Impressions(items, events.event_ms, np.stack([events.played, events.dwell_s]))
    return seen.take(np.argsort(items, kind="stable"))


def applied_of(profile_id: int, events: Events) -> list[tuple[int, dict[str, Any], int]]:
    """The events as the oracle takes them, ingested when they happened."""
    columns = (getattr(events, name).tolist() for name in events.__dataclass_fields__)
    names = ("title", "location", "event_ms", "played", "dwell_s")
    return [
        (profile_id, dict(zip(names, values, strict=True)), values[2])
        for values in zip(*columns, strict=True)
    ]


def check(what: str, found: Any, expected: Any) -> None:
    """Stop the run where an answer differs from the oracle's: a wrong answer has no speed."""
    wrong = differences(found, expected, FLOAT32_STORED)
    if wrong or not expected:
        raise AssertionError(f"{what}: {len(wrong)} of {len(expected)} differ: {wrong[:3]}")


def cycle(works: list[Callable[[], object]]) -> Callable[[], None]:
    """All of them, one after the other, as one piece of work."""

    def run() -> None:
        for work in works:
            work()

    return run


def generation_name() -> str:
    return generation_id(CUTOVER_MS)


def _year(rng: np.random.Generator, titles: int) -> Events:
    ids = rng.choice(np.arange(1, CATALOGUE), titles, replace=False)
    counts = rng.geometric(0.25, titles)
    begins_ms = rng.integers(CUTOVER_MS - 364 * DAY_MS, CUTOVER_MS, titles)
    n = int(counts.sum())
    later_ms = (rng.exponential(_SPREAD_DAYS, n) * DAY_MS).astype(np.int64)
    event_ms = np.minimum(np.repeat(begins_ms, counts) + later_ms, CUTOVER_MS - 1)
    return _events(rng, np.repeat(ids, counts), event_ms)


def _week(rng: np.random.Generator, known: Int) -> Events:
    n = DELTA_DAYS * _EVENTS_A_DAY
    again = rng.choice(known, n)
    fresh = rng.integers(1, CATALOGUE, n)
    event_ms = rng.integers(CUTOVER_MS, QUERY_MS, n)
    return _events(rng, np.where(rng.random(n) < 0.7, again, fresh), event_ms)


def _events(rng: np.random.Generator, titles: Int, event_ms: Int) -> Events:
    n = len(titles)
    return Events(
        titles=titles.astype(np.int64),
        locations=(titles * 31 % 40).astype(np.int64),
        event_ms=event_ms,
        played=(rng.random(n) < 0.1).astype(np.float64),
        dwell_s=np.round(rng.exponential(3.0, n), 3),
    )


def _lifted(events: Events, reference_ms: int) -> Rows:
    """One row per event, items ascending: another order than that of the events."""
    return impressions_of(events).rows(reference_ms, SPEC)


def _by_day(events: Events, day: Int) -> tuple[Int, Rows]:
    """Days and rows of (day, item) groups, ascending."""
    days = np.unique(day)
    by_day = [plus([_lifted(events.take(day == each), CUTOVER_MS)], SPEC) for each in days]
    return np.repeat(days, [len(rows) for rows in by_day]), joined(by_day)
