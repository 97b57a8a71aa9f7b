"""The pure core of the stream: one batch of judged impressions onto the blocks that are held.

In: a batch of one partition's records in offset order, and a way to look at a held block. Out: the
blocks that changed, whole, and the counts. No clock, no I/O; the same batch on the same blocks
gives the same blocks, whatever happened in between:

    1. a log whose key has applied its offset already is skipped      a replay changes nothing
    2. a log that was seen in its slot or the one before is dropped   a device's resend
    3. what is left is lifted to rows and added                       speed/lift.py
    4. each touched block carries the newest offset of its logs       the version of step 1

A log is seen by having one valid impression; accepted or dropped, its id goes into its slot's
block, so what is known of logs travels with the state. Logs of one record share an offset, so a
record is never split over two calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from impressions.columns import empty_rows
from impressions.decay import Int
from impressions.delta_block import DeltaBlock
from impressions.event import Reason
from impressions.kafka.records import Batch
from impressions.merge import plus
from impressions.spec import Spec
from speed.lift import lift

Key = tuple[int, int]
"""(profile id, slot start in ms)."""

Held = Callable[[Key], DeltaBlock | None]


@dataclass(frozen=True)
class Applied:
    """What a batch did.

    Attributes:
        blocks: the changed blocks by key.
        applied, duplicate: impressions that counted, and those of logs seen before.
        replayed: impressions whose block held them already; they were counted then.
    """

    blocks: dict[Key, DeltaBlock]
    applied: int
    duplicate: int
    replayed: int


class _Open:
    """One block while a batch is applied to it."""

    def __init__(self, held: DeltaBlock | None, epoch: int):
        self.held = held
        self.known: set[int] = set() if held is None else set(held.log_ids.tolist())
        # An older epoch's offsets belong to another incarnation of the source topic.
        self.version = held.offset if held is not None and held.epoch == epoch else -1
        self.offset = self.version
        self.changed = False
        self.grown = False


def apply(batch: Batch, offsets: Int, held: Held, epoch: int, spec: Spec) -> Applied:
    """Apply a batch.

    Args:
        offsets: (r,) source offset of each record of the batch, ascending.
        held: the block of a key as it was before the batch; None if there is none.
    """
    valid = np.flatnonzero(batch.reason == Reason.OK)
    impressions = np.bincount(batch.log[valid], minlength=len(batch.record))
    slots_ms = batch.ingest_ms[np.searchsorted(batch.log, np.arange(len(batch.record)))]
    slots_ms = slots_ms // spec.slot_ms * spec.slot_ms
    opened: dict[Key, _Open] = {}
    numbers: dict[Key, int] = {}
    group_of_log = np.full(len(batch.record), -1, np.int64)
    counts = {"applied": 0, "duplicate": 0, "replayed": 0}

    def block(key: Key) -> _Open:
        if key not in opened:
            opened[key] = _Open(held(key), epoch)
        return opened[key]

    for i in np.flatnonzero(impressions).tolist():
        key = (int(batch.profile_id[i]), int(slots_ms[i]))
        log_id, offset = int(batch.log_id[i]), int(offsets[batch.record[i]])
        at = block(key)
        if offset <= at.version:
            outcome = "replayed"
        elif log_id in at.known or log_id in block((key[0], key[1] - spec.slot_ms)).known:
            outcome = "duplicate"
        else:
            outcome = "applied"
            group_of_log[i] = numbers.setdefault(key, len(numbers))
            at.grown = True
        counts[outcome] += int(impressions[i])
        if outcome != "replayed":
            at.known.add(log_id)
            at.offset, at.changed = offset, True
    chosen = valid[group_of_log[batch.log[valid]] >= 0]
    log = batch.log[chosen]
    lifted = lift(batch, chosen, group_of_log[log], slots_ms[log], spec)
    blocks = {}
    for key, at in opened.items():
        if at.changed:
            parts = [] if at.held is None or not len(at.held.rows) else [at.held.rows]
            if at.grown:
                parts.append(lifted.of(numbers[key]))
            rows = plus(parts, spec) if parts else empty_rows(spec)
            blocks[key] = DeltaBlock(
                key[1], epoch, at.offset, np.array(sorted(at.known), np.int64), rows
            )
    return Applied(blocks, **counts)
