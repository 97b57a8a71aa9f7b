"""What the tables say of themselves, read with pyiceberg: no Spark, no JVM, no row of data.

    raw    how far it is valid and landed (properties of snapshots, by the jobs' own code), and per
           slot how many rows are undecided (metadata of its files)
    ema    the published generations (tags), what each was computed from, and what it lacks

A generation lacks the rows that came to its slots after the snapshot it was computed from. Counts
of rows per slot then and now say it; `close` rewrites rows and changes no count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake import generations, snapshots, tables
from batch.lake.generations import lacking
from batch.lake.slot_states import SlotState, slot_states
from batch.lake.snapshots import State
from impressions.core.spec import Spec
from impressions.settings.model import Settings
from impressions.status.questions import Absent

if TYPE_CHECKING:
    from pyiceberg.table import Table

SlotRows = dict[int, SlotState]


@dataclass(frozen=True)
class Published:
    """A generation in the aggregate table.

    Attributes:
        entries: its rows.
        is_main: whether a plain SELECT shows it.
        lacks: rows of its slots that came after it was computed; None: its source has expired.
    """

    generation: str
    cutover_ms: int
    entries: int
    is_main: bool
    lacks: int | None


@dataclass(frozen=True)
class Lake:
    """Both tables. `slots`: by start in ms."""

    state: State
    slots: SlotRows
    generations: tuple[Published, ...]


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
    return Lake(state, slots, generations)


def _generations(ema: Table, raw: Table, now: SlotRows, spec: Spec) -> tuple[Published, ...]:
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
