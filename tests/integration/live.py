"""A topic with logs in it, landing it, and what the oracle says must come of it.

Logs are those of oracle/naive.py without an ingest time: the broker gives it. `arrived` reads the
topic back from its first record, through the public wire classes and in arrival order per
partition, so the oracle sees what was sent and when, by way of no code under test.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from pyspark.sql import functions as F

from batch import close
from batch.closing.request import Request
from batch.jobs.tasks import Runner
from batch.lake import snapshots, tables
from batch.landing import round as landing
from batch.landing.job import Landing
from batch.landing.outcome import outcome_of
from batch.spark.session import spark_session
from impressions.clock import now_ms
from impressions.core.shard import shard_of
from impressions.core.slot import next_slot_ms
from impressions.core.spec import DAY_MS
from impressions.kafka.admin import connect
from impressions.settings.model import Settings
from impressions.terminal.report import Outcome, start_run
from impressions.v1.impression_record_pb2 import ImpressionLog, ImpressionRecord
from oracle import naive
from tests import patience
from tests.broker import TestBroker, stream_settings
from tests.context import local_context
from tests.integration.conftest import Lake

Sent = tuple[int, int, list[dict[str, Any]]]
"""(profile, log_id, impressions)."""


def live_lake(home: Path, broker: TestBroker, **sections: Any) -> Lake:
    """Four partitions, slots of a second, no clock margin: broker and lander share the clock."""
    land = {"clock_margin_s": 0} | sections.pop("land", {})
    spark = {
        "master": "local[2]", "driver_memory": "3g", "conf": {"spark.sql.shuffle.partitions": "2"}
    }  # fmt: skip
    sections = {"slot_seconds": 1, "land": land, "spark": spark} | sections
    settings = stream_settings(home, broker, partitions=4, **sections)
    return Lake(settings, spark_session(settings, "tests"))


def logs(seed: int, n: int, profiles: int = 20) -> list[Sent]:
    """Late, clamped and bad impressions, and resends."""
    pick = random.Random(seed)
    made: list[Sent] = []
    for log_id in range(seed * 100_000 + 1, seed * 100_000 + n + 1):
        log = (pick.randrange(profiles), log_id, _impressions(pick))
        made += [log] * pick.choice([1, 1, 1, 2])
    return made


def _impressions(pick: random.Random) -> list[dict[str, Any]]:
    made = []
    for _ in range(pick.randrange(1, 4)):
        age_ms = pick.choice([0, 7, 60_000, -240_000, -600_000, 40 * DAY_MS, 336 * DAY_MS])
        e = {
            "title": pick.randrange(1, 9),
            "location": pick.randrange(2),
            "event_ms": now_ms() - age_ms,
            "played": pick.randrange(2),
            "dwell_s": pick.randrange(4000) / 100,
        }
        bad = [{}, {"title": -3}, {"location": 256}, {"dwell_s": -1.0},
               {"event_ms": now_ms() - 338 * DAY_MS}]  # fmt: skip
        made.append(e | pick.choices(bad, [60, 1, 1, 1, 1])[0])
    return made


def send(lake: Lake, some: Iterable[Sent], per_record: int = 3) -> None:
    """Several logs of a partition per record, all delivered on return."""
    by_shard: dict[int, list[Sent]] = {}
    for log in some:
        by_shard.setdefault(shard_of(log[0], lake.settings.partitions), []).append(log)
    values = [
        (shard, ImpressionRecord(logs=map(wire, of_shard[i : i + per_record])).SerializeToString())
        for shard, of_shard in by_shard.items()
        for i in range(0, len(of_shard), per_record)
    ]
    send_bytes(lake.settings, values)


def send_bytes(settings: Settings, values: Iterable[tuple[int, bytes | None]]) -> None:
    """(partition, value) pairs, in order."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap, "linger.ms": 5})
    for partition, value in values:
        producer.produce(settings.kafka.topic, value, partition=partition)
    assert producer.flush(20) == 0


def wire(log: Sent) -> ImpressionLog:
    profile, log_id, impressions = log
    return ImpressionLog(
        log_id=log_id,
        profile_id=profile,
        title_ids=[e["title"] for e in impressions],
        locations=[e["location"] for e in impressions],
        event_time_ms=[e["event_ms"] for e in impressions],
        played=[bool(e["played"]) for e in impressions],
        dwell_s=[e["dwell_s"] for e in impressions],
    )


