"""`make bench [ONLY=name]`: run the stages, print one table, write benchmarks/out/latest.json.

    python -m benchmarks --only merge          one stage
    python -m benchmarks --quick               tiny data, to see that it runs: figures mean nothing

The table is standard output; what is under way goes to standard error. Exits 1 when an answer
differs from the oracle's or a stage fails otherwise; the other stages still run. A goal that is not
met is a "no" in the table, not an error: what limits each stage stands in docs/performance.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks import cores
from benchmarks.frame import Row
from benchmarks.world import World
from impressions.terminal.console import Table, emit, say

STAGES = (
    "start_up", "merge", "store", "steps", "read", "read_peers", "load", "size",
    "speed", "freshness", "restore", "land", "compact", "incremental", "close", "export", "growth",
)  # fmt: skip
OUT = Path(__file__).parent / "out" / "latest.json"
SEED = 20_261_115
_SIZE_BYTES, _QUICK_BYTES = 300 << 20, 8 << 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=STAGES, help="this stage alone")
    parser.add_argument("--quick", action="store_true", help="tiny data; figures mean nothing")
    parser.add_argument("--seed", type=int, default=SEED)
    flags = parser.parse_args()
    started_s = time.monotonic()
    cores.pin(cores.CLIENT)
    say(f"bench: seed {flags.seed}, {cores.described()}, load {_load_average()}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="impressions-bench-") as home:
        size_bytes = _QUICK_BYTES if flags.quick else _SIZE_BYTES
        world = World(Path(home), flags.seed, size_bytes)
        failed = []
        for name in (flags.only,) if flags.only else STAGES:
            try:
                rows += run_stage(name, world)
            except Exception:
                failed.append(name)
                traceback.print_exc()
            write(rows)
    emit(rows, json=False, table=table(rows))
    say(f"bench: {time.monotonic() - started_s:.0f} s, load {_load_average()}; {OUT} written")
    if failed:
        say(f"bench: failed, see above: {', '.join(failed)}")
    return 1 if failed else 0


def run_stage(name: str, world: World) -> list[Row]:
    """The rows of one stage; its first line says what stands beside ours."""
    stage = import_module(f"benchmarks.{name}")
    say(f"bench: {name}: {(stage.__doc__ or '').strip().splitlines()[0]}")
    started_s = time.monotonic()
    rows = list(stage.run(world))
    say(f"bench: {name}: {time.monotonic() - started_s:.0f} s")
    return rows


def write(rows: list[Row]) -> None:
    """The rows as a JSON list of objects, for whatever compares runs."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([dataclasses.asdict(row) for row in rows], indent=1)
    OUT.write_text(text + "\n")


def table(rows: list[Row]) -> Table:
    """The rows for people."""
    columns = ["stage", "measure", "ours", "unit", "peer", "limit", "/ peer", "/ limit", "goal"]
    cells = [
        [
            row.stage,
            row.measure,
            short(row.ours),
            row.unit,
            short(row.peer),
            short(row.limit),
            short(row.ratio_to_peer),
            short(row.ratio_to_limit),
            row.goal or "-",
            {True: "yes", False: "no", None: "-"}[row.met],
        ]
        for row in rows
    ]
    return Table([*columns, "met"], cells)


def short(number: float | None) -> str:
    """Three digits that matter."""
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _load_average() -> str:
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
