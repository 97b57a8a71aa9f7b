"""Anything may be in the topic: the worker stays up, says why of each, and counts the good ones."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from confluent_kafka import Producer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from impressions.clock import now_ms
from impressions.core.spec import DAY_MS
from impressions.kafka import client
from impressions.kafka.dead_letters import read_dead_letter
from impressions.v1.impression_record_pb2 import ImpressionLog, ImpressionRecord
from oracle import naive
from tests.broker import stream_settings
from tests.compare import differences
from tests.faults.size import scaled
from tests.faults.stream import QUICK, SEED, wait_applied, workers
from tests.live import caught_up, events_of, messages_of, stream_rows
from tests.memory import peak_rss_bytes
from tests.tolerance import FLOAT64

pytestmark = pytest.mark.kafka


def framed() -> type:
    """A record whose logs are bytes: protobuf finds them, and looks into none."""
    file = descriptor_pb2.FileDescriptorProto(name="framed.proto", syntax="proto3")
    field = file.message_type.add(name="Framed").field.add(name="logs", number=1)
    field.label, field.type = field.LABEL_REPEATED, field.TYPE_BYTES
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Framed"))


Framed = framed()
SHARD = {1: 0, 42: 0, 1000: 1}
"""Profile -> partition of two, by the vectors of docs/formats.md."""
NOW_MS = now_ms()

times = st.one_of(
    st.integers(NOW_MS - 340 * DAY_MS, NOW_MS + 30 * DAY_MS),
    st.sampled_from([0, 1, -1, -DAY_MS, NOW_MS + 30 * DAY_MS, -(1 << 63), (1 << 63) - 1]),
)
dwells = st.one_of(st.sampled_from([0.0, 1.5, -1.0, 86_400.0, 86_400.5]), st.floats(width=64))
impressions = st.tuples(
    st.sampled_from([0, 7, 8, 9, (1 << 55) - 1, 1 << 55, -1]),
    st.sampled_from([0, 1, 2, 255, 256, (1 << 32) - 1]),
    times,
    st.booleans(),
    dwells,
)
logs = st.tuples(
    st.sampled_from([1, 1, 42, 42, 1000, -5, None]),
    st.integers(0, 1 << 62),
    st.lists(impressions, max_size=4),
    st.integers(0, 3),
    st.sampled_from(["", "tv", "x" * 50_000]),
)


@st.composite
def values(draw) -> bytes | None:
    """A record that may be good, one with bytes thrown in or cut off, noise, or a tombstone."""
    record = ImpressionRecord(logs=[log_of(*log) for log in draw(st.lists(logs, max_size=3))])
    data = record.SerializeToString()
    at = draw(st.integers(0, len(data)))
    return draw(
        st.sampled_from(
            [data, data, data[:at], data[:at] + draw(st.binary(max_size=20)) + data[at:],
             draw(st.binary(max_size=300)), None]
        )
    )  # fmt: skip


GOOD = (7, 0, NOW_MS, True, 1.5)
ONE_OF_EACH = [  # of a log, or of its one impression
    (None, 1, [GOOD], 0, ""),
    (1, 0, [GOOD], 0, ""),
    (-5, 1, [GOOD], 0, ""),
    (1000, 1, [GOOD], 0, ""),
    (1, 2, [GOOD], 1, ""),
    (1, 3, [(-1, *GOOD[1:])], 0, ""),
    (1, 4, [(7, 256, *GOOD[2:])], 0, ""),
    (1, 5, [(*GOOD[:4], float("nan"))], 0, ""),
    (1, 6, [(7, 0, -(1 << 63), True, 1.5)], 0, ""),
    (1, 7, [(7, 0, (1 << 63) - 1, True, 1.5), GOOD], 0, ""),  # these two count, one clamped
]


def log_of(profile, log_id, events, dropped, device) -> ImpressionLog:
    """`dropped` of the last column's values are left out: columns of different length."""
    log = ImpressionLog(log_id=log_id)
    if profile is not None:
        log.profile_id = profile
    log.device.type = device
    for title, location, event_ms, played, dwell_s in events:
        log.title_ids.append(title)
        log.locations.append(location)
        log.event_time_ms.append(event_ms)
        log.played.append(played)
        log.dwell_s.append(dwell_s)
    del log.dwell_s[: dropped if dropped == 1 else 0]
    return log


