"""The published generations of the aggregate table, read from its snapshots: no Spark.

A signed snapshot says what its rows were computed from and what the audits found; the tag
gen_<date> names it. batch/compacting/publishing.py writes all of that.

A generation lacks rows that reached one of its slots after it was computed. Landing keeps a margin
for clocks that differ, so this is rare; when it happens the rows are kept, their slot is closed
again, and the next generation holds them. Until then `status` says so. `land` adds rows and `close`
keeps them, so a slot that has more rows now than in the snapshot that a generation was computed
from has rows which that generation lacks (`lacking`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch.lake import incremental_record, snapshots
from batch.lake.incremental_record import Record
from batch.lake.slot_states import SlotState
from batch.lake.snapshots import RUN_ID, Snapshot
from impressions.core import window
from impressions.core.spec import Spec
from impressions.formats.generation_paths import generation_id, ref_name

if TYPE_CHECKING:
    from pyiceberg.table import Table

CUTOVER = "impressions.cutover-ms"
SOURCE = "impressions.source-snapshot-id"
WINDOW = "impressions.window-digest"
SPEC = "impressions.spec"
HISTORY = "impressions.history-until-ms"
ACCEPTED = "impressions.accepted"
TOTAL = "impressions.total."
AUDIT = "audit."


@dataclass(frozen=True)
class Generation:
    """A published generation, as its signed snapshot describes it.

    Attributes:
        history_until_ms, accepted: see impressions/formats/manifest.py.
        entries: rows.   totals: measure -> undecayed sum.   audits: name -> what was found.
        incremental: which shards were made from the generation before (incremental_record.py).
    """

    snapshot_id: int
    cutover_ms: int
    source_id: int
    window_digest: str
    spec_fingerprint: str
    run_id: str
    history_until_ms: int
    entries: int
    totals: Mapping[str, float]
    audits: Mapping[str, str]
    accepted: tuple[str, ...] = ()
    incremental: Record = field(default_factory=Record)

    @property
    def name(self) -> str:
        return generation_id(self.cutover_ms)


@dataclass(frozen=True)
class History:
    """All published generations: those with a tag, by cutover, and the one main shows."""

    tagged: Mapping[int, Generation]
    main: Generation | None

    def of(self, cutover_ms: int) -> Generation | None:
        """The generation with this cutover, also if a crash kept it from getting its tag."""
        if self.main is not None and self.main.cutover_ms == cutover_ms:
            return self.tagged.get(cutover_ms, self.main)
        return self.tagged.get(cutover_ms)

    def before(self, cutover_ms: int, count: int) -> list[Generation]:
        """The newest `count` generations with an earlier cutover, newest first."""
        known = {**self.tagged, **({self.main.cutover_ms: self.main} if self.main else {})}
        earlier = sorted((c for c in known if c < cutover_ms), reverse=True)
        return [known[c] for c in earlier[:count]]


def history(ema: Table | None) -> History:
    """What the table's refs and snapshots say; nothing where there is no table."""
    if ema is None:
        return History({}, None)
    known = snapshots.by_id(ema)
    tagged, main = {}, None
    for name, snapshot_id in snapshots.refs(ema).items():
        generation = generation_of(known.get(snapshot_id))
        if generation is None:
            continue
        if name == "main":
            main = generation
        elif name == ref_name("gen", generation.cutover_ms):
            tagged[generation.cutover_ms] = generation
    return History(tagged, main)


def generation_of(commit: Snapshot | None) -> Generation | None:
    """None for a snapshot that is no signed generation."""
    if commit is None or CUTOVER not in commit.summary:
        return None
    said = commit.summary
    audits = {k.removeprefix(AUDIT): v for k, v in said.items() if k.startswith(AUDIT)}
    if not audits:
        return None
    return Generation(
        snapshot_id=commit.id,
        cutover_ms=int(said[CUTOVER]),
        source_id=int(said[SOURCE]),
        window_digest=said[WINDOW],
        spec_fingerprint=said[SPEC],
        run_id=said[RUN_ID],
        history_until_ms=int(said.get(HISTORY, 0)),
        entries=int(said["total-records"]),
        totals={k.removeprefix(TOTAL): float(v) for k, v in said.items() if k.startswith(TOTAL)},
        audits=audits,
        accepted=tuple(json.loads(said.get(ACCEPTED, "[]"))),
        incremental=incremental_record.decode(said),
    )


def lacking(
    then: Mapping[int, SlotState], now: Mapping[int, SlotState], cutover_ms: int, spec: Spec
) -> int:
    """Rows that a generation lacks: in its slots now, but not when it was computed."""
    first_ms = window.first_slot_ms(cutover_ms, spec)
    return sum(
        max(0, state.rows - (then[slot].rows if slot in then else 0))
        for slot, state in now.items()
        if first_ms <= slot < cutover_ms
    )
