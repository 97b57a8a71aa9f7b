"""The comparison: a sample of each shard, each profile merged from both sides at one query time.

It takes `host.seam_max_s` at most, but one profile of every shard is compared whatever that takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import zip_longest
from random import Random

from impressions.clock import monotonic_s
from impressions.deltas.store import DeltaStore
from impressions.seam.comparable import Cut, Skip, cut_between, shard_skip
from impressions.seam.difference import differences
from impressions.seam.findings import Findings, Tally, not_compared
from impressions.seam.sample import chosen, from_deltas, from_generation, keys_to_draw
from impressions.seam.sides import (
    LoadedSide,
    Sides,
    Unreadable,
    deltas_of_host,
    stream_of,
    unreadable_as,
)
from impressions.settings.model import Settings


def compare(
    old: LoadedSide,
    new: LoadedSide,
    settings: Settings,
    now_ms: int,
    seed: int,
    timer_s: Callable[[], float] = monotonic_s,
) -> Findings:
    """Compare what this host answers with what it would answer after the swap.

    Args:
        now_ms: the wall clock; the query time is near it.
        seed: of the sample.
        timer_s: monotonic seconds.

    Raises:
        CorruptData: the new generation cannot be read.
        TooManyFiles: no descriptor is left.
    """
    begun_s = timer_s()
    names = (old.manifest.generation, new.manifest.generation)
    cut = cut_between(old.manifest, new.manifest, settings.spec, now_ms)
    if not settings.host.seam_random + settings.host.seam_active:
        cut = Skip("off", "host.seam_random and host.seam_active are 0")
    if isinstance(cut, Skip):
        return not_compared(*names, seed, cut, round(timer_s() - begun_s, 3))
    tally = Tally()
    try:
        with ExitStack() as stack:
            sides, shards = _open(old, new, cut, settings, tally, stack)
            if sides is not None:
                sample = _sample(sides, shards, settings, Random(seed))
                _compare(sides, sample, cut, begun_s + settings.host.seam_max_s, timer_s, tally)
    except Unreadable as error:
        tally.skipped.append(error.skip)
    return tally.findings(*names, cut.query_ms, seed, timer_s() - begun_s)


def _open(
    old: LoadedSide, new: LoadedSide, cut: Cut, settings: Settings, tally: Tally, stack: ExitStack
) -> tuple[Sides | None, tuple[int, ...]]:
    """Both sides, open, and the shards that can be compared."""
    deltas = stack.enter_context(deltas_of_host(settings))
    skips = {shard: _skip(old, deltas, shard, cut, settings) for shard in settings.host_shards}
    tally.skipped += [skip for skip in skips.values() if skip is not None]
    shards = tuple(shard for shard, skip in skips.items() if skip is None)
    if not shards:
        return None, ()
    with unreadable_as("old_unreadable"):
        old_store = stack.enter_context(old.opened(shards))
    new_store = stack.enter_context(new.opened(shards))
    return Sides(old, new, old_store, new_store, deltas, settings.spec), shards


def _skip(
    old: LoadedSide, deltas: DeltaStore, shard: int, cut: Cut, settings: Settings
) -> Skip | None:
    if shard not in old.shards:
        detail = f"generation {old.manifest.generation} was loaded without it"
        return Skip("old_lacks_shard", detail, (shard,))
    return shard_skip(shard, stream_of(deltas, shard, settings.spec), cut)


def _sample(
    sides: Sides, shards: tuple[int, ...], settings: Settings, rng: Random
) -> dict[int, list[int]]:
    """The profiles to compare, by shard."""
    host = settings.host
    keys = keys_to_draw(host.seam_random, host.seam_active)
    with unreadable_as("copy_unreadable"):
        candidates = from_deltas(sides.deltas, shards, settings.partitions, keys, rng)
    for shard, found in candidates.items():
        with unreadable_as("old_unreadable"):
            files = sides.old.manifest.of_shards((shard,))
            found.update(from_generation(sides.old_store, shard, files, keys, rng))
        files = sides.new.manifest.of_shards((shard,))
        found.update(from_generation(sides.new_store, shard, files, keys, rng))
    return {
        shard: chosen(found, host.seam_random, host.seam_active, rng)
        for shard, found in candidates.items()
    }


def _compare(
    sides: Sides,
    sample: dict[int, list[int]],
    cut: Cut,
    until_s: float,
    timer_s: Callable[[], float],
    tally: Tally,
) -> None:
    tally.planned = sum(map(len, sample.values()))
    for nth, shard, profile in _in_turn(sample):
        if nth and timer_s() > until_s:
            tally.skipped.append(Skip("out_of_time", "host.seam_max_s seconds have passed"))
            return
        try:
            old, new = sides.answers(shard, profile, cut)
        except Unreadable as error:
            tally.skipped.append(error.skip)
        else:
            tally.add(differences(profile, old, new, sides.spec))


def _in_turn(sample: dict[int, list[int]]) -> Iterator[tuple[int, int, int]]:
    """(n, shard, profile): the first profile of every shard (n = 0), then the second ones, and so
    on."""
    rounds = zip_longest(*([(shard, p) for p in profiles] for shard, profiles in sample.items()))
    for nth, of_round in enumerate(rounds):
        for place in of_round:
            if place is not None:
                yield nth, *place
