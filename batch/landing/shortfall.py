"""Rows that raw should hold, by its offsets, and does not: how many, and which.

Our own commits keep every row (`land` adds, `close` rewrites), so there is something to look for
only where others committed since the last landing, or where a commit of ours lost rows. Then the
slots whose files changed are counted, in the snapshot of that landing and now:

    fewer rows    somebody deleted them: those that the topic still holds are landed again
    more rows     somebody added rows under our name: refused, nobody knows which count

A table that was rolled back needs none of this: its offsets went back with it. Rows are compared by
what they are, so that exactly the missing ones come back: first device flushes by their number of
rows, then the rows of those that have too few. Slots that no window reaches any more may be
deleted; nothing is brought back to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from batch.lake import snapshots
from batch.lake.arrow_columns import integers
from batch.lake.cursor import Landed
from batch.lake.data_file_rows import ALL_KEYS, Keys, rows_of
from batch.lake.data_files import LiveFile, live_files, source_bounds
from batch.lake.snapshots import State
from impressions.core import window
from impressions.core.errors import Refused
from impressions.core.ingest_time import Carried, ingest_times
from impressions.core.slot import format_utc, next_slot_ms
from impressions.core.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

    from impressions.core.decay import Int

_IDENTITY = (
    "log_offset", "log_index", "profile_id", "title_id", "location", "row", "position",
    "event_time", "played", "dwell_s", "log_id",
)  # fmt: skip
_INDEX_BITS = 20  # a record holds fewer flushes


def suspicious(state: State) -> bool:
    """Whether a commit since the last landing may have taken or added rows of it."""
    return any(
        snapshots.OPERATION not in commit.summary
        or int(commit.summary.get("deleted-records", 0))
        > int(commit.summary.get("added-records", 0))
        for commit in state.since
        if commit.summary.get(snapshots.OPERATION) != snapshots.FORGET
    )


def find(table: Table, state: State, spec: Spec) -> dict[tuple[int, int], int]:
    """Rows of the topic that are missing, by slot and shard. Reads metadata, then changed slots.

    Raises:
        Refused: there are more rows than were landed.
    """
    if state.landed is None or not suspicious(state):
        return {}
    reached_ms = next_slot_ms(state.valid_through_ms or 0, spec)
    first_ms = window.first_slot_ms(reached_ms, spec)
    then_files, now_files = (live_files(table, at) for at in (state.landed_id, state.snapshot_id))
    changed = {f.identity for f in then_files} ^ {f.identity for f in now_files}
    slots = {f.slot_ms for f in (*then_files, *now_files) if f.identity in changed}
    slots = {slot for slot in slots if slot >= first_ms}
    source = state.landed.source
    then, now = (
        _counts(table, [f for f in files if f.slot_ms in slots], source)
        for files in (then_files, now_files)
    )
    for (slot, shard), count in now.items():
        if count > then[slot, shard]:
            raise Refused(
                f"{'.'.join(table.name())}, slot {format_utc(slot)}, shard {shard}: {count:,} rows "
                f"of topic {state.landed.topic}, expected the {then[slot, shard]:,} that were "
                "landed: somebody added rows that count twice",
                hint=f"roll the table back to snapshot {state.landed_id} and land again",
                reason="rows_added",
            )
    return {at: n - now[at] for at, n in then.items() if n > now[at]}


def recovered(table: Table, snapshot_id: int | None, start: Landed) -> Landed | None:
    """The cursors of a table whose landings have expired, from its rows; None without any.

    What the commits said of the topic is lost where their snapshots expired after a commit of
    somebody else. How far the ingest time has come is computed by its own rule, slot by slot: a
    single row that is weeks ahead of all others does not decide how far raw is complete.
    """
    cursors, first_ms = list(start.cursors), None
    files = sorted(live_files(table, snapshot_id), key=lambda file: file.slot_ms)
    for _, of_slot in groupby(files, key=lambda file: file.slot_ms):
        for shard, offsets, ingest_ms in _records(table, of_slot, start.source):
            before = cursors[shard]
            after = _following(ingest_ms, before.carried)
            cursors[shard] = replace(
                before,
                next_offset=max(before.next_offset, int(offsets[-1]) + 1),
                ingest_ms=after.newest_ms,
                suspect_ms=after.suspect_ms,
            )
            first_ms = min(first_ms or int(ingest_ms.min()), int(ingest_ms.min()))
    return None if first_ms is None else replace(start, cursors=tuple(cursors), first_ms=first_ms)


def _following(ingest_ms: Int, before: Carried) -> Carried:
    """What these records leave; each vouches for itself, for it was landed with this time."""
    return ingest_times(ingest_ms, before, lambda: ingest_ms)[1]


def _records(
    table: Table, files: Iterable[LiveFile], source: str
) -> Iterator[tuple[int, Int, Int]]:
    """By shard, of the records that rows of a topic come from: (r,) offsets, ascending, and ingest
    times."""
    columns = ("shard", "log_offset", "ingest_time")
    pieces = [
        np.stack([integers(rows, name) for name in columns])
        for rows in _rows_of(table, files, source, columns)
    ]
    every = np.concatenate([np.zeros((3, 0), np.int64), *pieces], axis=1)
    every[2] //= 1000
    shards, offsets, ingest_ms = every[:, np.lexsort(every[::-1])]
    for shard in np.unique(shards).tolist():
        of_shard = shards == shard
        records, first = np.unique(offsets[of_shard], return_index=True)
        yield shard, records, ingest_ms[of_shard][first]


@dataclass(frozen=True)
class Held:
    """What raw holds of one partition of a topic: the number of rows of each device flush.

    Attributes:
        keys: ascending; of (offset, index).   counts: rows of each.
    """

    table: Table
    files: tuple[LiveFile, ...]
    source: str
    of_shard: Keys
    keys: Int
    counts: Int

    def absent(self, landed: pa.Table) -> pa.Table:
        """Those of the rows of raw that were landed, and that it does not hold."""
        import pyarrow as pa

        keys = _keys(landed)
        flushes, counts = np.unique(keys, return_counts=True)
        short = flushes[self._count(flushes) < counts]
        rows = landed.filter(pa.array(np.isin(keys, short)))
        partly = short[self._count(short) > 0]
        if not len(partly):
            return rows
        there = Counter(self._identities(partly))
        left = []
        for i, identity in enumerate(_identities(rows)):
            if there[identity]:
                there[identity] -= 1
            else:
                left.append(i)
        return rows.take(pa.array(left, pa.int64()))

    def _count(self, keys: Int) -> Int:
        at = np.searchsorted(self.keys, keys)
        at[at == len(self.keys)] = 0
        if not len(self.keys):
            return np.zeros(len(keys), np.int64)
        return np.where(self.keys[at] == keys, self.counts[at], 0)

    def _identities(self, keys: Int) -> Iterator[tuple[object, ...]]:
        import pyarrow as pa

        for rows in _rows_of(self.table, self.files, self.source, _IDENTITY, self.of_shard):
            yield from _identities(rows.filter(pa.array(np.isin(_keys(rows), keys))))


def held(table: Table, snapshot_id: int | None, source: str, shard: int) -> Held:
    """Reads offsets and indexes of one shard's rows of a topic."""
    own = Keys((shard, shard + 1))
    files = [file for file in live_files(table, snapshot_id) if file.may_hold(own.shards)]
    columns = ("log_offset", "log_index")
    pieces = [_keys(rows) for rows in _rows_of(table, files, source, columns, own)]
    keys = np.concatenate([np.zeros(0, np.int64), *pieces])
    return Held(table, tuple(files), source, own, *np.unique(keys, return_counts=True))


