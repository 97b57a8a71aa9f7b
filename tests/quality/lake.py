"""Generated traffic as files that are imported, in a warehouse of its own, without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from impressions.settings.model import Settings
from tests.quality.traffic import DEVICES, VERSIONS, Events, Fault, Traffic

MAPPING = (
    "profile_id=profile", "title_id=title", "location=place", "event_time=seen:timestamp",
    "ingest_time=came:timestamp", "log_id=log", "played=played", "dwell_s=dwell",
    "device_type=device", "app_version=version",
)  # fmt: skip
TRAFFIC = Traffic(11, impressions=1200)
WEEKS = 4


def settings_in(home: Path, **more: object) -> Settings:
    """Small days are judged; few shards."""
    quality = Settings().quality.model_copy(update={"min_impressions": 100} | more)
    return Settings(home=home, partitions=2).model_copy(update={"quality": quality})


def file_of(path: Path, events: Events, day: int, titles_null: int | None = None) -> str:
    """A day's file. `titles_null`: an app version without titles."""
    n = len(events["profile_id"])
    times = {name: pa.array(events[f"{at}_us"], pa.timestamp("us", "UTC"))
             for name, at in (("seen", "event"), ("came", "ingest"))}  # fmt: skip
    title = events["title_id"].astype(np.int64)
    pq.write_table(
        pa.table(
            {
                "profile": events["profile_id"],
                "title": pa.array(title, mask=events["version"] == titles_null),
                "place": events["location"],
                "log": np.arange(n) + day * 10_000_000 + 1,
                "played": events["played"],
                "dwell": events["dwell_s"],
                "device": np.array(DEVICES)[events["device"]],
                "version": np.array(VERSIONS)[events["version"]],
                **times,
            }
        ),
        path,
    )
    return str(path)


def files_in(root: Path, days: range, faults: Mapping[int, Fault] | None = None) -> list[str]:
    """A file for each day; none for a day without events. Ingest is cut off at midnight."""
    made = []
    for day in days:
        events = TRAFFIC.events(day)
        if fault := (faults or {}).get(day):
            events = fault(events, np.random.default_rng(day))
        end_us = (events["event_us"] // 86_400_000_000).max(initial=0) * 86_400_000_000
        events = events.take(np.flatnonzero(events["ingest_us"] < end_us + 86_400_000_000))
        if len(events["profile_id"]):
            made.append(file_of(root / f"{day:03}.parquet", events, day))
    return made
