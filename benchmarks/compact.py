"""A year of raw to a generation; limit: Spark's bare scan; peers: default Spark SQL, DuckDB.

The aggregation alone, into a sink that keeps nothing, is what peers are compared with: each of them
makes the same sums of the same files. `whole` is the job as it ships, from the survey to the
published generation: aggregation, Iceberg write, all audits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING

from batch.compact import compact as run_compact
from batch.compacting.job import Compacting
from batch.rules.aggregate import aggregate, exchanges
from benchmarks import cores, jvm, lake
from benchmarks.compacting import Window, duckdb, in_spark, require_equal, window_of
from benchmarks.frame import Goal, Row, exponent, in_turns, row, timed_s
from benchmarks.lake import Lake
from benchmarks.peers import plain_spark_job
from benchmarks.peers.bare_scan import discard, scan
from benchmarks.peers.installed import PeerMissing
from benchmarks.world import CUTOVER_MS, SPEC, World
from impressions.formats.generation_paths import ref_name
from impressions.terminal.console import say
from impressions.terminal.report import start_run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_RUNS = 3
_GROWTH = (16, 4, 1)


def run(world: World) -> Iterator[Row]:
    """Rates of the aggregation against limit and peers, then the whole job and its memory."""
    data = lake.lake_of(world)
    with cores.all_for_this():
        of = window_of(data)
        yield from _aggregation(data, of)
        seconds, peak_bytes = published(world)
    yield row("compact", "whole job, with Iceberg write and audits", data.rows / seconds, "rows/s")
    yield row("compact", "whole job, peak memory of Spark's processes", peak_bytes / 2**20, "MiB")


@cache
def published(world: World) -> tuple[float, int]:
    """The generation of the lake, compacted by the job itself: seconds, and peak memory."""
    data = lake.lake_of(world)
    job = Compacting(data.settings, CUTOVER_MS, start_run("compact"))
    taken: list[float] = []
    peak = jvm.peak_rss_bytes(data.spark, lambda: taken.append(timed_s(lambda: run_compact(job))))
    return taken[0], peak


def growth(world: World) -> Iterator[Row]:
    """The aggregation at 1x, 4x and 16x the rows (and profiles), the largest the whole lake."""
    full = lake.lake_of(world)
    lakes = [full] + [lake.make(world, f"lake-{n}", full.rows // n) for n in _GROWTH[:-1]]
    with cores.all_for_this():
        works = {one.rows: _aggregating(window_of(one)) for one in lakes}
        for work in works.values():
            work()  # compiled, and its files in the page cache
        found = in_turns({str(rows): partial(timed_s, work) for rows, work in works.items()}, _RUNS)
    sizes = sorted(works)
    costs_s = [found[str(rows)] for rows in sizes]
    shown = " / ".join(f"{seconds:.3g}" for seconds in costs_s)
    measure = f"compact: {shown} s at {' / '.join(f'{rows / 1e6:.2g}' for rows in sizes)} M rows"
    slope = exponent(sizes, costs_s)
    yield row("growth", measure, slope, "exponent", goal=Goal("ours", "<=", 1.05))


def _aggregation(data: Lake, of: Window) -> Iterator[Row]:
    meter = jvm.Meter(data.spark)
    plain = plain_spark_job.default_session(data.spark)
    window = f"{data.raw}.branch_{ref_name('window', CUTOVER_MS)}"
    made = plain_spark_job.aggregate(plain, window, CUTOVER_MS, SPEC)
    _check(of, made)
    duck = _duck(of)

    works = {
        "scan": partial(meter.seconds, "scan", lambda: discard(scan(of.rows))),
        "ours": partial(meter.seconds, "ours", _aggregating(of)),
        "plain": partial(meter.seconds, "plain", lambda: discard(made)),
    } | ({"duckdb": duck} if duck else {})
    works["scan"](), works["ours"]()  # compiled, and the files in the page cache
    seconds = in_turns(works, _RUNS)
    rate = {name: data.rows / s for name, s in seconds.items()}
    ours, scanned = rate["ours"], rate["scan"]
    what = f"aggregate {data.rows / 1e6:.1f} M rows"
    goal = Goal("ratio_to_limit", ">=", 0.5)
    yield row("compact", f"{what}; limit: bare scan", ours, "rows/s", limit=scanned, goal=goal)
    yield row(
        "compact", f"{what}; peer: default Spark SQL", ours, "rows/s", peer=rate["plain"],
        goal=Goal("ratio_to_peer", ">=", 4),
    )  # fmt: skip
    yield row(
        "compact", f"{what}; peer: DuckDB", ours, "rows/s", peer=rate.get("duckdb"),
        goal=Goal("ratio_to_peer", ">=", 1),
    )  # fmt: skip
    cpu_us = {name: meter.cpu_s(name) / data.rows * 1e6 for name in meter.taken_s}
    yield row(
        "compact", "aggregate, CPU; peer: default Spark SQL", cpu_us["ours"], "us/row",
        peer=cpu_us["plain"], limit=cpu_us["scan"],
    )  # fmt: skip


def _aggregating(of: Window) -> Callable[[], None]:
    """Our aggregation of a window, as the job computes it, into no sink."""
    return lambda: discard(aggregate(of.rows, CUTOVER_MS, SPEC))


def _check(of: Window, plain: DataFrame) -> None:
    """Ours and the default job's sums are the oracle's, and ours are made without a shuffle."""
    ours = aggregate(of.rows, CUTOVER_MS, SPEC)
    if count := exchanges(ours):
        raise AssertionError(f"compact: the plan shuffles {count} times, expected 0")
    require_equal("compact", in_spark(ours, of.profiles), of.expected)
    require_equal("default Spark SQL", in_spark(plain, of.profiles), of.expected)


def _duck(of: Window) -> Callable[[], float] | None:
    """A turn of DuckDB; None, and said why, where it cannot be had."""
    try:
        duckdb(of)
    except PeerMissing as error:
        say(f"bench: {error}")
        return None
    return lambda: float(duckdb(of)["seconds"])
