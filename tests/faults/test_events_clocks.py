"""Clocks that are wrong: the broker's stamp alone decides who owns an event; it never goes back."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from impressions.clock import now_ms
from impressions.core.merge import merge
from impressions.deltas.store import PartitionState, open_primary
from impressions.formats import delta_block, heartbeat
from impressions.formats.heartbeat import FROM_THE_FIRST_MS, Heartbeat
from impressions.settings.model import Settings
from oracle import naive
from speed.applying.source_record import SourceRecord
from speed.partitions.partition import Partition
from tests.broker import stream_settings
from tests.compare import as_dict, differences
from tests.faults.stream import QUICK, SEED, assert_exact, wait_applied, workers
from tests.live import messages_of, until
from tests.speed.records import record_bytes
from tests.speed.traffic import Traffic
from tests.tolerance import FLOAT64

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
STALL_S = 6


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("skew_ms", [HOUR_MS, 30 * DAY_MS, 400 * DAY_MS])
def test_a_worker_whose_clock_is_wrong_either_way_counts_the_same(tmp_path, broker, skew_ms):
    """It never speaks of the future, sweeps nothing, and lives on when its clock steps back; a new
    host that copies the deltas afterwards has every event."""
    speed = QUICK | {"stall_s": STALL_S}
    settings = stream_settings(tmp_path, broker, partitions=1, slot_seconds=20, speed=speed)
    traffic, skew = Traffic(settings, SEED), tmp_path / "skew"
    with workers(settings, tmp_path) as start:
        traffic.send(100)
        traffic.flush()
        right = start().ready()
        wait_applied(right, settings)
        assert right.stop() == 0
        skew.write_text(str(skew_ms))
        worker = start(module="tests.faults.skewed_worker", SKEW_FILE=str(skew)).ready()
        traffic.send(100)
        traffic.flush()
        wait_applied(worker, settings)
        said = [beat.through_ms for beat in beats(settings)]
        until(lambda: through_of(settings) > max(said), "it says how far it is by the broker")
        partial = skew.with_suffix(".new")
        partial.write_text(str(-skew_ms))
        partial.rename(skew)
        stepped_s = time.monotonic()
        until(lambda: through_of(settings) < now_ms() - skew_ms // 2, "it claims no more than it")
        traffic.send(100)
        traffic.flush()
        assert_exact(settings, tmp_path, at_least=100)
        until(lambda: time.monotonic() - stepped_s > STALL_S + 2, "longer than it may stand still")
        assert worker.popen.poll() is None, "a clock that is behind is no standstill"
        assert all(beat.through_ms <= now_ms() for beat in beats(settings))
        assert_exact(settings, tmp_path, at_least=100)
        assert worker.stop() == 0


def beats(settings: Settings) -> list[Heartbeat]:
    """Every heartbeat in the topic, oldest first."""
    return [
        heartbeat.decode(message.value(), settings.spec)
        for message in messages_of(settings, settings.kafka.deltas_topic)
        if message.key() == heartbeat.KEY
    ]


def through_of(settings: Settings) -> int:
    """What the newest heartbeat claims."""
    return beats(settings)[-1].through_ms


@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_a_broker_whose_clock_steps_back_an_hour_moves_no_event(tmp_path, seed):
    """After a fail-over stamps are older than those before: the running maximum owns the events,
    in pieces of any size, and none weighs more than its age allows."""
    pick = random.Random(seed)
    settings = Settings(home=tmp_path, partitions=1, slot_seconds=20)
    stream, sent = stepping_stream(pick)
    assert sum(b < a for (a, _), (b, _) in pairwise(stream)) > 2, "steps back"
    store = open_primary(tmp_path / "store")
    store.write((), {0: PartitionState(bytes(16), 0, restoring=False)})
    first = Heartbeat(0, 1, 1, bytes(16), bytes(16), -1, 0, FROM_THE_FIRST_MS, FROM_THE_FIRST_MS)
    partition, at = Partition(settings, store, first), 0
    while at < len(stream):
        end = min(len(stream), at + pick.randint(1, 9))
        records = [SourceRecord(i, *stream[i]) for i in range(at, end)]
        flush = partition.prepare(records)
        assert flush.heartbeat.newest_ms >= partition.heartbeat.newest_ms
        partition.commit(flush, [(at, end)])
        at = end
    query_ms = max(ms for ms, _ in stream) + 10_000
    found, spec = {}, settings.spec
    for profile in (1, 2, 3):
        blocks = [delta_block.decode(data, spec) for data in store.blocks(profile)]
        rows = merge(query_ms, None, None, blocks, spec)
        assert (rows.sums <= rows.totals[:, None, :] * 2 ** (300 / 86_400)).all()
        found |= as_dict(profile, rows, spec)
    store.close()
    applied, _ = naive.accept(sent, spec.slot_ms)
    assert differences(found, naive.answers(applied, query_ms), FLOAT64) == []


def stepping_stream(pick: random.Random):
    """Records with stamps that step back now and then, and the oracle's logs."""
    stream, sent, append_ms, newest_ms = [], [], now_ms(), 0
    for i in range(120):
        append_ms += -HOUR_MS if i % 30 == 29 else pick.randint(0, 4_000)
        if i % 30 == 14:
            append_ms += HOUR_MS  # the old leader is back
        newest_ms = max(newest_ms, append_ms)
        event_ms = append_ms + pick.choice([0, -1000, -HOUR_MS, 2 * HOUR_MS, 200_000])
        event = {"title": 1, "location": 0, "event_ms": event_ms, "played": 1, "dwell_s": 2.0}
        profile, log_id = pick.randint(1, 3), pick.randint(1, 60)
        stream.append((append_ms, record_bytes((profile, log_id, [event]))))
        sent.append((profile, log_id, newest_ms, [event]))
    return stream, sent
