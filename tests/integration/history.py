"""Generated logs, the files they become, and what raw holds of them: for the import's tests.

Logs have the form of oracle/naive.py and come in order of arrival. A file has one row per
impression, with columns named as a stranger would.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from batch.lake import tables
from tests.integration.conftest import Lake

DAY, MINUTE = 86_400_000, 60_000
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z

Log = tuple[int | None, int | None, int, list[dict[str, Any]]]

COLUMNS = {
    "user": pa.int64(), "video": pa.int64(), "seen_at": pa.int64(), "arrived": pa.int64(),
    "batch": pa.int64(), "tab": pa.int64(), "place": pa.int64(), "opened": pa.int64(),
    "watched_ms": pa.float64(),
}  # fmt: skip

MAPPING = [
    "profile_id=user", "title_id=video", "event_time=seen_at:ms", "ingest_time=arrived:ms",
    "log_id=batch", "location=tab", "position=place", "played=opened", "dwell_s=watched_ms:ms",
]  # fmt: skip
EVENT_MAPPING = [pair for pair in MAPPING if not pair.startswith("ingest_time")]


def logs(seed: int, n: int = 400, days: int = 6) -> list[Log]:
    """Random logs of few profiles: late, clamped and bad impressions; resends 0, 1, 2 slots on."""
    pick = random.Random(seed)
    made: list[Log] = []
    for log_id in range(n):
        ingest_ms = START + pick.randrange(days * DAY)
        log: Log = (pick.randrange(30), log_id, ingest_ms, _impressions(pick, ingest_ms))
        made.append(log)
        while pick.random() < 0.35:
            later_ms = pick.choice([0, 0, 5 * MINUTE, DAY, 2 * DAY])
            log = (log[0], log[1], log[2] + later_ms, log[3])
            made.append(log)
    return sorted(made, key=lambda log: log[2])


def _impressions(pick: random.Random, ingest_ms: int) -> list[dict[str, Any]]:
    made = []
    for place in range(pick.randrange(1, 5)):
        age_ms = pick.choice([0, 7, MINUTE, -4 * MINUTE, -6 * MINUTE, 40 * DAY, 336 * DAY])
        made.append(
            {
                "title": pick.randrange(1, 20),
                "location": pick.randrange(3),
                "event_ms": ingest_ms - age_ms - pick.randrange(1000),
                "played": pick.randrange(2),
                "dwell_s": pick.randrange(40_000) / 1000,
                "place": place,
            }
        )
        made[-1] |= pick.choices(
            [{}, {"title": None}, {"event_ms": None}, {"title": -3}, {"location": 256},
             {"dwell_s": -1.0}, {"dwell_s": float("nan")}, {"event_ms": ingest_ms - 338 * DAY}],
            [60, 1, 1, 1, 1, 1, 1, 1],
        )[0]  # fmt: skip
    return made


def rows_of(some: Iterable[Log]) -> list[dict[str, Any]]:
    """One row per impression, in the columns of a file."""
    return [
        {
            "user": profile, "video": e["title"], "seen_at": e["event_ms"], "arrived": ingest_ms,
            "batch": log_id, "tab": e["location"], "place": e["place"], "opened": e["played"],
            "watched_ms": e["dwell_s"] * 1000,
        }
        for profile, log_id, ingest_ms, impressions in some
        for e in impressions
    ]  # fmt: skip


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    pq.write_table(pa.table(columns, schema=pa.schema(list(COLUMNS.items()))), path)
    return str(path)


def counting(lake: Lake) -> Counter[tuple[Any, ...]]:
    """What raw counts: (profile, title, location, event ms, ingest ms, played, dwell)."""
    rows = (
        lake.spark.table(tables.full_name(lake.settings, tables.RAW))
        .where("duplicate = false")
        .select(
            "profile_id", "title_id", "location", F.unix_millis("event_time"),
            F.unix_millis("ingest_time"), F.col("played").cast("int"), F.round("dwell_s", 6),
        )
    )  # fmt: skip
    return Counter(tuple(row) for row in rows.collect())


def expected(applied: Iterable[tuple[int, dict[str, Any], int]]) -> Counter[tuple[Any, ...]]:
    """The same of what `naive.accept` returns."""
    return Counter(
        (
            profile, e["title"], e["location"], e["event_ms"], ingest_ms, e["played"],
            round(e["dwell_s"], 6),
        )
        for profile, e, ingest_ms in applied
    )  # fmt: skip
