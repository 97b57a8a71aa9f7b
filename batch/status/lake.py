"""What the tables report of themselves, read with pyiceberg: no Spark, no JVM, no row of an event.

    raw    how far it is valid and landed (properties of snapshots, by the jobs' own code), and per
           slot how many rows are undecided (metadata of its files)
    quality  findings about the days of the last four weeks, judged now from the table's rows
    ema    the published generations (tags), what each was computed from, and what it lacks

A generation lacks the rows that came to its slots after the snapshot it was computed from. Counts
of rows per slot then and now say it; `close` rewrites rows and changes no count.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from batch.closing.slots import due_slots
from batch.lake import generations, snapshots, tables
from batch.lake.generations import lacking
from batch.lake.slot_states import SlotState, slot_states
from batch.quality import table as quality_table
from batch.quality.review import review
from impressions.core.spec import DAY_MS, Spec
from impressions.settings.model import Settings
from impressions.status.facts import Lake, Published, Quality, SlotRows
from impressions.status.questions import Absent

if TYPE_CHECKING:
    from pyiceberg.table import Table

_JUDGED_DAYS = 28
SlotStates = dict[int, SlotState]


def read_lake(settings: Settings) -> Lake:
    """Read the catalog.

    Raises:
        Absent: nothing was landed yet.
        Refused: the tables are of other settings, or of the home that this one was copied from.
    """
    raw = tables.fitting(settings, tables.RAW)
    if raw is None:
        raise _nothing()
    state = snapshots.state(raw)
    slots = slot_states(raw, state.snapshot_id)
    ema = tables.find(settings, tables.EMA)
    generations = () if ema is None else _generations(ema, raw, slots, settings.spec)
    through_ms = state.valid_through_ms
    cursors = state.landed.cursors if state.landed else ()
    return Lake(
        valid_through_ms=through_ms,
        landed_offsets=tuple(cursor.next_offset for cursor in cursors),
        slots={slot: SlotRows(held.rows, held.undecided) for slot, held in slots.items()},
        due=frozenset(() if through_ms is None else due_slots(slots, through_ms, settings.spec)),
        generations=generations,
        quality=quality_table.once(settings, _quality),
    )


def _quality(settings: Settings) -> Quality | None:
    """Days of the last four weeks."""
    kept = quality_table.read(settings)
    newest = max((row.day for row in kept.rows), default=None)
    if newest is None:
        return None
    verdict = review(settings, kept, None, newest - _JUDGED_DAYS)
    found = sorted(verdict.findings, key=lambda one: -one.day)
    return Quality(
        through_ms=(newest + 1) * DAY_MS,
        blocking=tuple(f"{one.id} {one.sentence}" for one in found if one.blocks),
        named=tuple(f"{one.id} {one.sentence}" for one in found if not one.blocks),
        accepted=len(verdict.accepted),
        counts=Counter((one.measure, one.blocks) for one in found),
    )


def _generations(ema: Table, raw: Table, now: SlotStates, spec: Spec) -> tuple[Published, ...]:
    """From the oldest on."""
    known, found = generations.history(ema), []
    for cutover_ms, generation in sorted(known.tagged.items()):
        lacks = None
        if raw.snapshot_by_id(generation.source_id) is not None:
            then = slot_states(raw, generation.source_id)
            lacks = lacking(then, now, cutover_ms, spec)
        is_main = known.main is not None and known.main.snapshot_id == generation.snapshot_id
        found.append(Published(generation.name, cutover_ms, generation.entries, is_main, lacks))
    return tuple(found)


def _nothing() -> Absent:
    return Absent("nothing was landed yet", "impressions land, or impressions land --from-files")
