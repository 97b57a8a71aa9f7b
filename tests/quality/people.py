"""Traffic of a population, made to judge the judge: nothing of it was used to choose a bound.

The same people come again: some see ten times as much as others, in one to three sittings a day, in
three countries with clocks of their own, on a device, with an app that they update sooner or later.
Around them the year goes on: `Year` says what happens on which day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from batch.quality.counts import DAY_US, HOUR_US
from tests.quality.traffic import FIRST_DAY, VERSIONS, Events, Traffic

CLOCKS = (-5, 1, 9)  # hours from UTC of each country
LATEST = len(VERSIONS) - 1


@dataclass(frozen=True)
class Year:
    """What happens; days count from 0.

    Attributes:
        holidays: day -> countries in which it is like a Sunday.
        levels: day -> times the usual number of people.
        evenings: day -> times the usual events from 18 to 23 o'clock in the first country.
        dip: (first day, last day, part of the people who are away), with a fortnight of slope.
        daylight: the day on which two countries change their clocks by an hour.
        launch: (day, share of events that are of new titles from then on).
        releases: (day, speed) of the last app versions; at speed 8 most have it after four days.
    """

    holidays: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    levels: Mapping[int, float] = field(default_factory=dict)
    evenings: Mapping[int, float] = field(default_factory=dict)
    dip: tuple[int, int, float] = (0, 0, 0.0)
    daylight: int = 10**9
    launch: tuple[int, float] = (10**9, 0.0)
    releases: tuple[tuple[int, float], ...] = ((-90, 1.0), (-30, 1.0), (40, 1.0), (80, 8.0))


@dataclass(frozen=True)
class People(Traffic):
    """Attributes:
    year: what happens.   each: impressions of an ordinary person on a day.
    """

    year: Year = field(default_factory=Year)
    each: float = 12.0

    @cached_property
    def people(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, 1_000_003))
        n = int(self.impressions / self.each / 0.35)
        eager = np.clip(rng.lognormal(0, 0.8, n), 0.05, 6)
        device = rng.choice(4, n, p=[0.4, 0.08, 0.35, 0.17])
        return {
            "id": rng.permutation(n * 3)[:n].astype(np.int64),
            "eager": eager / eager.mean(),
            "country": rng.choice(3, n, p=[0.6, 0.3, 0.1]),
            "device": device,
            "waits": rng.exponential(8, n) / np.sqrt(eager),
            "never": rng.random(n) < 0.08,
            "plays": rng.beta(2, 6, n) * np.array([0.8, 1.1, 1.3, 0.9])[device],
            "dwell_s": rng.lognormal(1.2, 0.4, n) * np.array([0.8, 1.2, 1.6, 1.0])[device],
        }

    def events(self, day: int) -> Events:
        rng, of = np.random.default_rng((self.seed, day, 1_000_033)), self.people
        rest = np.isin(of["country"], self.year.holidays.get(day, ())) | (
            (FIRST_DAY + day + 3) % 7 >= 5
        )
        level = np.where(rest, 1.3, 1.0) * self._level(day) * rng.normal(1, 0.035)
        chance = np.clip(0.35 * np.sqrt(of["eager"]) * level**0.8, 0, 0.98)
        on = np.flatnonzero(rng.random(len(chance)) < chance)
        mean = self.each * np.sqrt(of["eager"][on]) * level[on] ** 0.2
        seen = 1 + rng.poisson(rng.gamma(1.2, mean / 1.2))
        who, hour = np.repeat(on, seen), self._hours(rng, rest[on], seen)
        if more := self.year.evenings.get(day, 1.0) - 1:
            late = np.flatnonzero((hour > 18) & (hour < 23) & (of["country"][who] == 0))
            again = np.repeat(late, rng.poisson(more, len(late)))
            guests = rng.integers(0, len(of["id"]), len(again) // 8 + 1)
            who = np.concatenate([who, guests[rng.integers(0, len(guests), len(again))]])
            hour = np.concatenate([hour, hour[again] + rng.normal(0, 0.2, len(again))])
        clock = np.array(CLOCKS)[of["country"][who]]
        clock = clock + (day >= self.year.daylight) * (of["country"][who] < 2)
        at_us = (FIRST_DAY + day) * DAY_US + ((hour - clock) % 24 * HOUR_US).astype(np.int64)
        return self._made(rng, day, who, at_us)

    def _made(
        self, rng: np.random.Generator, day: int, who: np.ndarray, at_us: np.ndarray
    ) -> Events:
        of, n = self.people, len(who)
        late = rng.random(n) < 0.015
        came = at_us + rng.exponential(4e6, n).astype(np.int64) + 1
        title = rng.zipf(1.25, n) % 4000
        title = np.where(title < 400, title, title + day // 7 * 150)
        first, share = self.year.launch
        fresh = (day >= first) & (rng.random(n) < share)
        version = self._versions(day)[who]
        return Events(
            {
                "profile_id": of["id"][who],
                "title_id": np.where(fresh, 10**7 + rng.integers(0, 800, n), title),
                "location": np.minimum(rng.geometric(0.32, n) - 1, 11),
                "event_us": at_us
                - late * (rng.exponential(5, n) * HOUR_US + HOUR_US).astype(np.int64),
                "ingest_us": came,
                "played": rng.random(n) < np.clip(of["plays"][who], 0, 1),
                "dwell_s": np.where(
                    rng.random(n) < 0.06, 0.0, rng.lognormal(0, 1, n) * of["dwell_s"][who]
                ),
                "duplicate": rng.random(n) < 0.006,
                "device": of["device"][who],
                "version": version,
            },
            {("phone", VERSIONS[int(version.max(initial=0))], "bad_dwell"): int(n * 0.003)},
        )

    def _level(self, day: int) -> float:
        first, last, away = self.year.dip
        inside = np.clip(min(day - first, last - day) / 14, 0, 1) if last else 0.0
        year = 1 + 0.12 * np.cos(2 * np.pi * (day - 15) / 365)
        usual = self.year.levels.get(day, 1.0) * self.growth ** (day / 7)
        return float(year * (1 - away * inside) * usual)

    def _versions(self, day: int) -> np.ndarray:
        """What each has installed, by the days it waits."""
        has = np.zeros(len(self.people["id"]), np.int64)
        for version, (released, speed) in enumerate(self.year.releases):
            took = (day - released) * speed >= self.people["waits"]
            has = np.where(took & (~self.people["never"] | (version == 0)), version, has)
        return has

    def _hours(self, rng: np.random.Generator, rest: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """(n,) local hours: up to three sittings a person, events close to each other in them."""
        hours = np.arange(24)
        work = 0.08 + np.exp(-((hours - 20.5) ** 2) / 6) + 0.35 * np.exp(-((hours - 8) ** 2) / 2)
        free = 0.1 + np.exp(-((hours - 20) ** 2) / 10) + 0.5 * np.exp(-((hours - 14) ** 2) / 14)
        drawn = [rng.choice(24, (3, len(rest)), p=of / of.sum()) for of in (work, free)]
        begins = np.where(rest, drawn[1], drawn[0]) + rng.random((3, len(rest)))
        sittings = np.repeat(rng.integers(1, 4, len(rest)), seen)
        person = np.repeat(np.arange(len(rest)), seen)
        which = rng.integers(0, 3, len(person)) % sittings
        return begins[which, person] + rng.exponential(0.15, len(person))


BUSY = Year(
    holidays={45: (0,), 73: (0, 1), 101: (0, 1, 2)},
    levels={96: 1.3, 97: 0.75, 98: 0.8, 103: 1.3, 104: 0.7},
    evenings={38: 3.0, 66: 2.5},
    dip=(100, 150, 0.25),
    daylight=87,
    launch=(60, 0.3),
)
"""Holidays in one country and in all, New Year, two great evenings, a dip, daylight saving, a
launch, a release that most have within four days."""
