"""The weekly job at 1x, 4x and 16x the rows and profiles, as the exponent of its CPU time; no peer.

The largest is the whole lake: `make bench ONLY=compact_growth ROWS=200000000` shows a large one,
and measures each size once instead of three times. compact and export are one pass, each turn in a
process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks import cores, lake
from benchmarks.compact_job import Job, compacted, measured
from benchmarks.frame import Goal, Row, exponent, row
from benchmarks.lake import Lake
from benchmarks.world import World
from impressions.terminal.console import say

_SHARES, _RUNS = (16, 4, 1), 3
_MANY_ROWS = 50_000_000


def run(world: World) -> Iterator[Row]:
    """The exponents of CPU and of time, then the memory of each size."""
    full = lake.lake_of(world)
    lakes = [lake.make(world, f"lake-{n}", full.rows // n) for n in _SHARES[:-1]] + [full]
    jobs: dict[int, list[Job]] = {one.rows: [] for one in lakes}
    with cores.all_for_this():
        for one in lakes:  # a first compact also counts the days for their quality, as close does
            compacted(one.settings)
        for one in lakes * (_RUNS if full.rows < _MANY_ROWS else 1):
            jobs[one.rows].append(_job(world, one))
    sizes = sorted(jobs)
    shown = " / ".join(f"{rows / 1e6:.3g}" for rows in sizes)
    cpu_us = [median(job.cpu_s for job in jobs[rows]) / rows * 1e6 for rows in sizes]
    costs = " / ".join(f"{each:.3g}" for each in cpu_us)
    cpu_s = [each * rows for each, rows in zip(cpu_us, sizes, strict=True)]
    yield row("growth", f"compact --export, CPU: {costs} us a row at {shown} M rows",
              exponent(sizes, cpu_s), "exponent", goal=Goal("ours", "<=", 1.02))  # fmt: skip
    taken_s = [median(job.seconds for job in jobs[rows]) for rows in sizes]
    costs = " / ".join(f"{each:.3g}" for each in taken_s)
    yield row("growth", f"compact --export: {costs} s at {shown} M rows",
              exponent(sizes, taken_s), "exponent", goal=Goal("ours", "<=", 1.02))  # fmt: skip
    peaks = " / ".join(f"{max(job.peak_mib for job in jobs[rows]):,.0f}" for rows in sizes[:-1])
    yield row("growth", f"compact --export, peak memory, after {peaks} MiB at {shown} M rows",
              max(job.peak_mib for job in jobs[sizes[-1]]), "MiB",
              limit=full.settings.compact.memory_mb)  # fmt: skip


def _job(world: World, one: Lake) -> Job:
    job = measured(world, one, exports=True)
    say(
        f"bench: growth: {one.rows / 1e6:.3g} M rows: {job.cpu_s:.1f} s of CPU, {job.seconds:.1f} s"
    )
    return job
