"""The real lander, from a topic and from files; limit: Arrow's sort and write of the same rows.

A process of its own lands one round, as `impressions land --every` does: broker asked, records
consumed, decoded, judged, sorted, written, offsets and rows committed. CPU is what that process
spent from the round's beginning to its end, whatever core it was on. A small round before it, of
another system, has loaded what is loaded once; its start has a row of its own. One impression in
fifty breaks the rule, so rejected rows are in it too. The limit reads the rows that were landed,
shuffles, sorts and writes them: no record is read, nothing is decoded, judged or committed.

Files: the same events as Parquet and as CSV, imported by a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from benchmarks import stream_processes as processes
from benchmarks import stream_world as streams
from benchmarks.frame import Goal, Row, row
from benchmarks.world import World
from impressions.clock import Clock, now_ms
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from tests.memory import peak_rss_bytes

_PROFILES = 6_000
_SIZES = {1: 100_000, 20: 600_000, 100: 1_500_000}  # impressions a record -> impressions
_FILE_ROWS = 4_000_000
_QUICK = 5_000
_ROUND_WITHIN_S = 300.0
_BAD = 50  # one impression in so many
_GOALS = {1: 7.0, 100: 1.5}


def run(world: World) -> Iterator[Row]:
    """CPU of an impression by size of the records; rows a second from files."""
    with streams.broker(world) as several:
        small = streams.fresh(several)
        few = streams.traffic(world.seed, _QUICK, streams.LOG, _PROFILES)
        streams.fill(small, small.kafka.topic, streams.records(few, 1))
        for each, impressions in _SIZES.items():
            size = _QUICK if world.is_quick else impressions
            yield from _from_topic(world, streams.fresh(several), small, each, size)
    yield from _from_files(world, _QUICK if world.is_quick else _FILE_ROWS)


def _from_topic(
    world: World, system: Settings, small: Settings, each: int, size: int
) -> Iterator[Row]:
    log = min(each, streams.LOG)
    traffic = streams.traffic(world.seed, size, log, _PROFILES)
    bad = np.random.default_rng(world.seed).random(traffic.titles.shape) < 1 / _BAD
    traffic.titles[bad] = -1
    streams.fill(system, system.kafka.topic, streams.records(traffic, each // log))
    warm = small.model_copy(update={"home": world.home / f"warm-{each}"})
    measured = _measured(system, warm, None)
    expected = {"read": traffic.impressions, "rejected": int(bad.sum())}
    if {name: measured[name] for name in expected} != expected:
        raise AssertionError(f"land: {measured}, expected {expected}")
    what = f"{each} a record, {traffic.impressions:,} impressions"
    cpu_us, landed = (
        measured["cpu_s"] / measured["read"] * 1e6,
        measured["read"] - measured["rejected"],
    )
    limit_us = _sort_and_write_s(world, _landed_files(system)) / landed * 1e6
    goal = Goal("ours", "<=", _GOALS[each]) if each in _GOALS else None
    yield row("land", f"{what}, CPU", cpu_us, "us/impression", limit=limit_us, goal=goal)
    yield row("land", f"{what}, rate", measured["read"] / measured["seconds"], "impressions/s")
    if each == max(_SIZES):
        yield row("land", f"{what}, peak memory", measured["peak_mb"], "MB")
        yield row("land", "ready: the broker is asked, after start", measured["ready_s"], "s",
                  goal=Goal("ours", "<=", 1.0))  # fmt: skip


def _from_files(world: World, rows: int) -> Iterator[Row]:
    table = _events(world.seed, rows)
    files = streams.empty_dir(world.home / "files")
    pq.write_table(table, files / "e.parquet", row_group_size=1 << 18)
    small = table.slice(0, max(1, rows // 4))
    pa_csv.write_csv(small, files / "e.csv")
    for name, count, least in (("e.parquet", rows, 1.0e6), ("e.csv", small.num_rows, 0.3e6)):
        settings = Settings(home=world.home / f"import-{name}", partitions=streams.PARTITIONS)
        warm = settings.model_copy(update={"home": world.home / f"warm-{name}"})
        measured = _measured(settings, warm, str(files / name))
        if measured["read"] != count or measured["rejected"]:
            raise AssertionError(f"land: {measured}, expected {count} rows")
        limit_s = _sort_and_write_s(world, _landed_files(settings))
        what = f"{name.partition('.')[2]} file, {count:,} rows"
        yield row("land", f"{what}, of one core", count / measured["cpu_s"], "rows/s",
                  limit=count / limit_s, goal=Goal("ours", ">=", least))  # fmt: skip
        yield row("land", f"{what}, peak memory", measured["peak_mb"], "MB")


def _events(seed: int, rows: int) -> pa.Table:
    """A month of history, in the order of time: what an export of a warehouse looks like."""
    rng = np.random.default_rng(seed)
    last_ms = now_ms() // DAY_MS * DAY_MS
    at = np.sort(rng.integers(last_ms - 30 * DAY_MS, last_ms, rows))
    return pa.table(
        {
            "user": rng.integers(0, _PROFILES, rows),
            "video": rng.integers(1, 20_000, rows),
            "shown_ms": at - rng.integers(0, 3_600_000, rows),
            "got_ms": at,
            "place": rng.integers(0, 40, rows),
            "clicked": rng.integers(0, 2, rows),
            "watched_ms": rng.integers(0, 60_000, rows),
            "note": pa.array(["x"] * rows),
        }
    )


_MAP = (
    "profile_id=user", "title_id=video", "event_time=shown_ms:ms", "ingest_time=got_ms:ms",
    "location=place", "played=clicked", "dwell_s=watched_ms:ms",
)  # fmt: skip


def _landed_files(settings: Settings) -> list[pa.Table]:
    """The rows of each data file of raw, in another order than its own."""
    from batch.lake import locations, snapshots, tables
    from batch.lake.data_files import live_files

    raw = tables.require(settings, tables.RAW, hint="")
    found, rng = [], np.random.default_rng(1)
    for file in live_files(raw, snapshots.main_id(raw)):
        rows = pq.ParquetFile(locations.local_path(file.path)).read()
        found.append(rows.take(pa.array(rng.permutation(rows.num_rows))))
    return found


def _sort_and_write_s(world: World, files: Sequence[pa.Table]) -> float:
    """CPU seconds of Arrow's own sort and write of the same files, on one core."""
    target = streams.empty_dir(world.home / "limit")
    order = [(name, "ascending") for name in ("profile_id", "title_id", "event_time")]
    started_s = time.process_time()
    for n, rows in enumerate(files):
        pq.write_table(rows.sort_by(order), target / f"{n}.parquet", compression="zstd")
    return time.process_time() - started_s


