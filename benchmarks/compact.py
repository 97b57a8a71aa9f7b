"""A year of raw to a generation, the whole job; peers: the aggregation alone of Spark and DuckDB.

Ours is the job as it ships, from the survey to the published generation with all audits, and once
more with the export in the same pass. Peers make the same sums of the same files into a sink that
keeps nothing, and Spark's scan of them is the limit. CPU counts first: of this process for ours, of
the JVM for Spark.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING

from batch.compact import compact as run_compact
from batch.compacting.job import Compacting
from batch.exporting.job import Exporting
from batch.lake import tables
from benchmarks import cores, jvm, lake
from benchmarks.compacting import Window, duckdb, in_spark, require_equal, window_of
from benchmarks.frame import Goal, Row, exponent, in_turns, row, timed_s
from benchmarks.lake import Lake
from benchmarks.peers import plain_spark_job
from benchmarks.peers.bare_scan import discard, scan
from benchmarks.peers.installed import PeerMissing
from benchmarks.world import CUTOVER_MS, SPEC, World
from impressions.terminal.console import say
from impressions.terminal.report import start_run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_RUNS = 3
_GROWTH = (16, 4, 1)
_numbers = count()


def run(world: World) -> Iterator[Row]:
    """The job beside limit and peers, then with the export, then its memory."""
    data = lake.lake_of(world)
    with cores.all_for_this():
        published(world)
        of = window_of(data)
        _check(data, of)
        yield from _compared(data, of)
        seconds, cpu_s = in_cpu(partial(compacted, data, exports=True))
    yield row("compact", "with the export in one pass", data.rows / seconds, "rows/s")
    yield row(
        "compact", "with the export in one pass, CPU", cpu_s / data.rows * 1e6, "us/row",
        goal=Goal("ours", "<=", 1.5),
    )  # fmt: skip
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    limit_mib = data.settings.compact.memory_mb
    yield row(
        "compact", "peak memory of this process; limit: compact.memory_mb", peak_mib, "MiB",
        limit=limit_mib,
    )  # fmt: skip


@cache
def published(world: World) -> None:
    """The generation of the lake, compacted by the job itself."""
    compacted(lake.lake_of(world))


def compacted(data: Lake, *, exports: bool = False) -> None:
    """The whole job, on a table of aggregates as it was before: without a generation."""
    table = tables.find(data.settings, tables.EMA)
    if table is not None:
        table.catalog.drop_table(table.name())
    target = data.settings.home_dir / f"exported-{next(_numbers)}"
    settings = data.settings.model_copy(update={"generations_uri": str(target)})
    this = start_run("compact")
    exporting = Exporting.of(settings, CUTOVER_MS, this) if exports else None
    run_compact(Compacting(settings, CUTOVER_MS, this), exporting)
    shutil.rmtree(target, ignore_errors=True)


def in_cpu(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process."""
    before_s = time.process_time()
    seconds = timed_s(work)
    return seconds, time.process_time() - before_s


def growth(world: World) -> Iterator[Row]:
    """The job at 1x, 4x and 16x the rows (and profiles), the largest the whole lake."""
    full = lake.lake_of(world)
    lakes = [full] + [lake.make(world, f"lake-{n}", full.rows // n) for n in _GROWTH[:-1]]
    with cores.all_for_this():
        works = {one.rows: partial(compacted, one) for one in lakes}
        for work in works.values():
            work()  # compiled, and its files in the page cache
        found = in_turns({str(rows): partial(timed_s, work) for rows, work in works.items()}, _RUNS)
    sizes = sorted(works)
    costs_s = [found[str(rows)] for rows in sizes]
    shown = " / ".join(f"{seconds:.3g}" for seconds in costs_s)
    measure = f"compact: {shown} s at {' / '.join(f'{rows / 1e6:.2g}' for rows in sizes)} M rows"
    slope = exponent(sizes, costs_s)
    yield row("growth", measure, slope, "exponent", goal=Goal("ours", "<=", 1.02))


def _compared(data: Lake, of: Window) -> Iterator[Row]:
    meter = jvm.Meter(data.spark)
    made = _plain(data, of)
    duck, ours_cpu_s = _duck(of), list[float]()

    def ours_s() -> float:
        seconds, cpu_s = in_cpu(partial(compacted, data))
        ours_cpu_s.append(cpu_s)
        return seconds

    works = {
        "scan": partial(meter.seconds, "scan", lambda: discard(scan(of.rows))),
        "ours": ours_s,
        "plain": partial(meter.seconds, "plain", lambda: discard(made)),
    } | ({"duckdb": duck} if duck else {})
    works["scan"]()  # compiled, and the files in the page cache
    seconds = in_turns(works, _RUNS)
    rate = {name: data.rows / s for name, s in seconds.items()}
    ours, what = rate["ours"], f"whole job, {data.rows / 1e6:.1f} M rows"
    yield row(
        "compact", f"{what}; limit: bare scan", ours, "rows/s", limit=rate["scan"],
        goal=Goal("ours", ">=", 1.5e6),
    )  # fmt: skip
    yield row(
        "compact", f"{what}; peer: Spark SQL, aggregation alone", ours, "rows/s",
        peer=rate["plain"], goal=Goal("ratio_to_peer", ">=", 4),
    )  # fmt: skip
    yield row(
        "compact", f"{what}; peer: DuckDB, aggregation alone", ours, "rows/s",
        peer=rate.get("duckdb"), goal=Goal("ratio_to_peer", ">=", 1.5),
    )  # fmt: skip
    us = {name: meter.cpu_s(name) / data.rows * 1e6 for name in meter.taken_s}
    yield row(
        "compact", "whole job, CPU; peer: Spark SQL, aggregation alone",
        min(ours_cpu_s) / data.rows * 1e6, "us/row", peer=us["plain"], limit=us["scan"],
        goal=Goal("ours", "<=", 1.2),
    )  # fmt: skip


def _plain(data: Lake, of: Window) -> DataFrame:
    plain = plain_spark_job.default_session(data.spark)
    return plain_spark_job.aggregate(plain, data.raw, CUTOVER_MS, SPEC)


def _check(data: Lake, of: Window) -> None:
    """Ours and the default job's sums are the oracle's."""
    ours = data.spark.table(data.ema)
    require_equal("compact", in_spark(ours, of.profiles), of.expected)
    require_equal("default Spark SQL", in_spark(_plain(data, of), of.profiles), of.expected)


def _duck(of: Window) -> Callable[[], float] | None:
    """A turn of DuckDB; None, and said why, where it cannot be had."""
    try:
        duckdb(of)
    except PeerMissing as error:
        say(f"bench: {error}")
        return None
    return lambda: float(duckdb(of)["seconds"])