def _counts(table: Table, files: Iterable[LiveFile], source: str) -> Counter[tuple[int, int]]:
    """Rows of a topic by slot and shard; a file of one shard is read only where it also holds other
    rows, or deleted ones."""
    counts: Counter[tuple[int, int]] = Counter()
    for file in files:
        first, end = file.shards
        is_pure = source_bounds(table, file) == (source, source) and not file.deletes
        if is_pure and end == first + 1:
            counts[file.slot_ms, first] += file.data.record_count
            continue
        for rows in _rows_of(table, [file], source, ("shard",)):
            shards, here = np.unique(integers(rows, "shard"), return_counts=True)
            for shard, count in zip(shards.tolist(), here.tolist(), strict=True):
                counts[file.slot_ms, shard] += count
    return counts


def _rows_of(
    table: Table,
    files: Iterable[LiveFile],
    source: str,
    columns: Sequence[str],
    keys: Keys = ALL_KEYS,
) -> Iterator[pa.Table]:
    """Rows of a source; files whose bounds exclude it stay closed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for file in files:
        low, high = source_bounds(table, file)
        if low is None or low <= source <= high:
            for rows in rows_of(file, table.io, table.schema(), ("source", *columns), keys):
                mine = pc.equal(rows["source"].cast(pa.string()), source)
                yield rows.filter(pc.fill_null(mine, False))


def _keys(rows: pa.Table) -> Int:
    return (integers(rows, "log_offset") << _INDEX_BITS) | integers(rows, "log_index")


def _identities(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    return zip(*(rows[name].to_pylist() for name in _IDENTITY), strict=True)