@pytest.mark.slow
@pytest.mark.representative
def test_whatever_is_in_the_topic_the_worker_lives_and_names_it(tmp_path, broker):
    settings = stream_settings(tmp_path, broker, partitions=2, speed=QUICK)
    producer = Producer(client.librdkafka(settings))
    with workers(settings, tmp_path) as start:
        worker = start().ready()

        for log in ONE_OF_EACH:
            value = ImpressionRecord(logs=[log_of(*log)]).SerializeToString()
            producer.produce(settings.kafka.topic, value, partition=0)

        @seed(SEED)
        @hypothesis_settings(
            max_examples=scaled(8, 200),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(st.tuples(values(), st.integers(0, 1)), min_size=1, max_size=40))
        def sent(drawn):
            for value, partition in drawn:
                producer.produce(settings.kafka.topic, value, partition=partition)
            assert producer.flush(20) == 0
            wait_applied(worker, settings)
            assert worker.popen.poll() is None

        sent()
        sent, why = judged(settings)
        applied, counts = naive.accept(sent, settings.spec.slot_ms)
        outcome = 'impressions_events_total{layer="speed",outcome="%s"'
        for name in ("applied", "duplicate"):
            assert worker.metric(outcome % name) == counts[name]
        assert worker.metric(outcome % "rejected") == sum(why.values())
        assert dead_letters(settings) == why
        assert len(why) == len(ONE_OF_EACH) - 1, "each reason occurred"
        store = caught_up(settings, tmp_path)
        query_ms = now_ms()
        found = stream_rows(settings, store, set(SHARD), query_ms)
        store.close()
        assert differences(found, naive.answers(applied, query_ms), FLOAT64) == []
        assert "Traceback" not in worker.log


@pytest.mark.slow
def test_records_of_too_much_are_no_standstill(tmp_path, broker):
    """Very many bad logs: each becomes a dead letter, and the record is read once, not for each.
    More of one profile than a block may get at once: 50,000 count, the logs beyond do not."""
    bad = scaled(20_000, 100_000)
    settings = stream_settings(tmp_path, broker, partitions=2, speed=QUICK | {"stall_s": 30})
    producer = Producer(client.librdkafka(settings, message_max_bytes=8 << 20))
    much = [(title, *GOOD[1:]) for title in range(9_000)]
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        for logs in (
            [log_of(1, i + 1, [(-1, *GOOD[1:])], 0, "") for i in range(bad)],
            [log_of(42, i + 1, much, 0, "") for i in range(7)],
            [log_of(1, bad + 1, [GOOD], 0, "")],
        ):
            value = ImpressionRecord(logs=logs).SerializeToString()
            producer.produce(settings.kafka.topic, value, partition=0)
        assert producer.flush(30) == 0
        wait_applied(worker, settings)
        assert dead_letters(settings) == {"bad_title": bad, "too_large": 18_000}
        assert worker.metric('impressions_rejected_total{reason="too_large"}') == 18_000
        applied = 'impressions_events_total{layer="speed",outcome="applied"'
        assert worker.metric(applied) == 45_001
        assert worker.popen.poll() is None


def judged(settings):
    """The oracle's logs, and how many impressions (or unreadable things) have which reason."""
    sent, why, newest_ms = [], Counter(), {0: 0, 1: 0}
    for message in messages_of(settings, settings.kafka.topic):
        partition = message.partition()
        newest_ms[partition] = max(newest_ms[partition], message.timestamp()[1])
        try:
            assert message.value() is not None
            logs = [parsed(data) for data in Framed.FromString(message.value()).logs]
        except (DecodeError, AssertionError):
            why["undecodable"] += 1
            continue
        unreadable = sum(log is None or is_ragged(log) for log in logs)
        if unreadable * 36 > len(message.value()):  # they fit into no record
            why["undecodable"] += 1
            continue
        for log in logs:
            reason = "undecodable" if log is None else why_of_log(log, partition)
            if reason == "undecodable":
                why[reason] += 1
            elif reason:
                why[reason] += len(log.title_ids)
            else:
                events = events_of(log)
                why.update(filter(None, (why_of(e, newest_ms[partition]) for e in events)))
                sent.append((log.profile_id, log.log_id, newest_ms[partition], events))
    return sent, why


def parsed(data: bytes) -> ImpressionLog | None:
    try:
        return ImpressionLog.FromString(data)
    except DecodeError:
        return None


def is_ragged(log) -> bool:
    columns = (log.title_ids, log.locations, log.event_time_ms, log.played, log.dwell_s)
    optional = [len(c) for c in (log.rows, log.positions) if len(c)]
    return len({len(column) for column in columns} | set(optional)) > 1


