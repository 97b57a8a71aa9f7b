"""A week later: from scratch, from the generation before, and what compact chose by itself.

Three tables of some 6 M events in 13 shards and 53 slots a week apart, with about 3.5, 14 and 50
events a row of the generation: the more often a title is shown, the more often on one day. 3 in 100
are up to 330 days late and lie in files of their own, as `close` leaves them. A generation is
published; then a slot more, and the next one is computed three times, one shard of it both ways.
CPU of this process over the whole job with audits and publication. Rows of the chosen form are
those from scratch: keys and counts equal, sums within 1e-9.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batch import compact
from batch.compacting.incremental import costs
from batch.compacting.incremental.comparing import compared
from batch.compacting.job import Compacting
from batch.lake import snapshots, tables
from batch.lake.columns import RAW_COLUMNS, arrow_schema
from batch.lake.data_file_rows import rows_of
from batch.lake.data_file_writer import target_of, write
from batch.lake.data_files import live_files
from batch.lake.ema_columns import Columns, column_names, columns_of
from batch.lake.guarded_commit import commit
from benchmarks import cores
from benchmarks.frame import Goal, Row, row
from benchmarks.world import CUTOVER_MS, World
from impressions.core.shard import shards_of
from impressions.core.spec import DAY_MS
from impressions.settings.model import Settings
from impressions.terminal.report import start_run

SHARDS, SLOTS, WEEK_MS = 13, 53, 7 * DAY_MS
SHAPES = {"3.5": (5, 1, 1 / 1.05), "14": (24, 3, 3.0), "50": (110, 8, 6.0)}
"""Events a row, about: events a key, of which so many at a time; least gain of the chosen form."""
_EVENTS, _QUICK_EVENTS = 6_000_000, 120_000
_TITLES, _TURNS = 300, 2
_LATE_DAYS = 330


@dataclass(frozen=True)
class Table:
    """Events of the year before `CUTOVER_MS` plus a week, and the settings that open them."""

    settings: Settings
    rows: int


def run(world: World) -> Iterator[Row]:
    with cores.all_for_this():
        for name in SHAPES:
            yield from _at(world, name)


def _at(world: World, shape: str) -> Iterator[Row]:
    a_key, at_a_time, least = SHAPES[shape]
    total = _QUICK_EVENTS if world.is_quick else _EVENTS
    data = make(world.home / f"incremental-{shape}", world.seed, total, a_key, at_a_time)
    _compact(data, CUTOVER_MS)
    ema = tables.require(data.settings, tables.EMA, hint="")
    entries = len(_rows(data).profiles)
    taken: dict[str, list[float]] = {}
    rows, gain = {}, costs.GAIN
    for name in ("from scratch", "incremental", "chosen") * _TURNS:
        # 0: the incremental form wherever it is allowed, dear or not.
        costs.GAIN = 0.0 if name == "incremental" else gain
        cpu_s = _compact(data, CUTOVER_MS + WEEK_MS, from_scratch=name == "from scratch")
        taken.setdefault(name, []).append(cpu_s)
        rows[name] = _rows(data)
        _take_back(data, ema)
    costs.GAIN = gain
    for name in ("incremental", "chosen"):
        found = compared([rows[name]], rows["from scratch"], data.settings.spec)
        if not found.is_same:
            raise AssertionError(f"{name}, {shape} events a row: {found}")
    shutil.rmtree(data.settings.home_dir)
    what = f"{data.rows / entries:.1f} events a row"
    us = {name: min(seconds) / data.rows * 1e6 for name, seconds in taken.items()}
    yield row("incremental", f"{what}: from scratch, CPU", us["from scratch"], "us/raw row")
    yield row("incremental", f"{what}: incremental, CPU", us["incremental"], "us/raw row")
    times = us["from scratch"] / us["chosen"]
    yield row(
        "incremental", f"{what}: from scratch / chosen, CPU", times, "x",
        goal=Goal("ours", ">=", round(least, 2)),
    )  # fmt: skip


def make(home: Path, seed: int, total: int, a_key: int, at_a_time: int) -> Table:
    """Closed slots of raw; profiles have `_TITLES` titles each, of which all are seen."""
    import pyarrow as pa

    settings = Settings(home=home, partitions=SHARDS)
    rng = np.random.default_rng([seed, a_key])
    [raw] = tables.create_if_missing(settings, tables.RAW)
    target, files = target_of(raw), []
    profiles = profiles_by_shard(max(1, round(total / a_key / _TITLES / SHARDS)))
    each = total // SLOTS // SHARDS // at_a_time * at_a_time
    first_ms = CUTOVER_MS - (SLOTS - 1) * WEEK_MS + 6 * DAY_MS
    for slot_ms in (first_ms + week * WEEK_MS for week in range(SLOTS)):
        of_shards = [
            _events(rng, slot_ms, shard, profiles[shard], each, at_a_time)
            for shard in range(SHARDS)
        ]
        for late in (False, True):
            chosen = [
                _arrow({name: column[is_late == late] for name, column in columns.items()})
                for columns, is_late in of_shards
            ]
            files += write(target, {"ingest_slot": slot_ms * 1000}, pa.concat_tables(chosen))
    commit(raw, files, {snapshots.VALID_THROUGH: str(CUTOVER_MS + 2 * WEEK_MS)})
    return Table(settings, each * SLOTS * SHARDS)


def profiles_by_shard(of_each: int) -> list[np.ndarray]:
    """Profile ids, ascending, each in its own shard."""
    candidates = np.arange(1, 2 * SHARDS * of_each + 500, dtype=np.int64)
    shard = shards_of(candidates, SHARDS)
    return [candidates[shard == s][:of_each] for s in range(SHARDS)]


def _events(
    rng: np.random.Generator,
    slot_ms: int,
    shard: int,
    profiles: np.ndarray,
    n: int,
    at_a_time: int,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of one slot of a shard, sorted as `close` does; which rows are late."""
    times = n // at_a_time
    ingest_ms = slot_ms + rng.integers(0, DAY_MS, times)
    late_ms = np.where(
        rng.random(times) < 0.03,
        rng.integers(8 * DAY_MS, _LATE_DAYS * DAY_MS, times),
        rng.exponential(DAY_MS / 3, times),
    )
    event_ms = ingest_ms - np.minimum(late_ms, _LATE_DAYS * DAY_MS).astype(np.int64)
    profile, title = rng.choice(profiles, times), rng.integers(1, _TITLES + 1, times)
    ingest_ms, event_ms, profile, title = (
        np.repeat(column, at_a_time) for column in (ingest_ms, event_ms, profile, title)
    )
    columns = {
        "ingest_slot": np.full(n, slot_ms * 1000), "shard": np.full(n, shard),
        "profile_id": profile, "title_id": title, "location": title % 8,
        "row": title % 5, "position": title % 7, "event_time": event_ms * 1000,
        "ingest_time": ingest_ms * 1000, "played": rng.random(n) < 0.1,
        "dwell_s": np.round(rng.exponential(3, n), 3), "log_id": rng.integers(0, 1 << 62, n),
        "log_offset": np.arange(n), "log_index": np.zeros(n, np.int64),
        "duplicate": np.zeros(n, np.bool_),
    }  # fmt: skip
    order = np.lexsort((event_ms, title, profile))
    is_late = event_ms < (slot_ms // DAY_MS - 7) * DAY_MS
    return {name: column[order] for name, column in columns.items()}, is_late[order]


def _arrow(columns: dict[str, np.ndarray]):  # type: ignore[no-untyped-def]
    import pyarrow as pa

    schema = arrow_schema(RAW_COLUMNS)
    n = len(columns["profile_id"])
    texts = dict.fromkeys(("source", "device_type", "app_version"), "kafka:0123456789abcdef")
    made = {name: pa.array(column) for name, column in columns.items()}
    made |= {name: pa.repeat(pa.scalar(text), n) for name, text in texts.items()}
    return pa.table([made[field.name].cast(field.type) for field in schema], schema=schema)


def _compact(data: Table, cutover_ms: int, *, from_scratch: bool = False) -> float:
    """CPU seconds of the whole job; days are not judged, which costs the same in every form."""
    job = Compacting(data.settings, cutover_ms, start_run("compact"), from_scratch=from_scratch)
    judged, compact._ordinary = compact._ordinary, lambda job, writes: []
    started_s = time.process_time()
    try:
        compact.compact(job)
    finally:
        compact._ordinary = judged
    return time.process_time() - started_s


def _take_back(data: Table, before) -> None:  # type: ignore[no-untyped-def]
    """The table of aggregates as it was before this week."""
    table = tables.require(data.settings, tables.EMA, hint="")
    table.manage_snapshots().set_current_snapshot(before.current_snapshot().snapshot_id).commit()
    table = tables.require(data.settings, tables.EMA, hint="")
    for name in [name for name in snapshots.refs(table) if name.endswith("2026_11_22")]:
        table.manage_snapshots().remove_tag(name).commit()


def _rows(data: Table) -> Columns:
    """All rows of main, by (profile, item, day)."""
    import pyarrow as pa

    table = tables.require(data.settings, tables.EMA, hint="")
    files = live_files(table, snapshots.main_id(table))
    spec = data.settings.spec
    read = [
        r for file in files for r in rows_of(file, table.io, table.schema(), column_names(spec))
    ]
    found = columns_of(pa.concat_tables(read), spec)
    order = np.lexsort((found.days, found.rows.items, found.profiles))
    return Columns(found.profiles[order], found.days[order], found.rows.take(order))
