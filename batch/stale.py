"""Generations that lack rows: rows that reached a slot before the cutover after they were computed.

Landing keeps a margin for clocks that differ, so this is rare; when it happens the rows are kept,
their slot is closed again, and the next generation holds them. Until then somebody should know.

`land` adds rows and `close` keeps them, so a slot that has more rows now than in the snapshot that
a generation was computed from has rows which that generation lacks. Metadata only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch import closing, published, snapshots, tables
from impressions import window
from impressions.shell.settings import Settings
from impressions.spec import Spec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Stale:
    """A published generation, and rows that came too late for it, by the start of their slot."""

    generation: str
    missing: dict[int, int]

    @property
    def rows(self) -> int:
        return sum(self.missing.values())


def stale_generations(
    spark: SparkSession, settings: Settings, newest: int | None = None
) -> list[Stale]:
    """Published generations that lack rows, oldest first; duplicates are among the rows.

    Args:
        newest: look at so many of the newest generations only.

    A generation whose source snapshot has expired is passed over: nothing can be said of it.
    """
    if not tables.exists(spark, settings, tables.EMA):
        return []
    raw = tables.full_name(settings, tables.RAW)
    known = published.history(spark, tables.full_name(settings, tables.EMA)).tagged
    commits = snapshots.snapshots(spark, raw)
    now = closing.slot_states(spark, settings, snapshots.ref_snapshot_id(spark, raw))
    found = []
    for cutover_ms in sorted(known)[-(newest or len(known)) :]:
        generation = known[cutover_ms]
        if generation.source_id not in commits:
            continue
        then = closing.slot_states(spark, settings, generation.source_id)
        if late := lacking(then, now, cutover_ms, settings.spec):
            found.append(Stale(generation.name, late))
    return found


def lacking(
    then: Mapping[int, closing.SlotState],
    now: Mapping[int, closing.SlotState],
    cutover_ms: int,
    spec: Spec,
) -> dict[int, int]:
    """Rows by slot that a generation lacks: in its slots now, but not when it was computed."""
    first_ms = window.first_slot_ms(cutover_ms, spec)
    more = {
        slot: state.rows - (then[slot].rows if slot in then else 0)
        for slot, state in sorted(now.items())
        if first_ms <= slot < cutover_ms
    }
    return {slot: rows for slot, rows in more.items() if rows > 0}
