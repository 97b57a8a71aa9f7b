"""The compiled flush is the plain one, byte for byte: drawn records, held blocks and replays."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.compiled import blocks
from impressions.compiled.blocks import Outcome
from impressions.core.rows import empty_rows
from impressions.formats import delta_block
from impressions.kafka.decoded_batch import decode
from speed.applying import slot_parts
from speed.applying.encoded_apply import apply_encoded
from speed.partitions.recent_slots import RecentSlots
from tests import summed_blocks
from tests.speed.records import record_bytes
from tests.speed.test_apply import NOW_MS, SPEC, records, stream_of
from tests.speed.test_slot_parts import hot_stream

pytest.importorskip("numba")
EPOCH, SEED = 7, 20261130


class Store:
    """The store of a partition; a block may be taken away, as where a flush was cut short."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.blocks.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.blocks.get(key) for key in keys]


class Side:
    """A partition in one of both forms."""

    def __init__(self, *, compiled: bool):
        self.store, self.compiled = Store(), compiled
        self.opened()

    def opened(self) -> None:
        """As after a start: nothing is in memory."""
        self.memory = RecentSlots(self.store, 0, SPEC, whole=not self.compiled)  # type: ignore[arg-type]

    def feed(self, stream, start: int, end: int, epoch: int = EPOCH) -> Outcome:
        ingest_ms = np.array([ms for ms, _ in stream[start:end]], np.int64)
        batch = decode([value for _, value in stream[start:end]], ingest_ms, 0, 1, SPEC)
        return apply_encoded(
            batch, np.arange(start, end), self.memory, epoch, SPEC, compiled=self.compiled
        )

    def keep(self, done: Outcome) -> None:
        self.store.blocks |= dict(zip(done.keys, done.values, strict=True))
        self.memory.put(done)


def changed(done: Outcome) -> list[tuple[object, ...]]:
    """The changed blocks, in the order of their keys."""
    return sorted(zip(done.keys, done.slots, done.parts, done.values, done.full, strict=True))


class Both:
    """Both forms side by side."""

    def __init__(self) -> None:
        self.sides = Side(compiled=False), Side(compiled=True)

    def feed(self, stream, start: int, end: int, epoch: int = EPOCH) -> Outcome:
        """What both did, which is the same."""
        plain, compiled = (side.feed(stream, start, end, epoch) for side in self.sides)
        assert compiled.counts == plain.counts
        assert changed(compiled) == changed(plain)
        for side, done in zip(self.sides, (plain, compiled), strict=True):
            side.keep(done)
        return compiled

    def forget(self, keys: Sequence[bytes]) -> None:
        """As where these blocks never reached the topic, and the worker starts again."""
        for side in self.sides:
            for key in keys:
                side.store.blocks.pop(key)
            side.opened()


@pytest.fixture
def small(monkeypatch):
    """Parts that are full after 10, 12, 14, .. impressions and flush ids, 20 at most."""
    monkeypatch.setattr(slot_parts, "FIRST_FULL_AT", 10)
    monkeypatch.setattr(slot_parts, "FULL_AT_GROWTH", 2)
    monkeypatch.setattr(slot_parts, "FULL_AT_MOST", 20)


def test_there_is_a_compiled_form_here():
    """Or everything below would compare the plain one with itself."""
    assert blocks.kernels() is not None


@settings(max_examples=80, deadline=None)
@given(records, st.data())
def test_any_split_with_any_replay_gives_the_same_bytes(drawn, data):
    stream, _ = stream_of(drawn)
    both, at = Both(), 0
    while at < len(stream):
        end = data.draw(st.integers(at + 1, len(stream)))
        both.feed(stream, at, end)
        again = both.feed(stream, data.draw(st.integers(0, end)), end)
        assert (again.applied, again.duplicate, again.keys) == (0, 0, [])
        at = end


