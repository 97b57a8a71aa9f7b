"""One part of a generation from the generation before: both tables' files, side by side by profile.

Three streams, each ascending by profile and in pieces of whole profiles: rows of the generation
before, impressions that enter the tail, and those of new slots. Each step takes what is complete of
all three. What the audits compare with is counted of the rows as they are read, apart from the
kernel: the totals of old rows that stay, and of new impressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batch.compacting.facts import Reading
from batch.compacting.incremental.plain_shift import plain_shift
from batch.compacting.plain_sums import raw_totals
from batch.compacting.raw_rows import (
    columns_of_raw,
    impressions_of,
    joined,
    no_impressions,
    some_of,
)
from batch.lake.data_file_rows import Profiles
from batch.lake.ema_columns import NOT_TAIL, Columns, column_names, columns_of, columns_of_sums
from batch.lake.opened_files import Opened
from batch.lake.profile_merge import complete_profiles_of
from impressions.compiled import shifts
from impressions.compiled.shifts import Old
from impressions.compiled.sums import Impressions
from impressions.core import window
from impressions.core.decay import Int
from impressions.core.spec import DAY_MS, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

ROW_BYTES = 900
"""Memory that a row takes at most: of the generation before, in Arrow, in numpy, as a new row."""

LEAST_BATCH = 1_024


@dataclass(frozen=True)
class Base:
    """What a shard is computed from instead of all of raw; travels to Spark's executors.

    Attributes:
        cutover_ms: of the generation before.
        old: its files.   entering: files of raw that may hold events of the days that enter the
        tail, of slots before that cutover.   new: files of the slots since.
        old_rows: in all files of the generation before.
    """

    cutover_ms: int
    old: tuple[str, ...]
    entering: tuple[str, ...]
    new: tuple[str, ...]
    old_rows: int


def steps(
    base: Base,
    shard: int,
    profiles: Profiles,
    cutover_ms: int,
    spec: Spec,
    storage: Mapping[str, str],
    memory_bytes: int,
    opened: Opened | None = None,
) -> Iterator[tuple[Reading, Columns]]:
    """What was read and what it becomes, in steps of whole profiles.

    Args:
        opened: files of raw of its task, opened to read `columns_of_raw`.

    Raises:
        CorruptData: as the other form.   Unfit: it cannot be had this way.
    """
    compiled = shifts.kernel()
    rows = memory_bytes // 3 // ROW_BYTES

    def at_a_time(paths: Sequence[str]) -> int:
        return max(rows // max(len(paths), 1), LEAST_BATCH)

    # A file of the generation before is of one shard; one of raw has rows of several.
    old = complete_profiles_of(
        base.old, column_names(spec), storage, at_a_time(base.old), profiles
    )  # fmt: skip
    raw = [
        complete_profiles_of(
            paths, columns_of_raw(spec), storage, at_a_time(paths), profiles, shard, opened
        )
        for paths in (base.entering, base.new)
    ]
    for pieces in side_by_side([old, *raw]):
        yield _step(compiled, pieces, base.cutover_ms, cutover_ms, spec)


def _step(
    compiled: object | None,
    pieces: Sequence[pa.RecordBatch | None],
    from_ms: int,
    to_ms: int,
    spec: Spec,
) -> tuple[Reading, Columns]:
    before, old_slots, new_slots = pieces
    old = _old_of(before, spec)
    entering = _entering(old_slots, from_ms, to_ms, spec)
    new = no_impressions(spec) if new_slots is None else impressions_of(new_slots, spec)
    of = joined(entering, new)
    count = len(entering.profiles)
    if compiled is None:
        made = plain_shift(old, of, count, from_ms, to_ms, spec)
    else:
        made = columns_of_sums(
            shifts.shifted_by(compiled, old, of, count, from_ms, to_ms, spec), spec
        )
    read = sum(piece.num_rows for piece in pieces if piece is not None)
    return Reading(read, _totals(old, new, to_ms, spec)), made


def _old_of(batch: pa.RecordBatch | None, spec: Spec) -> Old:
    if batch is None:
        none = np.zeros(0, np.int64)
        measures, half_lives = len(spec.measures), len(spec.half_lives_days)
        return Old(
            none, none, none, none, np.zeros((measures, 0)), np.zeros((measures * half_lives, 0))
        )
    found = columns_of(batch, spec)
    rows = found.rows
    return Old(
        found.profiles, rows.items, found.days, rows.last_seen_ms, rows.totals, rows.flat_sums
    )


def _entering(batch: pa.RecordBatch | None, from_ms: int, to_ms: int, spec: Spec) -> Impressions:
    """Those of the generation before that are on a day that enters the tail."""
    if batch is None:
        return no_impressions(spec)
    read = impressions_of(batch, spec)
    day_us = DAY_MS * 1000
    low_us = window.tail_days(from_ms, spec).stop * day_us
    high_us = window.tail_days(to_ms, spec).stop * day_us
    at = read.event_us
    return some_of(read, np.flatnonzero((at >= low_us) & (at < high_us) & ~read.left_out))


def _totals(old: Old, new: Impressions, to_ms: int, spec: Spec) -> dict[str, float]:
    """Measure -> sum of what counts at the new cutover."""
    stays = (old.days == NOT_TAIL) | (old.days >= window.first_day(to_ms, spec))
    added = raw_totals(new, to_ms, spec)
    return {
        m.name: added[m.name] + (int if m.integral else float)(x[stays].sum())
        for m, x in zip(spec.measures, old.totals, strict=True)
    }


def side_by_side(
    streams: Sequence[Iterator[pa.RecordBatch]],
) -> Iterator[list[pa.RecordBatch | None]]:
    """Whole profiles of several streams, each in ascending pieces of whole profiles.

    A step takes of each stream what lies before the first profile that one may still bring. Rows
    of a piece stand file by file, so a piece is cut by looking at all of them.
    """
    held: list[pa.RecordBatch | None] = [None] * len(streams)
    is_over = [False] * len(streams)
    while True:
        for at, stream in enumerate(streams):
            if held[at] is None and not is_over[at]:
                held[at] = next(stream, None)
                is_over[at] = held[at] is None
        pieces = [piece for piece in held if piece is not None]
        if not pieces:
            return
        last = min(int(_profiles(piece).max()) for piece in pieces)
        taken: list[pa.RecordBatch | None] = []
        for at, whole in enumerate(held):
            first, held[at] = _cut(whole, last)
            taken.append(first)
        yield taken


def _cut(
    piece: pa.RecordBatch | None, last: int
) -> tuple[pa.RecordBatch | None, pa.RecordBatch | None]:
    """The rows of profiles up to the last one, and the rest; None where there are none."""
    import pyarrow as pa

    if piece is None:
        return None, None
    is_first = _profiles(piece) <= last
    if is_first.all():
        return piece, None
    if not is_first.any():
        return None, piece
    return piece.filter(pa.array(is_first)), piece.filter(pa.array(~is_first))


def _profiles(piece: pa.RecordBatch) -> Int:
    profiles: Int = piece.column("profile_id").to_numpy()
    return profiles
