"""Closed slots of raw, written straight from a list of events: the input of compact.

`year(seed)` makes events around the edges that matter; `write_closed` puts them into the table as
`land` and `close` would leave them. What they must add up to says oracle/naive.py.
"""

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from unittest.mock import patch

import pyarrow as pa
from pyiceberg.table import Table

from batch.lake import layout, snapshots, tables
from batch.lake.columns import RAW_COLUMNS, arrow_schema, ema_columns
from batch.lake.data_file_rows import rows_of
from batch.lake.data_file_writer import target_of, write
from batch.lake.data_files import live_files
from batch.lake.guarded_commit import commit
from batch.lake.sort_order import KEYS
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import generation_id
from impressions.settings.model import Settings
from tests.integration.conftest import Lake

CUTOVER_MS = 20_772 * DAY_MS  # 2026-11-15
DATE = generation_id(CUTOVER_MS)
FIRST_DAY_MS = CUTOVER_MS - 364 * DAY_MS
"""Midnight at which the window of CUTOVER_MS begins."""
YEAR_SEED = 7
"""Of the year that several modules read (the fixture `published_year`)."""


def event(title: int, event_ms: int, played: int = 0, dwell_s: float = 1.5, location: int = 0):
    return {
        "title": title,
        "location": location,
        "event_ms": event_ms,
        "played": played,
        "dwell_s": dwell_s,
    }


def edges() -> list:
    """(profile, event, ingest_ms): one profile per situation, each with several titles."""
    hour, minute = 3_600_000, 60_000
    return [
        # 1: the first instant of the window, and the last one before it
        (1, event(1, FIRST_DAY_MS), FIRST_DAY_MS + minute),
        (1, event(2, FIRST_DAY_MS - 1), FIRST_DAY_MS + minute),
        # 2: a clock 4 min ahead across the midnight at which the window begins: the slot before it
        (2, event(1, FIRST_DAY_MS + minute), FIRST_DAY_MS - 3 * minute),
        # 3: the last tail day, its end, and the first day after it
        (3, event(1, FIRST_DAY_MS + 28 * DAY_MS - 1), FIRST_DAY_MS + 28 * DAY_MS),
        (3, event(1, FIRST_DAY_MS + 28 * DAY_MS), FIRST_DAY_MS + 28 * DAY_MS),
        (3, event(1, FIRST_DAY_MS + 27 * DAY_MS), FIRST_DAY_MS + 28 * DAY_MS),
        # 4: ingested just before the cutover with an event 4 min after it; and one just after it
        (4, event(1, CUTOVER_MS + 3 * minute, played=1), CUTOVER_MS - minute),
        (4, event(2, CUTOVER_MS - minute), CUTOVER_MS),
        # 5: 300 days late
        (5, event(1, CUTOVER_MS - 300 * DAY_MS, dwell_s=0.0), CUTOVER_MS - hour),
        # 6: largest ids
        (2**63 - 1, event(2**55 - 1, CUTOVER_MS - hour, location=255), CUTOVER_MS - hour),
    ]


def year(seed: int, profiles: int = 60, per_profile: int = 60) -> list:
    """The edges, and random events of profiles 101.. over 13 months, many of a title."""
    rng = random.Random(seed)
    rows = edges()
    for profile in range(101, 101 + profiles):
        for _ in range(rng.randint(1, per_profile)):
            event_ms = CUTOVER_MS - rng.randint(0, 390 * DAY_MS)
            late_ms = int(rng.expovariate(1 / (3 * DAY_MS))) if rng.random() < 0.2 else 1000
            ingest_ms = event_ms + min(late_ms, 330 * DAY_MS)
            rows.append(
                (
                    profile,
                    event(
                        rng.randint(1, 6),
                        event_ms,
                        int(rng.random() < 0.3),
                        round(rng.expovariate(0.2), 3),
                        rng.randint(0, 2),
                    ),
                    ingest_ms,
                )
            )
    return rows


def counted(rows: Iterable, cutover_ms: int = CUTOVER_MS) -> list:
    """The events a generation owns: ingested before its cutover."""
    return [row for row in rows if row[2] < cutover_ms]


def write_closed(
    lake: Lake,
    rows: list,
    duplicates: list = (),
    valid_through_ms: int = CUTOVER_MS + DAY_MS,
    undecided: bool = False,
    old: bool = False,
) -> None:
    """Append events to raw; `duplicates` with their flag set, all without one if `undecided`, or in
    the `old` layout: a file per slot and shard, which a table of an earlier version has."""
    settings = lake.settings
    [raw] = (
        made_by_an_earlier_version(settings)
        if old
        else tables.create_if_missing(settings, tables.RAW)
    )
    flagged = [(row, False) for row in rows] + [(row, True) for row in duplicates]
    slot_ms, slots = settings.spec.slot_ms, {}
    for i, ((profile, e, ingest_ms), duplicate) in enumerate(flagged):
        slot = ingest_ms // slot_ms * slot_ms
        slots.setdefault(slot, []).append(
            {
                "profile_id": profile, "title_id": e["title"], "location": e["location"],
                "event_time": e["event_ms"] * 1000, "ingest_time": ingest_ms * 1000,
                "played": bool(e["played"]), "dwell_s": float(e["dwell_s"]), "log_id": i,
                "log_index": 0, "duplicate": None if undecided else duplicate,
                "ingest_slot": slot * 1000, "source": "file:test",
                "shard": shard_of(profile, settings.partitions),
            }
        )  # fmt: skip
    target, schema = target_of(raw), arrow_schema(RAW_COLUMNS)
    files = []
    for slot, found in sorted(slots.items()):
        found.sort(key=itemgetter(*KEYS))
        for shard, group in groupby(found, key=itemgetter("shard")) if old else [(0, found)]:
            arrays = pa.Table.from_pylist(list(group), schema)
            files += write(target, {"ingest_slot": slot * 1000, "shard": shard}, arrays)
    commit(raw, files, {snapshots.VALID_THROUGH: str(valid_through_ms)})


def made_by_an_earlier_version(settings: Settings) -> list[Table]:
    """Raw with a partition per slot and shard, made on first use."""
    old = replace(
        layout.RAW,
        partition=("ingest_slot", "shard"),
        order=("profile_id", "title_id", "event_time"),
    )
    with patch.dict(tables._LAYOUTS, {tables.RAW: old}):
        return tables.create_if_missing(settings, tables.RAW)


def ema_rows(lake: Lake, version: str = "main") -> dict:
    """The aggregate table in the form of naive.answers, the tail days of a key added up."""
    spec, ema = lake.settings.spec, tables.find(lake.settings, tables.EMA)
    columns = list(ema_columns(spec))
    read = [
        row
        for file in live_files(ema, snapshots.refs(ema)[version])
        for table in rows_of(file, ema.io, ema.schema(), columns)
        for row in table.to_pylist()
    ]
    out: dict = {}
    for row in read:
        key = (row["profile_id"], row["title_id"], row["location"])
        seen_ms = round(row["last_seen"].timestamp() * 1000)
        into = out.setdefault(key, {"last_seen_ms": seen_ms})
        into["last_seen_ms"] = max(into["last_seen_ms"], seen_ms)
        for measure in spec.measure_names:
            into[measure] = into.get(measure, 0) + row[measure]
            for h in spec.half_lives_days:
                value = row[spec.decayed_name(measure, h)]
                into[measure, h] = into.get((measure, h), 0.0) + value
    return out
