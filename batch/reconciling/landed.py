"""What raw holds of some profiles: one snapshot of the table, read file by file.

Files are sorted by shard and profile and say which they hold, row groups too, so profiles that are
neighbours cost little more than one: a run of them is read together. What is held is bounded:
more rows than fit are refused, and the caller asks for fewer profiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batch.lake import snapshots, tables
from batch.lake.arrow_columns import integers
from batch.lake.cursor import Cursor, Landed
from batch.lake.data_file_rows import (
    Keys,
    Profiles,
    known_bounds,
    may_hold,
    opened,
    read_group,
    rows_of,
    within,
)
from batch.lake.data_files import LiveFile, bound, live_files
from batch.reconciling.events import NOT_READ, Events, joined, no_events
from impressions.core import window
from impressions.core.contribution import contributions
from impressions.core.decay import Int
from impressions.core.errors import CorruptData, Refused
from impressions.core.item import pack
from impressions.core.spec import DAY_MS, Spec
from impressions.settings.model import Settings
from impressions.terminal import log

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

EVENT_BYTES = 500
"""Memory that an event takes while it is compared: its columns, and what it adds to an item."""

_COLUMNS = (
    "profile_id", "title_id", "location", "event_time", "ingest_time", "played", "dwell_s",
    "log_id", "log_offset", "log_index", "source",
)  # fmt: skip


class TooManyEvents(Refused):
    """More events than fit into memory; of fewer profiles there are fewer."""

    reason = "too_many_events"


@dataclass(frozen=True)
class LandedTable:
    """Raw at one snapshot.

    Attributes:
        landed: how far the topic is in it; None where none was landed.
        files: by shard, those that may hold an event of the window.
        max_events: that may be held at once.
    """

    table: Table
    landed: Landed | None
    files: dict[int, list[LiveFile]]
    max_events: int
    spec: Spec

    def cursor(self, partition: int) -> Cursor:
        """From where on records are not landed yet."""
        return Cursor(0) if self.landed is None else self.landed.cursors[partition]

    def events(self, shard: int, wanted: Int) -> Events:
        """The events of profiles, ascending, that are read together.

        Raises:
            TooManyEvents: naming the profiles.
            CorruptData: naming the file.
        """
        parts, held = [no_events(self.spec)], 0
        keys = Keys((shard, shard + 1), (int(wanted[0]), int(wanted[-1]) + 1))
        for number, file in enumerate(self._files(shard, keys.profiles)):
            for rows in rows_of(file, self.table.io, self.table.schema(), _COLUMNS, keys):
                part = events_of(rows, number, self.spec)
                part = part.take(np.flatnonzero(np.isin(part.profile_id, wanted)))
                parts.append(part)
                held += len(part)
                if held > self.max_events:
                    raise too_many(wanted, self.max_events)
        return joined(parts)

    def next_profiles(self, shard: int, start: int, most: int, since_ms: int = 0) -> Int:
        """Up to so many profiles of a shard in the order of their keys, from `start` on; fewer
        where the first row groups that hold any end earlier. None are left out between them.

        Args:
            since_ms: only of files that hold events ingested since then.
        """
        found, complete_to = [np.empty(0, np.int64)], (1 << 63) - 1
        for file in self._files(shard, (start, 1 << 63)):
            if file.slot_ms + DAY_MS > since_ms:
                try:
                    profiles, next_group = self._first_profiles(file, shard, start)
                except CorruptData as error:  # its profiles have other files, which will say it
                    log.warning("unreadable", error=error.message)
                    continue
                found.append(profiles)
                complete_to = min(complete_to, next_group)
        every = np.unique(np.concatenate(found))
        return every[every <= complete_to][:most]

    def _first_profiles(self, file: LiveFile, shard: int, start: int) -> tuple[Int, int]:
        """Profiles from `start` on in the row groups that the shard shares with others, and in the
        first of its own; and the first profile of those that were not read."""
        keys = Keys((shard, shard + 1), (start, 1 << 63))
        with opened(file.path, self.table.io) as parquet:
            columns, own, read = parquet.schema_arrow, list[tuple[int, int]](), list[int]()
            for number in range(parquet.num_row_groups):
                group = parquet.metadata.row_group(number)
                if may_hold(group, columns, keys):
                    profiles = known_bounds(group, columns, "profile_id")
                    is_own = known_bounds(group, columns, "shard") == (shard, shard)
                    if is_own and profiles is not None:
                        own.append((max(profiles[0], start), number))
                    else:
                        read.append(number)
            own.sort()
            read += [number for _, number in own[:1]]
            found = [np.empty(0, np.int64)]
            for number in read:
                rows = read_group(parquet, file.path, number, ["shard", "profile_id"])
                found.append(np.unique(integers(within(rows, keys), "profile_id")))
        return np.concatenate(found), min((low for low, _ in own[1:]), default=(1 << 63) - 1)

    def _files(self, shard: int, profiles: Profiles) -> Iterator[LiveFile]:
        """Those that may hold one of the profiles, by their metadata."""
        for file in self.files.get(shard, ()):
            low, high = (
                bound(self.table, file.data, "profile_id", upper=upper) for upper in (False, True)
            )
            outside = (low is not None and low >= profiles[1]) or (
                high is not None and high < profiles[0]
            )
            if not outside:
                yield file


def read_table(settings: Settings, now_ms: int) -> LandedTable:
    """Raw as it is now.

    Raises:
        NotReady: nothing was landed yet.   Refused: it is of other settings.
    """
    spec = settings.spec
    table = tables.require(settings, tables.RAW, hint="impressions land")
    state = snapshots.state(table)
    # A duplicate of the first slot may have its original in the one before.
    oldest_ms = window.first_slot_ms(now_ms - DAY_MS, spec) - DAY_MS - spec.slot_ms
    files: dict[int, list[LiveFile]] = {}
    for file in live_files(
        table, state.snapshot_id, lambda of: of["ingest_slot"] // 1000 >= oldest_ms
    ):
        for shard in range(file.shards[0], min(file.shards[1], settings.partitions)):
            files.setdefault(shard, []).append(file)
    most = max(1, (settings.land.memory_mb << 20) // EVENT_BYTES)
    return LandedTable(table, state.landed, files, most, spec)


def events_of(rows: pa.Table, number: int, spec: Spec) -> Events:
    """Rows of raw as events; `number` is that of their file."""
    n = rows.num_rows
    columns = {
        "played": rows["played"].fill_null(False).to_numpy().astype(np.float64),
        "dwell_s": rows["dwell_s"].fill_null(0.0).to_numpy(),
    }
    return Events(
        profile_id=integers(rows, "profile_id"),
        item=pack(integers(rows, "title_id"), integers(rows, "location")),
        event_ms=integers(rows, "event_time") // 1000,
        ingest_ms=integers(rows, "ingest_time") // 1000,
        x=contributions(columns, n, spec),
        log_id=integers(rows, "log_id"),
        log_offset=integers(rows, "log_offset"),
        log_index=integers(rows, "log_index"),
        source=np.array(rows["source"].to_pylist(), object),
        file=np.full(n, number, np.int64),
        in_raw=np.ones(n, np.int64),
        in_topic=np.full(n, NOT_READ, np.int64),
    )


def too_many(wanted: Int, most: int) -> TooManyEvents:
    """The error that names the profiles."""
    named = f"profile {wanted[0]}" if len(wanted) == 1 else f"{len(wanted)} profiles"
    return TooManyEvents(
        f"{named}: more than {most:,} events, expected as many as fit into memory: "
        "a larger land.memory_mb"
    )
