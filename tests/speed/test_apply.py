"""The pure core of the stream against the oracle: any order, any split, any replay."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.core.merge import merge
from impressions.core.rows import Rows
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import delta_block
from impressions.formats.delta_block import DeltaBlock
from impressions.kafka.decoded_batch import decode
from oracle import naive
from speed.applying.apply import apply
from tests.compare import as_dict, differences
from tests.speed.records import record_bytes
from tests.tolerance import FLOAT64

SPEC = Spec(slot_ms=3_600_000)
NOW_MS = 20_000 * DAY_MS + 5 * 3_600_000
EPOCH = 1

events = st.fixed_dictionaries(
    {
        "title": st.integers(0, 3),
        "location": st.integers(0, 1),
        "event_ms": st.integers(NOW_MS - 340 * DAY_MS, NOW_MS + 10 * DAY_MS),
        "played": st.integers(0, 1),
        "dwell_s": st.sampled_from([0.0, 0.25, 7.5, -1.0, 2e9]),
    }
)
logs = st.tuples(st.integers(1, 3), st.integers(1, 6), st.lists(events, max_size=3))
records = st.lists(
    st.tuples(st.integers(0, 2 * 3_600_000), st.lists(logs, min_size=1, max_size=3)), max_size=12
)


class State:
    """Blocks through their bytes, as the store keeps them."""

    def __init__(self):
        self.blocks: dict[tuple[int, int], bytes] = {}

    def held(self, key) -> DeltaBlock | None:
        data = self.blocks.get(key)
        return None if data is None else delta_block.decode(data, SPEC)

    def feed(self, stream, start: int, end: int):
        """Records [start, end) of [(ingest_ms, bytes), ...], which lie at offsets 0, 1, 2, ..."""
        ingest_ms = np.array([ms for ms, _ in stream[start:end]], np.int64)
        batch = decode([value for _, value in stream[start:end]], ingest_ms, 0, 1, SPEC)
        done = apply(batch, np.arange(start, end), self.held, EPOCH, SPEC)
        for key, block in done.blocks.items():
            self.blocks[key] = delta_block.encode(block, SPEC)
        rejected = int((batch.reason != 0).sum()) + len(batch.unreadable)
        assert batch.read == done.applied + done.duplicate + done.replayed + rejected
        return done, rejected

    def answer(self, profile: int, query_ms: int) -> Rows:
        blocks = [self.held(key) for key in self.blocks if key[0] == profile]
        return merge(query_ms, None, None, blocks, SPEC)


def stream_of(drawn):
    """Records in order of ingest, and the oracle's flushes."""
    stream, sent, ingest_ms = [], [], NOW_MS
    for gap_ms, of_record in drawn:
        ingest_ms += gap_ms
        stream.append((ingest_ms, record_bytes(*of_record)))
        sent += [(profile, log_id, ingest_ms, found) for profile, log_id, found in of_record]
    return stream, sent


def assert_exact(state: State, applied, query_ms: int):
    found = {}
    for profile in (1, 2, 3):
        found |= as_dict(profile, state.answer(profile, query_ms), SPEC)
    assert differences(found, naive.answers(applied, query_ms), FLOAT64) == []


@settings(max_examples=150, deadline=None)
@given(records, st.data())
def test_any_split_with_any_replay_gives_what_the_oracle_counts(drawn, data):
    """Batches end anywhere; after each the last few records may come again."""
    stream, sent = stream_of(drawn)
    state, counts, at = State(), {"applied": 0, "duplicate": 0, "rejected": 0}, 0
    while at < len(stream):
        end = data.draw(st.integers(at + 1, len(stream)))
        done, rejected = state.feed(stream, at, end)
        assert done.replayed == 0
        counts["applied"] += done.applied
        counts["duplicate"] += done.duplicate
        counts["rejected"] += rejected
        again, _ = state.feed(stream, data.draw(st.integers(0, end)), end)
        assert (again.applied, again.duplicate, again.blocks) == (0, 0, {})
        at = end
    applied, expected = naive.accept(sent, SPEC.slot_ms)
    assert counts == expected
    assert_exact(state, applied, NOW_MS + 2 * DAY_MS)


def test_a_flush_that_reached_some_keys_only_is_completed_by_its_replay():
    """Profile 1's block was published, profile 2's was not: the replay counts each once."""
    event = {"title": 7, "location": 0, "event_ms": NOW_MS, "played": 1, "dwell_s": 2.0}
    stream = [(NOW_MS, record_bytes((1, 11, [event]), (2, 22, [event])))]
    state = State()
    state.feed(stream, 0, 1)
    del state.blocks[2, NOW_MS]
    done, _ = state.feed(stream, 0, 1)
    assert (done.applied, done.replayed) == (1, 1)
    assert state.answer(1, NOW_MS).totals[0].tolist() == [1.0]
    assert state.answer(2, NOW_MS).totals[0].tolist() == [1.0]


def test_offsets_of_an_older_epoch_do_not_stop_a_newer_one():
    """A recreated topic begins at offset 0; what the old one counted stays, with its flush ids."""
    event = {"title": 7, "location": 0, "event_ms": NOW_MS, "played": 0, "dwell_s": 0.0}
    state = State()
    state.feed([(NOW_MS, record_bytes((1, i, [event]))) for i in (1, 2, 3)], 0, 3)
    batch = decode([record_bytes((1, 3, [event]), (1, 4, [event]))], np.array([NOW_MS]), 0, 1, SPEC)
    done = apply(batch, np.array([0]), state.held, EPOCH + 1, SPEC)
    assert (done.applied, done.duplicate) == (1, 1)
    (block,) = done.blocks.values()
    assert (block.epoch, block.offset, block.log_ids.tolist()) == (2, 0, [1, 2, 3, 4])
    assert len(block.impressions) == 4


def test_a_flush_seen_two_slots_ago_counts_again_and_a_chain_of_resends_does_not():
    """In slots 0, 1, 2 the last repeats the dropped one; in slots 0 and 2 it repeats nothing."""
    event = {"title": 7, "location": 0, "event_ms": NOW_MS, "played": 0, "dwell_s": 0.0}
    hour = SPEC.slot_ms
    value = record_bytes((1, 11, [event]))
    chain, gap = State(), State()
    done, _ = chain.feed([(NOW_MS + i * hour, value) for i in range(3)], 0, 3)
    assert (done.applied, done.duplicate) == (1, 2)
    done, _ = gap.feed([(NOW_MS, value), (NOW_MS + 2 * hour, value)], 0, 2)
    assert (done.applied, done.duplicate) == (2, 0)
