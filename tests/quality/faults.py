"""What goes wrong with a day's events: each fault of the list that the gate must know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from batch.quality.counts import DAY_US, HOUR_US
from tests.quality.traffic import DEVICES, VERSIONS, Events, Fault

TV, NEWEST = DEVICES.index("tv"), VERSIONS.index("8.14")


def missing(share: float) -> Fault:
    """Events of the last hours of the day are gone; 1: all of them."""

    def fault(events: Events, rng: np.random.Generator) -> Events:
        at = np.argsort(events["ingest_us"], kind="stable")
        kept = np.sort(at[: round(len(at) * (1 - share))])
        rejected = {} if share == 1 else events.rejected
        return replace(events.take(kept), rejected=rejected)

    return fault


def lost(share: float) -> Fault:
    """Events are gone at random, as when producers drop them."""
    return lambda events, rng: events.take(np.flatnonzero(rng.random(_n(events)) >= share))


def landed_twice(share: float = 1.0) -> Fault:
    """A part of the events comes again under new log ids: nothing marks it as a duplicate."""

    def fault(events: Events, rng: np.random.Generator) -> Events:
        again = np.flatnonzero(rng.random(_n(events)) < share)
        return events.take(np.concatenate([np.arange(_n(events)), again]))

    return fault


def titles_null(version: int = NEWEST) -> Fault:
    """An app version sends no titles: all its rows are rejected."""

    def fault(events: Events, rng: np.random.Generator) -> Events:
        bad = events["version"] == version
        rejected = dict(events.rejected)
        for device, name in enumerate(DEVICES):
            n = int((bad & (events["device"] == device)).sum())
            rejected[name, VERSIONS[version], "missing_title"] = n
        return replace(events.take(np.flatnonzero(~bad)), rejected=rejected)

    return fault


def plays_twice(device: int = TV) -> Fault:
    """A device type sends each impression that was played a second time, a second later."""

    def fault(events: Events, rng: np.random.Generator) -> Events:
        again = np.flatnonzero(events["played"] & (events["device"] == device))
        twice = events.take(np.concatenate([np.arange(_n(events)), again]))
        later = np.arange(_n(twice)) >= _n(events)
        return twice.having(event_us=twice["event_us"] + later * 1_000_000)

    return fault


def fewer_plays(share: float) -> Fault:
    """Plays of everybody are lost; 1: all of them."""
    return lambda events, rng: events.having(
        played=events["played"] & (rng.random(_n(events)) >= share)
    )


def dwell_times(factor: float, version: int = NEWEST) -> Fault:
    """An app version sends dwell in another unit; 1000: milliseconds."""
    return lambda events, rng: events.having(
        dwell_s=events["dwell_s"] * np.where(events["version"] == version, factor, 1.0)
    )


def dwell_of_all(factor: float) -> Fault:
    return lambda events, rng: events.having(dwell_s=events["dwell_s"] * factor)


def since(hour: int, fault: Fault) -> Fault:
    """The same from an hour of ingest on."""

    def later(events: Events, rng: np.random.Generator) -> Events:
        before = events["ingest_us"] % DAY_US < hour * HOUR_US
        bad = fault(events.take(np.flatnonzero(~before)), rng)
        good = events.take(np.flatnonzero(before))
        columns = {k: np.concatenate([good[k], bad[k]]) for k in events.columns}
        return replace(events, columns=columns, rejected=bad.rejected)

    return later


def clock_off(hours: float, device: int = TV) -> Fault:
    """The clock of a device type is behind (negative) or ahead; ahead, it is clamped to ingest."""

    def fault(events: Events, rng: np.random.Generator) -> Events:
        mine = events["device"] == device
        shifted = events["event_us"] + np.where(mine, int(hours * HOUR_US), 0)
        ahead = shifted > events["ingest_us"] + 300_000_000
        return events.having(event_us=np.where(ahead, events["ingest_us"], shifted))

    return fault


def locations_zero(share: float = 1.0) -> Fault:
    return lambda events, rng: events.having(
        location=np.where(rng.random(_n(events)) < share, 0, events["location"])
    )


def bot(share: float) -> Fault:
    """One profile has so much of all impressions."""

    def fault(events: Events, rng: np.random.Generator) -> Events:
        n = round(_n(events) * share / (1 - share))
        copies = events.take(rng.integers(0, _n(events), n))
        copies = copies.having(
            profile_id=np.full(n, 1 << 40), title_id=rng.integers(0, 3000, n),
            device=np.zeros(n, np.int64), version=np.ones(n, np.int64),
        )  # fmt: skip
        columns = {k: np.concatenate([events[k], copies[k]]) for k in events.columns}
        return replace(events, columns=columns)

    return fault


def new_titles(share: float = 1.0, version: int | None = None) -> Fault:
    """Titles of so many events, of one app version or of all, are numbers that never were, as after
    a wrong hash."""

    def fault(events: Events, rng: np.random.Generator) -> Events:
        mine = rng.random(_n(events)) < share
        if version is not None:
            mine &= events["version"] == version
        return events.having(title_id=events["title_id"] + mine * (1 << 30))

    return fault


def _n(events: Events) -> int:
    return len(events["profile_id"])


CASES = {
    "half a day is missing": (missing(0.5), ("all", "hours_moved")),
    "the last six hours are missing": (missing(0.25), ("all", "hours_moved")),
    "all titles null from one app version": (
        titles_null(), ("app_version=8.14", "share_rejected"),
    ),
    "plays fired twice by one device type": (
        plays_twice(), ("device_type=tv", "plays_per_impression"),
    ),
    "plays gone": (fewer_plays(1), ("all", "plays_per_impression")),
    "dwell in milliseconds": (dwell_times(1000), ("app_version=8.14", "dwell_median_s")),
    "a clock six hours behind": (clock_off(-6), ("device_type=tv", "hours_moved")),
    "a clock six hours ahead": (clock_off(6), ("device_type=tv", "share_clamped")),
    "locations all 0": (locations_zero(), ("all", "other_locations")),
    "a bot with a tenth": (
        bot(0.1), ("device_type=phone,app_version=8.12", "share_largest_profile"),
    ),
    "titles that never were": (new_titles(), ("all", "share_new_titles")),
    "titles that never were, from one app version": (
        new_titles(version=NEWEST), ("app_version=8.14", "share_new_titles"),
    ),
}  # fmt: skip
"""Each fault of a day, and the segment and the measure that say it of generated traffic."""
