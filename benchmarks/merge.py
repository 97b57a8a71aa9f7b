"""Bytes of a profile to rows at a query time; peer: plain numpy on ready arrays; limit: memcpy.

Ours includes decoding, because that is what a read pays. The peer gets decoded float64 arrays. The
limit copies the stored bytes of the rows that answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np

from benchmarks.frame import Goal, Row, median_s, row
from benchmarks.peers import plain_merge
from benchmarks.world import CUTOVER_MS, QUERY_MS, SPEC, Profile, World, check, cycle
from impressions.compiled.profiles import merge_stored
from impressions.core import window
from impressions.core.decay import Float, shift_factors
from impressions.core.item import title_of
from impressions.core.merge import EVERYTHING, Selection
from impressions.core.rows import Rows
from impressions.formats import delta_block, profile_block
from impressions.formats.stored_profile import MergeStored
from tests.compare import as_dict

_PROFILES = 16


def run(world: World) -> Iterator[Row]:
    """Full and 200 titles, without and with the deltas of seven days."""
    profiles = world.profiles[:_PROFILES]
    _check(profiles[0])
    for titles, goal_us in (("full", 120.0), ("200 titles", 40.0)):
        for deltas in (False, True):
            chosen = titles != "full"
            taken_s = median_s(
                {
                    "ours": cycle([partial(ours, p, deltas, chosen) for p in profiles]),
                    "peer": cycle([_peer(p, deltas, chosen) for p in profiles]),
                    "limit": cycle([_copy(p, deltas, chosen) for p in profiles]),
                }
            )
            us = {name: seconds / len(profiles) * 1e6 for name, seconds in taken_s.items()}
            yield row(
                "merge",
                f"{titles}, {'7 deltas' if deltas else 'no deltas'}",
                us["ours"],
                "us/profile",
                peer=us["peer"],
                limit=us["limit"],
                goal=Goal("ours", "<=", goal_us),
            )


def ours(profile: Profile, with_deltas: bool, chosen: bool) -> Rows:
    """What a read does between the store and the projection."""
    selection = Selection(titles=profile.chosen) if chosen else EVERYTHING
    deltas = profile.deltas if with_deltas else ()
    return _merge()(QUERY_MS, CUTOVER_MS, profile.block, deltas, selection)


@cache
def _merge() -> MergeStored:
    return merge_stored(SPEC)


def _check(profile: Profile) -> None:
    for with_deltas in (False, True):
        expected = profile.oracle(1, with_week=with_deltas)
        check("merge", as_dict(1, ours(profile, with_deltas, False), SPEC), expected)
        chosen = set(profile.chosen.tolist())
        expected = {key: row for key, row in expected.items() if key[1] in chosen}
        check("merge, 200 titles", as_dict(1, ours(profile, with_deltas, True), SPEC), expected)
        for titles in (None, profile.chosen):
            rows = ours(profile, with_deltas, titles is not None)
            found = plain_merge.merge(*_parts(profile, with_deltas), titles)
            np.testing.assert_array_equal(found.keys, rows.items)
            np.testing.assert_allclose(found.numbers[3:], rows.sums.reshape(15, -1), rtol=1e-9)


def _peer(profile: Profile, with_deltas: bool, chosen: bool) -> Callable[[], object]:
    parts, factors = _parts(profile, with_deltas)
    return partial(plain_merge.merge, parts, factors, profile.chosen if chosen else None)


def _parts(profile: Profile, with_deltas: bool) -> tuple[list[plain_merge.Part], list[Float]]:
    """Ready arrays, the tail cut already, and the factors that move each to the query time."""
    block = profile_block.decode(profile.block, SPEC)
    rows = [block.rows(), block.tail_from(window.first_day(QUERY_MS, SPEC))]
    references_ms = [CUTOVER_MS, CUTOVER_MS]
    for data in profile.deltas if with_deltas else ():
        delta = delta_block.decode(data, SPEC)
        rows.append(delta.rows(SPEC))
        references_ms.append(delta.slot_start_ms)
    factors = [
        np.concatenate([np.ones(3), np.tile(shift_factors(ms, QUERY_MS, SPEC), 3)])
        for ms in references_ms
    ]
    return [plain_merge.part_of(part) for part in rows], factors


def _copy(profile: Profile, with_deltas: bool, chosen: bool) -> Callable[[], object]:
    data = profile.block + b"".join(profile.deltas if with_deltas else ())
    stored = np.frombuffer(data, np.uint8)
    if chosen:
        items = profile_block.decode(profile.block, SPEC).items()
        share = np.isin(title_of(items), profile.chosen).mean()
        stored = stored[: int(len(stored) * share)]
    return partial(np.copyto, np.empty_like(stored), stored)
