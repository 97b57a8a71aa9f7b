"""The raw events of the story: a generated year, or one's own file, and the oracle's view of them.

A generated year is history as a whole; live traffic is made on the way. One's own file is cut in
two by its time of arrival: the earlier half is imported, the later half is replayed live. Its times
are moved by whole days so that the last row arrived within the last day: what is replayed arrives
now, and events of years ago would be out of every window.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from examples.demo.generate import DAY_MS, write_year
from oracle import files as naive_files

_IN_A_MS = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Raw:
    """Files of raw rows.

    Attributes:
        history: to import.   live: to replay; None where traffic is generated.
        columns: the mapping, as oracle/files.py takes it.
        logs: the oracle's logs of `history`.
        profiles, titles: that occur in the whole of it.
    """

    history: Path
    live: Path | None
    columns: dict[str, str]
    logs: list[Any]
    profiles: list[int]
    titles: list[int]


def prepare(
    directory: Path,
    events: Path | None,
    mapping: Path,
    seed: int,
    now_ms: int,
    profiles: int | None = None,
) -> Raw:
    """Make or take the events; writes the files into `directory`.

    Args:
        profiles: take only so many of one's own, drawn by the seed.
    """
    columns: dict[str, str] = tomllib.loads(mapping.read_text())["columns"]
    history = directory / "history.parquet"
    if events is None:
        rows = write_year(history, now_ms - _HOUR_MS, seed)
        print(f"generated {rows:,} impressions of 400 days, seed {seed}: {history.name}")
        return of_history(history, columns)
    table = pq.read_table(events)
    if profiles is not None:
        table = some(table, columns, profiles, seed)
    arrivals_ms = _arrivals_ms(table, columns)
    days = (now_ms - _HOUR_MS - max(arrivals_ms)) // DAY_MS
    if days > 0:
        table = moved(table, columns, days)
        print(f"{events.name}: its times are moved by {days:,} days, so that it ends today")
    middle_ms = sorted(arrivals_ms)[len(arrivals_ms) // 2]
    early = pa.array([ms < middle_ms for ms in arrivals_ms])
    live = directory / "live.parquet"
    pq.write_table(table.filter(early), history)
    pq.write_table(table.filter(pa.compute.invert(early)), live)
    return _raw(history, live, columns, table)


def some(table: pa.Table, columns: dict[str, str], profiles: int, seed: int) -> pa.Table:
    """The rows of so many of the profiles, drawn by the seed."""
    name = columns["profile_id"].partition(":")[0]
    found = sorted(set(table[name].to_pylist()) - {None})
    drawn = random.Random(seed).sample(found, min(profiles, len(found)))
    return table.filter(pa.compute.field(name).isin(drawn))


def of_history(file: Path, columns: dict[str, str]) -> Raw:
    """A file that is history as a whole."""
    return _raw(file, None, columns, pq.read_table(file))


def moved(table: pa.Table, columns: dict[str, str], days: int) -> pa.Table:
    """The table with its event and ingest times `days` later, in the units they have."""
    names = {columns[field] for field in ("event_time", "ingest_time") if field in columns}
    for name, unit in ((*column.split(":"), "")[:2] for column in sorted(names)):
        values = [_later(value, unit, days) for value in table[name].to_pylist()]
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
    return table


def _later(value: Any, unit: str, days: int) -> Any:
    if value is None:
        return None
    if unit in _IN_A_MS:
        return value + type(value)(days * DAY_MS * _IN_A_MS[unit])
    if isinstance(value, datetime):
        return value + timedelta(days=days)
    return (datetime.fromisoformat(value) + timedelta(days=days)).isoformat()


def _arrivals_ms(table: pa.Table, columns: dict[str, str]) -> list[int]:
    name, unit = (*columns.get("ingest_time", columns["event_time"]).split(":"), "")[:2]
    return [naive_files.time_ms(value, unit) or 0 for value in table[name].to_pylist()]


def _raw(history: Path, live: Path | None, columns: dict[str, str], table: pa.Table) -> Raw:
    logs = naive_files.logs_of(pq.read_table(history).to_pylist(), columns)
    everything = naive_files.logs_of(table.to_pylist(), columns) if live else logs
    profiles = {profile for profile, _, _, _ in everything if profile is not None}
    titles = {e["title"] for _, _, _, found in everything for e in found if e["title"] is not None}
    return Raw(history, live, columns, logs, sorted(profiles), sorted(titles))