def arrived(settings: Settings) -> list[tuple[int, int, int, list[dict[str, Any]]]]:
    """Everything readable in the topic, as logs of oracle/naive.py."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap, "group.id": "oracle",
         "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )  # fmt: skip
    found: list[Any] = []
    for p in range(settings.partitions):
        first, end = consumer.get_watermark_offsets(TopicPartition(settings.kafka.topic, p))
        consumer.assign([TopicPartition(settings.kafka.topic, p, first)])
        at, newest_ms = first, 0
        while at < end:
            for message in consumer.consume(500, 1.0):
                at, newest_ms = message.offset() + 1, max(newest_ms, message.timestamp()[1])
                record = ImpressionRecord.FromString(message.value())
                found += [
                    (log.profile_id, log.log_id, newest_ms, _read(log)) for log in record.logs
                ]
    consumer.close()
    return found


def _read(log: ImpressionLog) -> list[dict[str, Any]]:
    columns = (log.title_ids, log.locations, log.event_time_ms, log.played, log.dwell_s)
    return [
        {"title": t, "location": x, "event_ms": ms, "played": int(p), "dwell_s": s}
        for t, x, ms, p, s in zip(*columns, strict=True)
    ]


def job_of(lake: Lake, **more: Any) -> Landing:
    clock = more.pop("clock", now_ms)
    run = more.pop("run", None) or start_run("land")
    return Landing(lake.settings, run, Runner(), clock, **more)


def land(lake: Lake, **more: Any) -> Outcome:
    """One round in this process."""
    return outcome_of(landing.land(job_of(lake, **more)))


def land_through(lake: Lake, time_ms: int) -> None:
    """Rounds until raw is valid through a time; the clock must pass it."""
    deadline_s = time.monotonic() + 30 * patience.FACTOR
    while landing.land(job_of(lake)).through_ms < time_ms:
        assert time.monotonic() < deadline_s, "raw did not become valid"


def next_slot(lake: Lake) -> int:
    """Waits until the next slot begins; returns its start."""
    edge_ms = next_slot_ms(now_ms(), lake.settings.spec)
    while now_ms() < edge_ms:
        time.sleep(0.01)
    return edge_ms


def raw_name(lake: Lake) -> str:
    return tables.full_name(lake.settings, tables.RAW)


def state(lake: Lake) -> snapshots.State:
    return snapshots.state(tables.find(lake.settings, tables.RAW))


def raw_rows(lake: Lake) -> Counter[tuple[Any, ...]]:
    """All rows, duplicates too: (profile, title, location, event ms, ingest ms, played, dwell)."""
    return _counted(lake, "true")


def counting(lake: Lake) -> Counter[tuple[Any, ...]]:
    """The rows that count, after close."""
    return _counted(lake, "duplicate = false")


def _counted(lake: Lake, where: str) -> Counter[tuple[Any, ...]]:
    rows = lake.spark.table(raw_name(lake)).where(where).select(
        "profile_id", "title_id", "location", F.unix_millis("event_time"),
        F.unix_millis("ingest_time"), F.col("played").cast("int"), "dwell_s",
    )  # fmt: skip
    return Counter(tuple(row) for row in rows.collect())


def expected_raw(logs: Sequence[Any]) -> Counter[tuple[Any, ...]]:
    """Every valid impression that arrived, each time it did."""
    return _keys(naive.accept([(p, None, ms, es) for p, _, ms, es in logs])[0])


def expected_counting(logs: Sequence[Any], slot_ms: int) -> Counter[tuple[Any, ...]]:
    return _keys(naive.accept(logs, slot_ms)[0])


def _keys(applied: Iterable[Any]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (p, e["title"], e["location"], e["event_ms"], ms, e["played"], e["dwell_s"])
        for p, e, ms in applied
    )


def rejected_places(lake: Lake) -> Counter[tuple[Any, ...]]:
    """(reason, partition, offset, log, impression) of the table of rejected rows."""
    rows = lake.spark.table(tables.full_name(lake.settings, tables.REJECTED)).select(
        "reason", "shard", "log_offset", "log_index", "impression"
    )
    return Counter(tuple(row) for row in rows.collect())


def close_all(lake: Lake) -> None:
    close.run_close(local_context(lake.settings, "close"), Request())


def delete_records(settings: Settings, before: dict[int, int]) -> None:
    """Lets retention run: partition -> first offset that stays."""
    places = [TopicPartition(settings.kafka.topic, p, offset) for p, offset in before.items()]
    with connect(settings) as admin:
        for future in admin.client.delete_records(places).values():
            future.result()


def recreate(settings: Settings) -> None:
    """Deletes the source topic and makes it again, with another id."""
    from impressions.kafka import topics

    old = topics.source_id(settings)
    with connect(settings) as admin:
        for future in admin.client.delete_topics([settings.kafka.topic]).values():
            future.result()
        deadline_s = time.monotonic() + 20 * patience.FACTOR
        while settings.kafka.topic in admin.names():
            assert time.monotonic() < deadline_s, "the topic does not go"
    topics.create(settings)
    assert topics.source_id(settings) != old
