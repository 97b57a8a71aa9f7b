"""The weekly job of a small service, half a million rows a year in 64 shards; no peer.

What it costs is not its rows but its files: 366 days in 64 shards. The year is imported from a
Parquet file, as one would on the first day, then `impressions compact --export` runs as it is
typed. CPU is of the whole process, its start included.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import cores
from benchmarks import server as servers
from benchmarks.frame import Goal, Row, row
from benchmarks.world import CUTOVER_MS, World
from impressions.core.spec import DAY_MS
from impressions.terminal.console import say

_ROWS, _SHARDS, _DAYS = 500_000, 64, 366
_QUICK_ROWS, _QUICK_SHARDS, _QUICK_DAYS = 2_000, 4, 10
_EVENTS_OF_A_PROFILE = 135
_LATE_MS = 6 * DAY_MS
_DATE = "2026-11-15"  # CUTOVER_MS
_MAP = {
    name: name
    for name in (
        "profile_id", "title_id", "log_id", "location", "row", "position", "played", "dwell_s",
    )
} | {"event_time": "event_ms:ms", "ingest_time": "ingest_ms:ms"}  # fmt: skip


def run(world: World) -> Iterator[Row]:
    """CPU of the weekly job, then of the import before it."""
    quick = world.is_quick
    rows, shards, days = (
        (_QUICK_ROWS, _QUICK_SHARDS, _QUICK_DAYS) if quick else (_ROWS, _SHARDS, _DAYS)
    )
    home = world.home / "small-year"
    home.mkdir()
    file = home / "year.parquet"
    pq.write_table(_year(world.seed, rows, days), file)
    mapped = [part for to, of in _MAP.items() for part in ("--map", f"{to}={of}")]
    with cores.all_for_this():
        imported = ["land", "--from-files", str(file), *mapped, "--valid-through", _DATE]
        import_cpu_s, _ = _cpu_s(home, shards, *imported)
        say(f"bench: small_year: {_files(home)} files of raw made")
        cpu_s, seconds = _cpu_s(home, shards, "compact", "--logical-date", _DATE, "--export")
    what = f"{rows:,} rows, {days} days in {shards} shards"
    yield row("compact", f"small year, {what}: compact --export, CPU", cpu_s, "s",
              goal=Goal("ours", "<=", 20))  # fmt: skip
    yield row("compact", f"small year, {what}: compact --export", seconds, "s")
    yield row("land", f"small year, {what}: the import before, CPU", import_cpu_s, "s")


def _cpu_s(home: Path, shards: int, *command: str) -> tuple[float, float]:
    """CPU seconds, and seconds, of a command line."""
    line = [sys.executable, "-m", "impressions.cli.main", *command]
    line += ["--set", f"home={home / 'home'}", "--set", f"partitions={shards}"]
    log = home / "commands.log"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("ab") as out:
        began_s = time.perf_counter()
        done = subprocess.run(line, cwd=home, env=servers.environment(), stdout=out, stderr=out)
        seconds = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"small_year: {command[0]} failed: {log.read_text()[-1_000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, seconds


def _files(home: Path) -> int:
    return sum("raw" in str(path) for path in (home / "home").rglob("*.parquet"))


def _year(seed: int, rows: int, days: int) -> pa.Table:
    """Rows of so many days before the cutover, in no order."""
    rng = np.random.default_rng(seed)
    ingest_ms = rng.integers(CUTOVER_MS - days * DAY_MS, CUTOVER_MS, rows)
    return pa.table(
        {
            "profile_id": rng.integers(1, 2 + rows // _EVENTS_OF_A_PROFILE, rows),
            "title_id": rng.integers(1, 50_000, rows),
            "event_ms": ingest_ms - rng.integers(0, _LATE_MS, rows),
            "ingest_ms": ingest_ms,
            "log_id": rng.integers(1, 1 << 60, rows),
            "location": rng.integers(0, 40, rows),
            "row": rng.integers(0, 30, rows),
            "position": rng.integers(0, 20, rows),
            "played": rng.random(rows) < 0.1,
            "dwell_s": rng.integers(0, 30_000, rows) / 1_000,
        }
    )
