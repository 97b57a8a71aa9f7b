"""A year of raw to a generation, the whole job; peers: the aggregation alone of Spark and DuckDB.

Ours is the job as it ships, from the survey to the published generation with all audits, and once
more with the export in the same pass, each in a process of its own. Peers make the same sums of the
same files into a sink that keeps nothing, and Spark's scan of them is the limit. CPU counts first:
of the job's process for ours, of the JVM for Spark.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import compact_job, cores, jvm, lake
from benchmarks.compact_job import Job, measured
from benchmarks.compacting import Window, duckdb, in_spark, require_equal, window_of
from benchmarks.frame import Goal, Row, in_turns, or_nan, row
from benchmarks.lake import Lake
from benchmarks.peers import plain_spark_job
from benchmarks.peers.bare_scan import discard, scan
from benchmarks.world import CUTOVER_MS, SPEC, World
from impressions.terminal.console import say

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_RUNS = 3
_LITTLE_MIB = 256


def run(world: World) -> Iterator[Row]:
    """CPU and rate beside limit and peers, then with the export, then memory."""
    data = lake.lake_of(world)
    with cores.all_for_this():
        compact_job.published(world)
        of = window_of(data)
        require_equal("compact", in_spark(data.spark.table(data.ema), of.profiles), of.expected)
        say(f"bench: compact: {len(of.expected)} entries are the oracle's; measuring")
        yield from _beside(world, data, of)
        both = measured(world, data, exports=True)
        yield row("compact", "compact --export, one pass, CPU", both.cpu_s / data.rows * 1e6,
                  "us/row", goal=Goal("ours", "<=", 1.5))  # fmt: skip
        yield row("compact", "compact --export, one pass", data.rows / both.seconds, "rows/s")
        little = measured(world, data, exports=True, memory_mb=_LITTLE_MIB)
    for job, limit in ((both, data.settings.compact.memory_mb), (little, _LITTLE_MIB)):
        yield row("compact", f"compact --export, peak memory of its process at memory_mb = {limit}",
                  job.peak_mib, "MiB", limit=limit)  # fmt: skip
    yield row("compact", f"compact --export, CPU at memory_mb = {_LITTLE_MIB}; peer: by default",
              little.cpu_s / data.rows * 1e6, "us/row",
              peer=both.cpu_s / data.rows * 1e6)  # fmt: skip


def _beside(world: World, data: Lake, of: Window) -> Iterator[Row]:
    ours, spark, duck_cpu_s = list[Job](), _Spark(data, of), list[float]()

    def ours_s() -> float:
        ours.append(measured(world, data))
        return ours[-1].seconds

    def duck_s() -> float:
        answer = duckdb(of)
        duck_cpu_s.append(answer["cpu_s"])
        return float(answer["seconds"])

    works: dict[str, Callable[[], float]] = {
        "scan": or_nan("Spark's scan", spark.scan_s),
        "ours": ours_s,
        "plain": or_nan("plain Spark", spark.plain_s),
        "duckdb": or_nan("DuckDB", duck_s),
    }
    works["scan"]()  # compiled, and the files in the page cache
    seconds = in_turns(works, _RUNS)
    cpu_s = {
        "ours": statistics.median(job.cpu_s for job in ours),
        "scan": spark.meter.median_or_nan("scan"),
        "plain": spark.meter.median_or_nan("plain"),
        "duckdb": statistics.median(duck_cpu_s or [math.nan]),
    }
    us = {name: taken_s / data.rows * 1e6 for name, taken_s in cpu_s.items()}
    rate = {name: data.rows / taken_s for name, taken_s in seconds.items()}
    what = f"whole job, {data.rows / 1e6:.1f} M rows"
    yield row("compact", f"{what}, CPU; limit: Spark's bare scan", us["ours"], "us/row",
              limit=us["scan"], goal=Goal("ours", "<=", 1.2))  # fmt: skip
    for peer, name, times in (("plain", "Spark SQL", 4), ("duckdb", "DuckDB", 1.5)):
        yield row("compact", f"{what}, CPU; peer: {name}, aggregation alone", us["ours"], "us/row",
                  peer=us[peer])  # fmt: skip
        yield row("compact", f"{what}; peer: {name}, aggregation alone", rate["ours"], "rows/s",
                  peer=rate[peer], goal=Goal("ratio_to_peer", ">=", times))  # fmt: skip
    yield row("compact", f"{what}; limit: Spark's bare scan", rate["ours"], "rows/s",
              limit=rate["scan"], goal=Goal("ours", ">=", 1.5e6))  # fmt: skip


class _Spark:
    """Spark's two: its scan, and the aggregation one would write, checked before its first turn."""

    def __init__(self, data: Lake, of: Window):
        self.meter, self._data, self._of = jvm.Meter(data.spark), data, of
        self._made: DataFrame | None = None

    def scan_s(self) -> float:
        return self.meter.seconds("scan", lambda: discard(scan(self._of.rows)))

    def plain_s(self) -> float:
        if self._made is None:
            session = plain_spark_job.default_session(self._data.spark)
            made = plain_spark_job.aggregate(session, self._data.raw, CUTOVER_MS, SPEC)
            require_equal("Spark SQL", in_spark(made, self._of.profiles), self._of.expected)
            self._made = made
        return self.meter.seconds("plain", partial(discard, self._made))
