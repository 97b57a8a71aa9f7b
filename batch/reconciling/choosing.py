"""Which profiles a round compares: those named, a random sample, or the next ones in turn.

A sample consists of runs: a place is drawn, in a shard and among the profiles of its files, and
the profiles from there on in the order of their keys. Neighbours lie in the same row groups, so a
run costs about as much as one profile.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from batch.lake.data_files import bound
from batch.reconciling.landed import LandedTable
from impressions.core.decay import Int
from impressions.core.item import MAX_PROFILE
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS

RUN = 25
"""Profiles of a run of a sample."""

Chosen = Mapping[int, Sequence[Int]]
"""Runs of profiles by shard."""


@dataclass(frozen=True)
class Place:
    """Where the next round begins: a shard, and the first profile of it."""

    shard: int = 0
    profile_id: int = 0


def named(profiles: Sequence[int], partitions: int) -> Chosen:
    """Those that a person names."""
    chosen: dict[int, list[Int]] = {}
    for profile in sorted(set(profiles)):
        chosen.setdefault(shard_of(profile, partitions), []).append(np.array([profile], np.int64))
    return chosen


def sampled(
    raw: LandedTable, shards: Sequence[int], n: int, seed: int, since_ms: int = 0
) -> Chosen:
    """About n profiles, the same for the same seed and table; fewer where there are fewer.

    Args:
        since_ms: only such that have events ingested since that slot.
    """
    rng, taken, chosen = random.Random(seed), set[int](), dict[int, list[Int]]()
    files = [
        (shard, file)
        for shard in shards
        for file in raw.files.get(shard, ())
        if file.slot_ms + DAY_MS > since_ms
    ]
    rows = [file.data.record_count for _, file in files]
    for _ in range(4 * (n // RUN + 1)):
        if len(taken) >= n or not files:
            break
        ((shard, file),) = rng.choices(files, rows)
        low, high = (bound(raw.table, file.data, "profile_id", upper=up) for up in (False, True))
        start = rng.randint(low or 0, MAX_PROFILE if high is None else high)
        run = raw.next_profiles(shard, start, min(RUN, n - len(taken)), since_ms)
        run = run[[profile not in taken for profile in run.tolist()]]
        if len(run):
            taken.update(run.tolist())
            chosen.setdefault(shard, []).append(run)
    return chosen


def next_in_turn(
    raw: LandedTable, shards: Sequence[int], place: Place, n: int
) -> tuple[Chosen, Place | None]:
    """The next profiles by shard and key, n or a few less, and where the round after this begins;
    None at the end of the last shard."""
    chosen: dict[int, list[Int]] = {}
    left, at = n, place
    while left > 0:
        shard = next((shard for shard in sorted(shards) if shard >= at.shard), None)
        if shard is None:
            return chosen, None
        start = at.profile_id if shard == at.shard else 0
        run = raw.next_profiles(shard, start, left)
        if not len(run):
            at = Place(shard + 1)
            continue
        chosen.setdefault(shard, []).append(run)
        left -= len(run)
        at = Place(shard, int(run[-1]) + 1)
    return chosen, at
