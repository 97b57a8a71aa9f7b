"""What a partition keeps of its blocks in memory is what its store holds, within a bound."""

from __future__ import annotations

import numpy as np
import pytest

from impressions.compiled.blocks import Outcome
from impressions.core.impressions import no_impressions
from impressions.core.spec import Spec
from impressions.formats import delta_block
from impressions.formats.delta_block import DeltaBlock
from speed.applying.slot_parts import full_at
from speed.partitions import recent_slots
from speed.partitions.recent_slots import RecentSlots
from tests.speed.test_encoded_apply import Store

SPEC = Spec()
SLOT = delta_block.key(1, 0)


def block(flush_ids: int) -> bytes:
    none = no_impressions(SPEC)
    return delta_block.encode(DeltaBlock(0, 1, 1, np.arange(flush_ids), none), SPEC)


def memory_of(store: Store, *, whole: bool = False) -> RecentSlots:
    return RecentSlots(store, 0, SPEC, whole)  # type: ignore[arg-type]


def outcome(slot: bytes, value: bytes, *, full: bool = False) -> Outcome:
    return Outcome([slot], [0], [slot], [value], [full], 1, 0, 0)


def test_a_slot_without_a_block_is_asked_for_once() -> None:
    store = Store()
    memory = memory_of(store)
    assert memory.chains([SLOT]) == [(b"",)]
    store.blocks[SLOT] = block(3)
    assert memory.chains([SLOT]) == [(b"",)], "nobody else writes"


def test_of_a_full_block_header_and_flush_ids_are_kept_and_of_an_open_one_all() -> None:
    store, full, opened = Store(), block(full_at(0)), block(3)
    store.blocks = {SLOT: full, delta_block.key(1, 1): opened}
    ids_end = delta_block.HEADER_BYTES + 8 * full_at(0)
    assert ids_end < len(full)
    assert memory_of(store).chains([SLOT]) == [(full[:ids_end], opened)]
    assert memory_of(store, whole=True).chains([SLOT]) == [(full, opened)]


def test_what_was_written_is_what_is_held() -> None:
    memory = memory_of(Store())
    memory.chains([SLOT])
    memory.put(outcome(SLOT, block(4)))
    assert memory.chains([SLOT]) == [(block(4),)]


def test_memory_is_bounded_and_what_was_dropped_is_loaded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_slots, "_MAX_BYTES", 2_000)
    store = Store()
    memory = memory_of(store)
    for profile in range(50):
        slot, value = delta_block.key(profile, 0), block(profile)
        memory.chains([slot])
        memory.put(outcome(slot, value))
        store.blocks[slot] = value
        assert memory.held_bytes < 3_000
    slots = [delta_block.key(profile, 0) for profile in range(50)]
    assert memory.chains(slots)[0] == (block(0),)
