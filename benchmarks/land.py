"""The real land job from a real topic; limit: librdkafka that only decodes the same records.

One Spark session, as `impressions land --every` keeps it, lands twice: a small part, which warms it
up, then all the rest in one round. Steady is the second round, from asking the broker to the commit
in Iceberg; JVM start is not in it, another row has it. Spark is `local[*]` as it ships and may use
every core, so the limit does too: a process for each core, which share the partitions. CPU is that
of the JVM, its Python workers and the driver in the steady round; the limit's, of its consumers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import jvm
from benchmarks import stream_processes as processes
from benchmarks import stream_world as streams
from benchmarks.frame import Goal, Row, row
from benchmarks.world import World
from impressions.shell.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PROFILES, _LOGS_PER_RECORD = 6_000, 10
_WARM, _IMPRESSIONS = 50_000, 1_500_000
_QUICK_WARM, _QUICK = 1_000, 5_000
_CONSUMERS = 2
_ROUND_WITHIN_S = 180.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Decoded:
    """What the limit did: impressions per second, CPU time of one impression."""

    per_s: float
    cpu_us: float


def run(world: World) -> Iterator[Row]:
    """Impressions per second: the second round, and both with the start of Spark."""
    quick = world.is_quick
    warm, rest = (_QUICK_WARM, _QUICK) if quick else (_WARM, _IMPRESSIONS)
    traffic = streams.traffic(world.seed, warm + rest, streams.LOG, _PROFILES)
    records = streams.records(traffic, _LOGS_PER_RECORD)
    first = warm // (streams.LOG * _LOGS_PER_RECORD)
    landed_first = sum(record.impressions for record in records[:first])
    with streams.broker(world) as several:
        system = streams.fresh(several)
        streams.fill(system, system.kafka.topic, records[:first])
        started_s = time.perf_counter()
        go = system.home_dir / "go"
        told = json.dumps(system.model_dump(mode="json", exclude_defaults=True))
        with processes.module("benchmarks.land", system.home_dir, told, str(go), core=None) as job:
            _check(job.line(_ROUND_WITHIN_S), landed_first)
            started_s -= time.perf_counter()
            streams.fill(system, system.kafka.topic, records[first:])
            go.touch()
            started_s += time.perf_counter()
            steady = job.line(_ROUND_WITHIN_S)
            whole_s = time.perf_counter() - started_s
        _check(steady, traffic.impressions - landed_first)
        limit = _decode(system, traffic.impressions)
    steady_per_s = steady["landed"] / steady["seconds"]
    what = f"{steady['landed']:,} impressions, 100 a record"
    yield row("land", f"{what}, JVM running", steady_per_s, "impressions/s", limit=limit.per_s,
              goal=Goal("ratio_to_limit", ">=", 0.5))  # fmt: skip
    yield row("land", f"{what}, with JVM start and a warm-up round",
              traffic.impressions / whole_s, "impressions/s", limit=limit.per_s)  # fmt: skip
    cpu_us, jvm_us = (steady[name] / steady["landed"] * 1e6 for name in ("cpu_s", "jvm_cpu_s"))
    yield row("land", f"{what}, CPU", cpu_us, "us/impression", limit=limit.cpu_us)
    yield row("land", f"{what}, CPU, JVM alone", jvm_us, "us/impression")


def _check(told: dict[str, Any], impressions: int) -> None:
    """Everything landed, and the table's own sum says so."""
    wanted = {"landed": impressions, "rejected": 0, "in_table": told["before"] + impressions}
    if {name: told[name] for name in wanted} != wanted:
        raise AssertionError(f"land: {told}, expected {wanted}")


def _decode(system: Settings, impressions: int) -> Decoded:
    """Several bare consumers at the same time."""
    numbers = range(streams.PARTITIONS)
    with ExitStack() as stack:
        peers = []
        for i in range(_CONSUMERS):
            told = {
                "broker": system.kafka.bootstrap,
                "topic": system.kafka.topic,
                "numbers": list(numbers[i::_CONSUMERS]),
            }
            home = system.home_dir / f"bare-{i}"
            peers.append(
                stack.enter_context(processes.peer("bare_consumer", home, told, core=None))
            )
        said = [peer.line() for peer in peers]
    if sum(each["impressions"] for each in said) != impressions:
        raise AssertionError(f"land: the limit counted {said}, expected {impressions}")
    cpu_s = sum(each["cpu_s"] for each in said)
    return Decoded(impressions / max(each["seconds"] for each in said), cpu_s / impressions * 1e6)


def main() -> None:
    """Two rounds of `batch.landing.land` in one session, as `impressions land --every` has them."""
    from batch import tables
    from batch.land_job import Landing
    from batch.landing import land
    from batch.report import start_report
    from batch.session import using_spark
    from impressions.clock import now_ms

    settings, go = Settings(**json.loads(sys.argv[1])), Path(sys.argv[2])
    in_table = 0
    with using_spark(settings, "land") as spark:
        for after in (None, go):
            while after is not None and not after.exists():
                time.sleep(_POLL_S)
            started_s, before_s = time.perf_counter(), _cpu_s(spark)
            report = start_report("land", {})
            land(Landing(spark, settings, now_ms, report))
            seconds = time.perf_counter() - started_s
            spent_s = [now - then for now, then in zip(_cpu_s(spark), before_s, strict=True)]
            before, in_table = in_table, spark.table(tables.full_name(settings, tables.RAW)).count()
            counts = {name: report.counts[name] for name in ("landed", "rejected")}
            cpu = {"cpu_s": sum(spent_s), "jvm_cpu_s": spent_s[0]}
            told = {"seconds": seconds, "before": before, "in_table": in_table, **cpu, **counts}
            print(json.dumps(told), flush=True)


def _cpu_s(spark: SparkSession) -> tuple[float, float]:
    """CPU seconds of the JVM; of its Python workers and this process."""
    pid = jvm.pid_of(spark)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    alone_s = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return alone_s, jvm.cpu_s(pid) - alone_s + time.process_time()


if __name__ == "__main__":
    main()
