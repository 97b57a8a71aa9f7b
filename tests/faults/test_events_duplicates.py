"""Logs sent again, in any order, whole partitions replayed: each counts once."""

from __future__ import annotations

import random
from itertools import groupby
from pathlib import Path

import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from impressions.clock import now_ms
from impressions.core.shard import shard_of
from impressions.kafka import client
from oracle import naive
from tests.broker import stream_settings
from tests.faults.size import scaled
from tests.faults.stream import QUICK, SEED, assert_exact, wait_applied, workers
from tests.live import everything_sent
from tests.speed.records import record_bytes
from tests.speed.test_apply import NOW_MS, SPEC, State
from tests.speed.test_apply import assert_exact as assert_state_exact

KUAIRAND = Path(__file__).parents[3] / "shared" / "data" / "kuairand" / "impressions.parquet"


@pytest.mark.slow
@pytest.mark.kafka
def test_natural_duplicates_and_a_replayed_partition_count_once(tmp_path, broker):
    """Each log sent one to three times, then all of partition 0 again, with clicks and time played
    that say different things where real exposures are there. Replays are known from resends by
    nothing: both are dropped."""
    settings = stream_settings(tmp_path, broker, partitions=2, speed=QUICK)
    pick, producer = random.Random(SEED), Producer(client.librdkafka(settings, linger_ms=5))
    logs = exposures(scaled(6_000, 228_329)) or generated(pick, scaled(6_000, 100_000))
    copies = [log for log in logs for _ in range(pick.choice([1, 1, 2, 3]))]
    for again in (copies, [log for log in logs if shard_of(log[0], 2) == 0]):
        by_shard = sorted(again, key=lambda log: shard_of(log[0], 2))
        for shard, group in groupby(by_shard, key=lambda log: shard_of(log[0], 2)):
            of_shard = list(group)
            for at in range(0, len(of_shard), 200):
                value = record_bytes(*of_shard[at : at + 200])
                producer.produce(settings.kafka.topic, value, partition=shard)
        assert producer.flush(60) == 0
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        wait_applied(worker, settings, 120)
        assert_exact(settings, tmp_path, at_least=1_000)
        counts = naive.accept(everything_sent(settings), settings.spec.slot_ms)[1]
        assert counts["duplicate"] > len(logs)
        for outcome, expected in counts.items():
            name = f'impressions_events_total{{layer="speed",outcome="{outcome}"'
            assert worker.metric(name) == expected


def exposures(rows: int) -> list[tuple]:
    """Logs of real exposures, the newest an hour old; one row of each natural duplicate differs in
    nothing that names its log. Empty where the data is absent."""
    if not KUAIRAND.exists():
        return []
    import pyarrow.parquet as pq

    table = pq.read_table(KUAIRAND).slice(0, rows).to_pylist()
    shift_ms = now_ms() - 3_600_000 - max(row["time_ms"] for row in table)
    named: dict[tuple, int] = {}
    out = []
    for row in table:
        name = (row["user_id"], row["video_id"], row["time_ms"])
        event = {
            "title": row["video_id"],
            "location": row["tab"],
            "event_ms": row["time_ms"] + shift_ms,
            "played": row["is_click"],
            "dwell_s": row["play_time_ms"] / 1000,
        }
        out.append((row["user_id"], named.setdefault(name, len(named) + 1), [event]))
    return out


def generated(pick: random.Random, logs: int) -> list[tuple]:
    return [(pick.randint(1, 500), i + 1, [an_event(pick)]) for i in range(logs)]


def an_event(pick: random.Random) -> dict:
    return {
        "title": pick.randint(1, 300),
        "location": 0,
        "event_ms": now_ms() - pick.randint(0, 10**9),
        "played": pick.randint(0, 1),
        "dwell_s": pick.random() * 60,
    }


events = st.fixed_dictionaries(
    {
        "title": st.integers(0, 3),
        "location": st.just(0),
        "event_ms": st.integers(NOW_MS - 340 * 86_400_000, NOW_MS + 10 * 86_400_000),
        "played": st.integers(0, 1),
        "dwell_s": st.sampled_from([0.0, 7.5, -1.0]),
    }
)
contents = st.lists(st.tuples(st.integers(1, 3), st.lists(events, max_size=3)), min_size=1)


@hypothesis_settings(max_examples=scaled(60, 2_000), deadline=None)
@given(contents, st.data())
def test_the_order_inside_a_slot_changes_neither_answers_nor_counts(drawn, data):
    """Any permutation of the logs of a slot, each one to three times: the same outcome counts, and
    what the oracle counts of each log once."""
    logs = [(profile, i + 1, found) for i, (profile, found) in enumerate(drawn)]
    sent = [log for log in logs for _ in range(data.draw(st.integers(1, 3)))]
    orders = [sent, data.draw(st.permutations(sent))]
    outcomes = []
    for order in orders:
        state = State()
        stream = [(NOW_MS, record_bytes(log)) for log in order]
        done, rejected = state.feed(stream, 0, len(stream))
        outcomes.append((done.applied, done.duplicate, rejected))
        applied, _ = naive.accept([(p, i, NOW_MS, found) for p, i, found in logs], SPEC.slot_ms)
        assert_state_exact(state, applied, NOW_MS + 2 * 86_400_000)
    assert outcomes[0] == outcomes[1]
