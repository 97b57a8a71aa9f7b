"""A slot that outgrows its block goes on in another: every answer stays what the oracle says."""

import random

import numpy as np
import pytest

from impressions.core.event import MAX_PROFILE_IMPRESSIONS
from impressions.core.impressions import Impressions
from impressions.core.item import MAX_TITLE
from impressions.formats import delta_block
from impressions.formats.delta_block import DeltaBlock
from impressions.kafka.topics import MAX_MESSAGE_BYTES
from oracle import naive
from speed.applying import slot_parts as parts
from tests import summed_blocks
from tests.blocks import prepare
from tests.speed.records import record_bytes
from tests.speed.test_apply import EPOCH, NOW_MS, SPEC, State, assert_exact

_SEED = 20261121


@pytest.fixture
def small(monkeypatch):
    """Blocks that are full after ten impressions and flush ids, each after one more."""
    monkeypatch.setattr(parts, "FIRST_FULL_AT", 10)
    monkeypatch.setattr(parts, "FULL_AT_GROWTH", 1)


def hot_stream(pick: random.Random, records: int):
    """Two profiles over three slots, a third of the flushes sent before."""
    stream, sent, ingest_ms = [], [], NOW_MS
    for _ in range(records):
        ingest_ms += pick.randint(0, 3 * SPEC.slot_ms // records)
        logs = []
        for _ in range(pick.randint(1, 3)):
            if sent and pick.random() < 0.3:
                profile, log_id, _, events = pick.choice(sent[-60:])
            else:
                profile, log_id = pick.randint(1, 2), pick.randint(1, 10_000)
                events = [event(pick) for _ in range(pick.randint(1, 6))]
            logs.append((profile, log_id, events))
        stream.append((ingest_ms, record_bytes(*logs)))
        sent += [(profile, log_id, ingest_ms, events) for profile, log_id, events in logs]
    return stream, sent


def event(pick):
    return {
        "title": pick.randint(0, 5), "location": 0, "event_ms": NOW_MS + pick.randint(0, 1000),
        "played": pick.randint(0, 1), "dwell_s": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(_SEED, _SEED + 8))
def test_any_split_gives_the_same_parts_and_what_the_oracle_counts(small, seed):
    pick = random.Random(seed)
    stream, sent = hot_stream(pick, 60)
    whole, pieces, at = State(), State(), 0
    whole.feed(stream, 0, len(stream))
    while at < len(stream):
        end = min(len(stream), at + pick.randint(1, 9))
        pieces.feed(stream, at, end)
        again, _ = pieces.feed(stream, pick.randint(0, at), end)
        assert (again.applied, again.duplicate, again.blocks) == (0, 0, {})
        at = end
    assert pieces.blocks == whole.blocks
    assert any(ms % SPEC.slot_ms > 1 for _, ms in whole.blocks), "some slot has three parts"
    assert_exact(whole, naive.accept(sent, SPEC.slot_ms)[0], NOW_MS + SPEC.slot_ms * 4)
    assert_exact(pieces, naive.accept(sent, SPEC.slot_ms)[0], NOW_MS + SPEC.slot_ms * 4)


@pytest.mark.parametrize("seed", range(_SEED, _SEED + 20))
def test_whichever_of_the_changed_parts_were_published_a_replay_completes_them(small, seed):
    """A flush of several parts was cut short; any of its blocks may be in the topic."""
    pick = random.Random(seed)
    stream, sent = hot_stream(pick, 60)
    state, at = State(), 0
    lost = 0
    while at < len(stream):
        end = min(len(stream), at + pick.randint(1, 25))
        before = dict(state.blocks)
        done, _ = state.feed(stream, at, end)
        for key in done.blocks:
            if pick.random() < 0.5:
                lost += 1
                del state.blocks[key]
                state.blocks |= {key: before[key]} if key in before else {}
        state.feed(stream, at, end)
        at = end
    assert lost > 5
    assert_exact(state, naive.accept(sent, SPEC.slot_ms)[0], NOW_MS + SPEC.slot_ms * 4)


def test_a_full_block_never_changes_again(small):
    """So a hot profile's flush writes what is new and one block, not all of its day."""
    pick, state = random.Random(_SEED), State()
    stream, _ = hot_stream(pick, 40)
    sealed: dict = {}
    for at in range(len(stream)):
        state.feed(stream, at, at + 1)
        assert sealed.items() <= state.blocks.items()
        for key, data in state.blocks.items():
            weight = parts.weight_of(delta_block.decode(data, SPEC))
            if weight >= parts.full_at(key[1] % SPEC.slot_ms):
                sealed[key] = data
    assert len(sealed) > 6


def test_the_largest_block_there_can_be_fits_one_message():
    """Almost full, then one record of as many titles as one profile may have; widest columns."""
    n = parts.full_at(1_000_000) - 1 + MAX_PROFILE_IMPRESSIONS
    noise = np.random.default_rng(_SEED)
    block = DeltaBlock(
        NOW_MS,
        1,
        1,
        np.arange(n, dtype=np.int64),
        Impressions(
            np.arange(n, dtype=np.int64) + (MAX_TITLE << 8) - n,
            NOW_MS - noise.integers(0, SPEC.max_late_ms, n),
            noise.random((len(SPEC.added_columns), n)),
        ),
    )
    assert len(delta_block.encode(block, SPEC)) < 0.75 * MAX_MESSAGE_BYTES


def test_parts_grow_so_that_a_bots_day_is_not_thousands_of_them():
    """A person's 130 impressions are 4 parts, a bot's ten million fewer than 1,600."""
    for weight, most in ((143, 4), (10_000, 47), (10_000_000, 1_600)):
        number = 0
        while (weight := weight - parts.full_at(number)) > 0:
            number += 1
        assert number < most
    assert parts.full_at(10**9) == parts.full_at(10**6)


def test_a_block_of_version_2_is_full():
    """A worker goes on in the next part; what the old block knows of device flushes stays known."""
    seen = {"title": 7, "location": 0, "event_ms": NOW_MS, "played": 0, "dwell_s": 0.0}
    before = prepare([seen], NOW_MS, SPEC)
    state = State()
    state.blocks[1, NOW_MS] = summed_blocks.encode(NOW_MS, EPOCH, 0, np.array([11]), before, SPEC)
    old = state.blocks[1, NOW_MS]
    stream = [(NOW_MS, record_bytes((1, log_id, [seen]))) for log_id in (11, 11, 12)]
    done, _ = state.feed(stream, 0, 3)
    assert (done.replayed, done.duplicate, done.applied) == (1, 1, 1)
    assert list(done.blocks) == [(1, NOW_MS + 1)]
    assert state.blocks[1, NOW_MS] == old
    assert state.answer(1, NOW_MS).totals[0].tolist() == [2.0]
