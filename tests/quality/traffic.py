"""Generated traffic with the seasons of a real one: hours, weekdays, a year, growth, holidays.

Every day has a generator of its own, seeded by (seed, day), so a day is the same whatever days are
made with it. A fault is a function of a day's events, given before they are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from batch.quality.counts import DAY_US, HOUR_US, Counts, Rows, count
from batch.quality.day_rows import DayRow, Rejected, rows_of_day

DEVICES = ("phone", "tablet", "tv", "web")
DEVICE_SHARE = (0.5, 0.15, 0.2, 0.15)
VERSIONS = ("8.11", "8.12", "8.13", "8.14")
VERSION_SHARE = (0.1, 0.3, 0.4, 0.2)
LOCATION_SHARE = (0.4, 0.3, 0.2, 0.1)
PLAYS = (0.18, 0.22, 0.35, 0.12)
DWELL_S = (3.0, 4.0, 9.0, 2.5)
FIRST_DAY = 20_454  # 2026-01-01
WEEKDAYS = (1.0, 0.97, 0.96, 0.98, 1.1, 1.3, 1.25)  # of Thursday, the weekday of day 0, on


@dataclass(frozen=True)
class Events:
    """Columns of (n,) events of a day, and what of it was rejected."""

    columns: Mapping[str, np.ndarray]
    rejected: Rejected = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def having(self, **columns: np.ndarray) -> Events:
        return replace(self, columns={**self.columns, **columns})

    def take(self, which: np.ndarray) -> Events:
        return replace(self, columns={name: of[which] for name, of in self.columns.items()})


Fault = Callable[[Events, np.random.Generator], Events]


@dataclass(frozen=True)
class Traffic:
    """What is usual.

    Attributes:
        impressions: of an ordinary day.   growth: of volume, a week.
        peaks: day -> times as much, more people who see a little more.
    """

    seed: int = 1
    impressions: int = 8_000
    growth: float = 1.0
    peaks: Mapping[int, float] = field(default_factory=dict)

    def events(self, day: int) -> Events:
        """Of a day from 0 on."""
        rng = np.random.default_rng((self.seed, day))
        year = 1 + 0.15 * np.sin(2 * np.pi * day / 365)
        level = WEEKDAYS[day % 7] * year * self.growth ** (day / 7) * rng.normal(1, 0.04)
        peak = self.peaks.get(day, 1.0)
        people = max(1, int(self.impressions * level * peak**0.8 / 6))
        seen = rng.geometric(1 / (6 * peak**0.2), people)
        profile = np.repeat(rng.choice(people * 4, people, replace=False), seen)
        n = len(profile)
        device = np.repeat(rng.choice(4, people, p=DEVICE_SHARE), seen)
        version = np.repeat(rng.choice(4, people, p=VERSION_SHARE), seen)
        at_us = _times(rng, n, day, weekend=day % 7 in (2, 3))
        ingest_us = at_us + rng.exponential(20e6, n).astype(np.int64)
        late = rng.random(n) < 0.01
        at_us = np.where(late, at_us - rng.integers(1, 48, n) * HOUR_US, at_us)
        return Events(
            {
                "profile_id": profile.astype(np.int64),
                "title_id": (rng.pareto(1.2, n) * 40).astype(np.int64) % 3000 + day * 3,
                "location": rng.choice(4, n, p=LOCATION_SHARE),
                "event_us": at_us,
                "ingest_us": ingest_us,
                "played": rng.random(n) < np.array(PLAYS)[device],
                "dwell_s": np.where(
                    rng.random(n) < 0.08, 0.0, rng.lognormal(0, 1.2, n) * np.array(DWELL_S)[device]
                ),
                "duplicate": rng.random(n) < 0.005,
                "device": device,
                "version": version,
            },
            {("phone", "8.13", "bad_dwell"): int(n * 0.002), ("", "", "out_of_window"): 3},
        )

    def rows(
        self, days: Sequence[int], faults: Mapping[int, Fault] | None = None, least: int = 500
    ) -> list[DayRow]:
        """The rows of the table for these days; a fault that leaves no event leaves no row."""
        faults, result, samples = faults or {}, [], []
        for day in days:
            events = self.events(day)
            if day in faults:
                events = faults[day](events, np.random.default_rng((self.seed, day, 7)))
            counts = counted(events)
            if len(events["profile_id"]) or events.rejected:
                result += rows_of_day(
                    FIRST_DAY + day, counts, events.rejected, samples[-28:], least
                )
            samples.append(counts.titles)
        return result


def counted(events: Events) -> Counts:
    """Its counts, as `close` makes them."""
    order = np.lexsort((events["event_us"], events["title_id"], events["profile_id"]))
    columns: dict[str, Any] = {name: of[order] for name, of in events.columns.items()}
    return count(Rows(**columns, devices=DEVICES, versions=VERSIONS), DAY_US)


def _times(rng: np.random.Generator, n: int, day: int, *, weekend: bool) -> np.ndarray:
    hours = np.arange(24)
    evening = np.exp(-(((hours - 20) % 24) ** 2) / 20) + np.exp(-(((20 - hours) % 24) ** 2) / 30)
    noon = np.exp(-((hours - (13 if weekend else 8)) ** 2) / 10)
    weight = 0.15 + evening + (0.8 if weekend else 0.5) * noon
    hour = rng.choice(24, n, p=weight / weight.sum())
    return (FIRST_DAY + day) * DAY_US + hour * HOUR_US + rng.integers(0, HOUR_US, n)