@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
def test_slots_of_many_parts_give_the_same_bytes(small, seed):
    """Whichever of the changed parts were published, and after a start as well as before."""
    pick = random.Random(seed)
    stream, _ = hot_stream(pick, 60)
    both, at, lost = Both(), 0, 0
    while at < len(stream):
        end = min(len(stream), at + pick.randint(1, 25))
        done = both.feed(stream, at, end)
        new = [key for key, part in zip(done.keys, done.parts, strict=True) if part]
        gone = [key for key in new if pick.random() < 0.3]
        lost += len(gone)
        if gone or pick.random() < 0.2:
            both.forget(gone)
        both.feed(stream, at, end)
        at = end
    assert lost, "no part was lost"
    times_ms = [int.from_bytes(key[8:], "big") for key in both.sides[1].store.blocks]
    assert any(ms % SPEC.slot_ms > 1 for ms in times_ms), "some slot has three parts"


def big(pick: random.Random, flushes: int) -> bytes:
    """A record with values of any width."""

    def event():
        return {
            "title": pick.choice([pick.randint(0, 9), pick.randint(0, 2**55 - 1)]),
            "location": pick.randint(0, 255),
            "event_ms": NOW_MS - pick.choice([0, 3, 70_000, 10**7, 10**9, 10**10]),
            "played": pick.randint(0, 1),
            "dwell_s": pick.choice([0.0, 0.001, 0.25, 1.5, 70.0, 1e6, 1 / 3, 1e9]),
        }  # fmt: skip

    logs = [
        (pick.randint(1, 3), pick.randint(-(2**63), 2**63 - 1), [event() for _ in range(40)])
        for _ in range(flushes)
    ]
    return record_bytes(*((profile, log_id % 2**64, events) for profile, log_id, events in logs))


@pytest.mark.parametrize("seed", range(SEED, SEED + 6))
def test_columns_of_every_width_give_the_same_bytes(seed):
    """Titles of 55 bits, events of last year, thousandths and fractions that are none."""
    pick = random.Random(seed)
    stream = [(NOW_MS + i, big(pick, pick.randint(1, 3))) for i in range(8)]
    both = Both()
    for at in range(0, len(stream), 2):
        assert both.feed(stream, at, at + 2).applied


def test_a_new_epoch_goes_on_in_the_same_blocks():
    event = {"title": 7, "location": 0, "event_ms": NOW_MS, "played": 0, "dwell_s": 0.0}
    stream = [(NOW_MS, record_bytes((1, i, [event]))) for i in (1, 2, 3)]
    both = Both()
    both.feed(stream, 0, 3)
    done = both.feed([(NOW_MS, record_bytes((1, 3, [event]), (1, 4, [event])))], 0, 1, EPOCH + 1)
    assert (done.applied, done.duplicate, done.replayed) == (1, 1, 0)


def test_behind_a_block_of_version_2_begins_the_next_part():
    event = {"title": 7, "location": 0, "event_ms": NOW_MS, "played": 1, "dwell_s": 2.0}
    slot_ms = NOW_MS - NOW_MS % SPEC.slot_ms
    both = Both()
    for side in both.sides:
        side.store.blocks[delta_block.key(1, slot_ms)] = summed_blocks.encode(
            slot_ms, EPOCH, 50, np.array([3, 2**40 - 1]), empty_rows(SPEC), SPEC
        )
    done = both.feed([(NOW_MS, record_bytes((1, 2**40, [event])))] * 200, 100, 101)
    assert (done.parts, done.full) == ([1], [False])


def test_a_block_that_cannot_be_read_is_lost_and_said_to_be(caplog):
    event = {"title": 7, "location": 0, "event_ms": NOW_MS, "played": 1, "dwell_s": 2.0}
    slot_ms = NOW_MS - NOW_MS % SPEC.slot_ms
    both = Both()
    for side in both.sides:
        side.store.blocks[delta_block.key(1, slot_ms)] = b"not a block of ours" * 4
    assert both.feed([(NOW_MS, record_bytes((1, 9, [event])))], 0, 1).applied == 1
    assert [side.memory.damaged for side in both.sides] == [True, True]
    assert "block-lost" in caplog.text