def why_of_log(log, partition: int) -> str | None:
    if is_ragged(log):
        return "undecodable"
    if not log.HasField("profile_id"):
        return "missing_profile"
    if log.log_id == 0:
        return "missing_log_id"
    if log.profile_id < 0:
        return "bad_profile"
    return None if SHARD.get(log.profile_id) == partition else "wrong_partition"


def why_of(e, ingest_ms: int) -> str | None:
    if not 0 <= e["title"] < 1 << 55:
        return "bad_title"
    if e["location"] > 255:
        return "bad_location"
    if not 0 <= e["dwell_s"] <= 86_400:
        return "bad_dwell"
    return "out_of_window" if ingest_ms - e["event_ms"] > 337 * DAY_MS else None


def dead_letters(settings) -> Counter:
    """Reasons of the dead letters, as each one counts; one that stands twice counts once."""
    found = {}
    for message in messages_of(settings, settings.kafka.rejected_topic):
        dead_letter = read_dead_letter(message.value() or b"", message.headers())
        found[message.key()] = (
            dead_letter.reasons if dead_letter.impressions else dead_letter.reasons[:1]
        )
    return Counter(reason for reasons in found.values() for reason in reasons)


@pytest.mark.slow
@pytest.mark.alone
def test_a_few_kilobytes_that_become_very_much_are_rejected(tmp_path, broker):
    """A broker bounds records compressed. The worker lives, in bounded memory, goes on, and ends
    when it is asked to."""
    settings = stream_settings(tmp_path, broker, partitions=2, speed=QUICK | {"stall_s": 30})
    much = {"message.max.bytes": 100_000_000, "compression.type": "zstd"}
    producer = Producer(client.librdkafka(settings, **much))
    empty = b"\x0a\x00"
    values = [empty * (32 << 20), empty * (4 << 20), empty * 100_000, b"\x10\x00" * (4 << 20)]
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        for value in values:
            producer.produce(settings.kafka.topic, value, partition=0)
            assert producer.flush(60) == 0
        good = ImpressionRecord(logs=[log_of(1, 1, [GOOD], 0, "")]).SerializeToString()
        producer.produce(settings.kafka.topic, good, partition=0)
        assert producer.flush(30) == 0
        wait_applied(worker, settings)
        assert dead_letters(settings) == {"too_large": 2}
        assert worker.metric('impressions_rejected_total{reason="too_large"}') == 2
        assert worker.metric('impressions_events_total{layer="speed",outcome="applied"') == 1
        sizes = {
            read_dead_letter(m.value(), m.headers()).value_bytes
            for m in messages_of(settings, settings.kafka.rejected_topic)
        }
        assert sizes == {64 << 20, None}
        assert peak_rss_bytes(worker.popen.pid) < 1 << 30
        producer.produce(settings.kafka.topic, values[0], partition=0)
        assert producer.flush(60) == 0
        assert worker.stop() == 0


@pytest.mark.slow
@pytest.mark.alone
def test_a_backlog_that_compresses_a_thousandfold_is_unpacked_a_part_at_a_time(tmp_path, broker):
    """700 MiB of records that each may be looked into lie in one fetch of a few hundred KB: of the
    worker, and of the lander."""
    settings = stream_settings(tmp_path, broker, partitions=2, speed=QUICK | {"stall_s": 60})
    producer = Producer(
        client.librdkafka(settings, **{"message.max.bytes": 10_000_000, "compression.type": "zstd"})
    )
    no_logs = b"\x10\x00" * (7 << 19)
    for _ in range(100):
        producer.produce(settings.kafka.topic, no_logs, partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0
    good = ImpressionRecord(logs=[log_of(1, 1, [GOOD], 0, "")]).SerializeToString()
    producer.produce(settings.kafka.topic, good, partition=0)
    assert producer.flush(30) == 0
    with workers(settings, tmp_path) as start:
        worker = start().ready()
        wait_applied(worker, settings, deadline_s=180)
        assert worker.metric('impressions_events_total{layer="speed",outcome="applied"') == 1
        assert peak_rss_bytes(worker.popen.pid) < 512 << 20
        assert worker.stop() == 0
        lander = subprocess.run(
            [sys.executable, "-c", LAND_AND_SAY_PEAK, "--config", str(worker.config), "land"],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    assert int(lander.stdout.split()[-1]) < 1 << 30


LAND_AND_SAY_PEAK = """
import sys
from impressions.cli.main import build_app
from impressions.process.command import main
from tests.memory import peak_rss_bytes
code = main(build_app(), sys.argv[1:], prog="impressions")
print(peak_rss_bytes())
sys.exit(code)
"""
