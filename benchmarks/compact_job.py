"""One compact as it ships: in this process, or in one of its own that says what it took.

    published, compacted     in this process, for stages that need the generation
    measured                 seconds, CPU and memory of a process that does nothing else

A process of its own because this one holds a Spark gateway, data and compiled code of other stages:
its memory says nothing of a compact. That process compacts a small lake first, which loads what is
loaded once, and then the one that counts.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from functools import cache
from itertools import count

from benchmarks import lake
from benchmarks import stream_processes as processes
from benchmarks.lake import Lake
from benchmarks.world import CUTOVER_MS, World
from impressions.settings.model import Settings

_numbers = count()
_WARM_ROWS = 50_000
_WITHIN_S = 3_600.0


@dataclass(frozen=True)
class Job:
    """What one compact took.

    Attributes:
        peak_mib: the most memory that its process ever had, libraries included.
    """

    seconds: float
    cpu_s: float
    peak_mib: float


@cache
def published(world: World) -> None:
    """The generation of the lake, compacted by the job itself."""
    compacted(lake.lake_of(world).settings)


def measured(
    world: World, data: Lake, *, exports: bool = False, memory_mb: int | None = None
) -> Job:
    """Compact this lake in a process of its own, with every core."""
    both = [_warm(world).settings, data.settings]
    if memory_mb is not None:
        of = both[1].compact.model_copy(update={"memory_mb": memory_mb})
        both[1] = both[1].model_copy(update={"compact": of})
    given = [json.dumps(one.model_dump(mode="json", exclude_defaults=True)) for one in both]
    home = world.home / f"compact-{next(_numbers)}"
    with processes.module(
        "benchmarks.compact_job", home, *given, "export" if exports else "", core=None
    ) as job:
        return Job(**job.line(_WITHIN_S))


@cache
def _warm(world: World) -> Lake:
    return lake.make(world, "warm", _WARM_ROWS)


def compacted(settings: Settings, *, exports: bool = False) -> tuple[float, float]:
    """The whole job on a table of aggregates as it was before, without a generation: seconds, and
    CPU seconds of this process."""
    from batch.compact import compact
    from batch.compacting.job import Compacting
    from batch.exporting.job import Exporting
    from batch.lake import tables
    from impressions.terminal.report import start_run

    table = tables.find(settings, tables.EMA)
    if table is not None:
        table.catalog.drop_table(table.name())
    target = settings.home_dir / f"exported-{next(_numbers)}"
    settings = settings.model_copy(update={"generations_uri": str(target)})
    this = start_run("compact")
    exporting = Exporting.of(settings, CUTOVER_MS, this) if exports else None
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    compact(Compacting(settings, CUTOVER_MS, this), exporting)
    took = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    shutil.rmtree(target, ignore_errors=True)
    return took


def main() -> None:
    """Two compacts; says what the second one took."""
    from tests.memory import peak_rss_bytes

    exports = bool(sys.argv[3])
    warm, settings = (Settings(**json.loads(text)) for text in sys.argv[1:3])
    compacted(warm, exports=exports)
    seconds, cpu_s = compacted(settings, exports=exports)
    said = {"seconds": seconds, "cpu_s": cpu_s, "peak_mib": peak_rss_bytes() / (1 << 20)}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
