"""Which profiles are compared: random ones, and those with the most rows.

Nothing is scanned: a generation may hold millions of profiles. A candidate is the profile at or
after a random key. Keys are drawn from the old generation, from the new one (for each a file by its
rows, then a key of its range) and from the copy of the deltas, because a profile may be missing in
any of them. Of the candidates the ones with the most rows are called active; no index says which
profiles of all are.

What is so small that drawing would read most of it is read as a whole instead: then all of its
profiles are candidates, and where no more than are wanted, nothing is left to chance. A key that
follows a large gap is drawn more often than others.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, islice, zip_longest
from random import Random

from impressions.core.item import MAX_PROFILE, profile_key, profile_of_key
from impressions.core.shard import shard_of
from impressions.deltas.store import DeltaStore
from impressions.formats import delta_block, profile_block
from impressions.formats.manifest import SstFile
from impressions.rocksdb.generation_store import GenerationStore

_CANDIDATES = 2
"""Keys drawn of each source for each profile that is to be compared."""
_BLOCKS_READ = 16
"""Blocks of a copy that are read, instead of drawing, for each key that would be drawn: a profile
has one for each slot in which it was seen, and a read of the next block is far less than a seek."""

Candidates = dict[int, int]
"""Profile -> its rows, as far as they were seen."""


def keys_to_draw(random_profiles: int, active_profiles: int) -> int:
    """Keys drawn for each shard from each source."""
    return _CANDIDATES * (random_profiles + active_profiles)


def chosen(
    candidates: Mapping[int, int], random_profiles: int, active_profiles: int, rng: Random
) -> list[int]:
    """The profiles to compare: the active and the random ones in turn, because time may run out."""
    by_rows = sorted(candidates, key=lambda profile: (-candidates[profile], profile))
    active, others = by_rows[:active_profiles], sorted(by_rows[active_profiles:])
    drawn = rng.sample(others, min(random_profiles, len(others)))
    pairs = chain.from_iterable(zip_longest(active, drawn))
    return [profile for profile in pairs if profile is not None]


def from_generation(
    store: GenerationStore, shard: int, files: Sequence[SstFile], keys: int, rng: Random
) -> Candidates:
    """Profiles of one shard.

    Args:
        files: those of this shard, as the manifest lists them.
        keys: how many to draw.

    Raises:
        CorruptData: a block cannot be read.
    """
    if sum(file.rows for file in files) <= keys:
        return _profiles(store.scan(shard))
    found: Candidates = {}
    for file in rng.choices(files, [file.rows for file in files], k=keys):
        at = rng.randint(int(file.min_key, 16), int(file.max_key, 16))
        found.update(_profiles(_first(store.scan(shard, profile_key(at)))))
    return found


def from_deltas(
    store: DeltaStore, shards: Iterable[int], partitions: int, keys: int, rng: Random
) -> dict[int, Candidates]:
    """Profiles of these shards in a copy of the deltas, by shard.

    Args:
        keys: how many to draw for each shard; of one copy, so that they fall to shards by chance.

    Raises:
        CorruptData, NotReady: see `DeltaTable`.
    """
    found: dict[int, Candidates] = {shard: {} for shard in shards}
    wanted = keys * len(found)
    with closing(store.scan()) as rows:
        first = list(islice(rows, _BLOCKS_READ * wanted + 1))
    if len(first) > _BLOCKS_READ * wanted:
        first = [row for at in _drawn(store, rng, wanted) for row in _first(store.scan(at))]
    for key, block in first:
        profile = profile_of_key(key[:8])
        of_shard = found.get(shard_of(profile, partitions))
        if of_shard is not None:
            of_shard[profile] = of_shard.get(profile, 0) + delta_block.row_count(block)
    return found


def _drawn(store: DeltaStore, rng: Random, keys: int) -> Iterator[bytes]:
    """Random keys between the first and the last profile of a copy."""
    low, high = _edge(store), _last_profile(store)
    for _ in range(keys):
        yield profile_key(rng.randint(low, high))


def _edge(store: DeltaStore) -> int:
    """The first profile of a copy that has one."""
    ((key, _),) = _first(store.scan())
    return profile_of_key(key[:8])


def _last_profile(store: DeltaStore) -> int:
    """The last profile of a copy, found by halving: a seek for each of 63 bits."""
    low, high = _edge(store), MAX_PROFILE
    while low < high:
        middle = (low + high + 1) // 2
        following = _first(store.scan(profile_key(middle)))
        if following:
            low = profile_of_key(following[0][0][:8])
        else:
            high = middle - 1
    return low


def _first(rows: Generator[tuple[bytes, bytes], None, None]) -> list[tuple[bytes, bytes]]:
    """The first row, or none."""
    with closing(rows):
        return list(islice(rows, 1))


def _profiles(rows: Iterable[tuple[bytes, bytes]]) -> Candidates:
    return {profile_of_key(key): profile_block.row_count(value) for key, value in rows}