def _measured(settings: Settings, warm: Settings, file: str | None) -> dict[str, Any]:
    """What a process of its own says of one round, after one of `warm`."""
    given = [
        json.dumps(one.model_dump(mode="json", exclude_defaults=True)) for one in (warm, settings)
    ]
    started_s = time.time()
    with processes.module(
        "benchmarks.land", settings.home_dir, *given, file or "", core=None
    ) as job:
        measured: dict[str, Any] = job.line(_ROUND_WITHIN_S)
    return measured | {"ready_s": measured["asked_s"] - started_s}


def main() -> None:
    """Two landings, as `impressions land --every` has them; the second one counts."""
    warm, settings = (Settings(**json.loads(text)) for text in sys.argv[1:3])
    asked_s: list[float] = []

    def clock() -> int:
        asked_s.append(time.time())
        return now_ms()

    _round(warm, sys.argv[3], clock)
    began_cpu_s, clock_s = time.process_time(), time.perf_counter()
    counts = _round(settings, sys.argv[3], clock)
    measured = {
        "asked_s": asked_s[0],
        "seconds": time.perf_counter() - clock_s,
        "cpu_s": time.process_time() - began_cpu_s,
        "peak_mb": peak_rss_bytes() / (1 << 20),
        **{name: counts[name] for name in ("read", "rejected")},
    }
    print(json.dumps(measured), flush=True)


def _round(settings: Settings, file: str, clock: Clock) -> dict[str, int]:
    from batch.jobs.tasks import Runner
    from impressions.terminal.report import start_run

    run, runner = start_run("land"), Runner()
    if file:
        from batch.importing.job import Import
        from batch.importing.run import run_import
        from batch.mapping.grammar import read_mapping

        mapping = read_mapping(_MAP)
        return dict(run_import(Import(settings, run, runner, clock, [file], mapping)).counts)
    from batch.landing.job import Landing
    from batch.landing.round import land

    return land(Landing(settings, run, runner, clock)).done.counts


if __name__ == "__main__":
    main()
