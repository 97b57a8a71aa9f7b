"""The steps of the demo, in order, each one a command that an operator would type.

1  a year of logs in a Parquet file      generated, or one's own
2  land, close                           the year becomes sorted, de-duplicated slots in Iceberg
3  compact, export                       generation 1: all but the last week
4  bulkload load, activate; serve        and every answer is compared with the raw rows
5  land the last week; generation 2      swapped in under the running server
6  rollback                              the answers of generation 1 again
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from demo.check import Checker
from demo.generate import DAY_MS, write_year
from demo.shell import Shell, free_address
from impressions.generation import generation_id
from impressions.slot import format_utc
from serving.client import ImpressionsClient
from tests import naive, naive_files

SETTINGS = """\
partitions = 4

[audits]
volume_max_ratio = 100  # one's own events may begin in the week of the first generation
"""
WEEK_DAYS = 7


@dataclass(frozen=True)
class Options:
    """What to run on.

    Attributes:
        events: one's own file, mapped by `mapping`; None to generate a year from `seed` that ends
            at `end_ms`, a UTC midnight.
    """

    directory: Path
    events: Path | None
    mapping: Path
    seed: int
    end_ms: int


@dataclass(frozen=True)
class Events:
    """The raw rows, split into history and the last week, and what the oracle makes of them."""

    history: Path
    week: Path
    cutovers_ms: tuple[int, int]
    accepted: list[tuple[int, dict[str, Any], int]]
    counts: dict[str, int]


@dataclass(frozen=True)
class Told:
    """How the story ended: answers compared, which of them differ, and over what."""

    checked: int
    differ: list[str]
    profiles: int
    counts: dict[str, int]


def tell(options: Options) -> Told:
    """Run the story and compare every answer on the way."""
    shell = Shell(options.directory)
    address = free_address()
    (options.directory / "impressions.toml").write_text(SETTINGS)
    say("1. The raw events")
    events = prepare(options)
    first_ms, second_ms = events.cutovers_ms
    say("2. Into Iceberg")
    land(shell, events.history, options)
    say("3. The first generation: aggregates, audits, SST files")
    build(shell, first_ms)
    with shell.server(address), ImpressionsClient(address, timeout_s=60) as client:
        checker = Checker(client, events.accepted)
        checker.wait_for(generation_id(first_ms))
        say("4. Served, and compared with the raw events")
        ask_for_some(shell, checker, address, first_ms)
        for days in (0, 3, 27):
            checker.answers(first_ms, first_ms + days * DAY_MS, f"{days} days after the cutover")
        checker.flagged(first_ms, first_ms + 29 * DAY_MS, "29 days after: past the tail horizon")
        say("5. A week later: the second generation, swapped in under the running server")
        land(shell, events.week, options)
        build(shell, second_ms)
        checker.wait_for(generation_id(second_ms))
        for days in (0, 27):
            checker.answers(second_ms, second_ms + days * DAY_MS, f"{days} days after the cutover")
        say("6. Rolled back, without a restart")
        shell.run("bulkload", "rollback")
        checker.wait_for(generation_id(first_ms))
        checker.answers(first_ms, first_ms + 3 * DAY_MS, "generation 1 again, 3 days after")
        shell.run("bulkload", "status")
    profiles = len({profile for profile, _, _ in events.accepted})
    return Told(checker.checked, checker.differ, profiles, events.counts)


def prepare(options: Options) -> Events:
    """Make or take the raw file, split it at the first cutover, and read it naively."""
    source = options.events
    if source is None:
        source = options.directory / "year.parquet"
        rows = write_year(source, options.end_ms, options.seed)
        print(f"generated {rows:,} impressions of 400 days, seed {options.seed}: {source.name}")
    columns: dict[str, str] = tomllib.loads(options.mapping.read_text())["columns"]
    table = pq.read_table(source)
    arrival, unit = (*columns.get("ingest_time", columns["event_time"]).split(":"), "")[:2]
    ingest_ms = [naive_files.time_ms(value, unit) or 0 for value in table[arrival].to_pylist()]
    second_ms = (max(ingest_ms) // DAY_MS + 1) * DAY_MS
    first_ms = max(second_ms - WEEK_DAYS * DAY_MS, (min(ingest_ms) // DAY_MS + 1) * DAY_MS)
    history, week = (options.directory / f"{name}.parquet" for name in ("history", "week"))
    is_history = pa.array([ms < first_ms for ms in ingest_ms])
    pq.write_table(table.filter(is_history), history)
    pq.write_table(table.filter(pa.compute.invert(is_history)), week)
    logs = naive_files.logs_of(table.to_pylist(), columns)
    accepted, counts = naive.accept(logs)
    print(f"the oracle's view of {table.num_rows:,} rows in {len(logs):,} logs: {counts}")
    return Events(history, week, (first_ms, second_ms), accepted, counts)


def land(shell: Shell, file: Path, options: Options) -> None:
    shell.run("land", "--from-files", file.name, "--mapping", str(options.mapping))
    shell.run("close")


def build(shell: Shell, cutover_ms: int) -> None:
    """One weekly run: compact, export, load, activate."""
    generation = generation_id(cutover_ms)
    shell.run("compact", "--logical-date", generation)
    shell.run("export", "--generation", generation)
    shell.run("bulkload", "load", generation)
    shell.run("bulkload", "activate", generation)


def ask_for_some(shell: Shell, checker: Checker, address: str, cutover_ms: int) -> None:
    """Show one profile as a person would ask for it, beside the raw recomputation."""
    at_ms = cutover_ms + 3 * DAY_MS
    counts: dict[int, int] = {}
    for profile, _, _ in checker.accepted:
        counts[profile] = counts.get(profile, 0) + 1
    profile = sorted(counts, key=lambda p: (-counts[p], p))[len(counts) // 10]
    shell.run(
        "get", "--profile", str(profile), "--top", "5", "--by", "plays/7d",
        "--at", format_utc(at_ms), "--address", address,
    )  # fmt: skip
    owned = [e for e in checker.accepted if e[0] == profile and e[2] < cutover_ms]
    by_title = naive.answers([(p, {**e, "location": 0}, ingest) for p, e, ingest in owned], at_ms)
    top = sorted(by_title.items(), key=lambda row: -row[1]["plays", 7])[:5]
    print("  the same from the raw events:")
    for (_, title, _), row in top:
        print(
            f"    title {title:>6}  impressions {row['impressions']:>4}  plays {row['plays']:>3}  "
            f"plays/7d {row['plays', 7]:.6f}  impressions/30d {row['impressions', 30]:.6f}"
        )


def say(text: str) -> None:
    print(f"\n--- {text}", flush=True)
