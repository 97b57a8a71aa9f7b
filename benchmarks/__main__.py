"""`make bench [ONLY="name name"] [ROWS=n]`: run stages, print one table, write out/latest.json.

    python -m benchmarks --only merge          one stage, or several
    python -m benchmarks --rows 2000000        a smaller lake for compact, close, export and growth
    python -m benchmarks --quick               tiny data, to see that it runs: figures mean nothing

The table is standard output; what is under way goes to standard error, each row as soon as it is
known, and benchmarks/out/latest.json is written again with each. A stage has a time (STAGES); one
that takes four times as long is ended, and its rows so far are kept. Exits 1 when an answer differs
from the oracle's or a stage fails otherwise; the other stages still run. A goal that is not met is
a "no" in the table, not an error: what limits each stage stands in docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from benchmarks import cores
from benchmarks.frame import Row, TooLong
from benchmarks.world import World
from impressions.terminal.console import Table, emit, say

STAGES = {
    "start_up": 1, "merge": 0.5, "store": 0.5, "steps": 0.5, "read": 5, "read_cold": 3,
    "read_peers": 3, "load": 2, "size": 0.5, "speed": 6, "freshness": 2, "delta_topic": 1,
    "restore": 2, "land": 3,
    "compact": 8, "incremental": 4, "close": 4, "export": 3, "compact_growth": 6, "small_year": 2,
    "growth": 4,
}  # fmt: skip
"""Minutes of each on a quiet machine of two cores; the first batch stage makes the lake."""
_ENDED_AFTER, _LEAST_MINUTES = 4, 5
OUT = Path(__file__).parent / "out" / "latest.json"
SEED = 20_261_115
_BATCH_ROWS = 20_800_000  # the minutes of the batch stages are for so many
_SIZE_BYTES, _QUICK_BYTES = 300 << 20, 8 << 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=STAGES, nargs="+", help="these stages alone")
    parser.add_argument("--quick", action="store_true", help="tiny data; figures mean nothing")
    parser.add_argument("--rows", type=int, default=None, help="rows of the lake of batch stages")
    parser.add_argument("--seed", type=int, default=SEED)
    flags = parser.parse_args()
    started_s = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # processes and directories go with it
    names = flags.only or list(STAGES)
    minutes = sum(STAGES[name] for name in names)
    cores.pin(cores.CLIENT)
    say(f"bench: seed {flags.seed}, {cores.described()}, load {_load_average()}")
    say(f"bench: {len(names)} stages, some {minutes:g} minutes on a quiet machine of two cores")
    rows: list[Row] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="impressions-bench-") as home:
        size_bytes = _QUICK_BYTES if flags.quick else _SIZE_BYTES
        world = World(Path(home), flags.seed, size_bytes, raw_rows=flags.rows)
        for name in names:
            try:
                run_stage(name, world, rows)
            except (Exception, TooLong):
                failed.append(name)
                traceback.print_exc()
    emit(rows, json=False, table=table(rows))
    say(f"bench: {time.monotonic() - started_s:.0f} s, load {_load_average()}; {OUT} written")
    if failed:
        say(f"bench: failed, see above: {', '.join(failed)}")
    return 1 if failed else 0


def run_stage(name: str, world: World, rows: list[Row]) -> None:
    """Add the rows of one stage; its first line says what stands beside ours."""
    stage = import_module(f"benchmarks.{name}")
    say(f"bench: {name}: {(stage.__doc__ or '').strip().splitlines()[0]}")
    started_s = time.monotonic()
    with _ended_after(60 * max(_LEAST_MINUTES, _ENDED_AFTER * STAGES[name] * _larger(world))):
        for made in stage.run(world):
            rows.append(made)
            write(rows)
            say(f"bench: {name}: {described(made)}")
    say(f"bench: {name}: {time.monotonic() - started_s:.0f} s")


def _larger(world: World) -> float:
    """How many times the rows of the batch stages are what their minutes are for."""
    return max(1.0, (world.raw_rows or 0) / _BATCH_ROWS)


@contextlib.contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """Raise TooLong in what this thread does by then, where the system has an alarm."""

    def late(*_: object) -> None:
        raise TooLong(f"not done within {seconds:.0f} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def described(made: Row) -> str:
    """A row as one line of text."""
    ratios = [
        f"{short(ratio)} x {of} ({short(number)})"
        for of, number, ratio in (
            ("peer", made.peer, made.ratio_to_peer), ("limit", made.limit, made.ratio_to_limit),
        )
        if ratio is not None
    ]  # fmt: skip
    judged = "" if made.met is None else f"; {made.goal}: {'yes' if made.met else 'no'}"
    return ", ".join([f"{made.measure}: {short(made.ours)} {made.unit}", *ratios]) + judged


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
