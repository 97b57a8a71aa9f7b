"""A batch onto encoded blocks: compiled where possible, else as apply.py says, block by block.

The worker keeps and publishes bytes, so both forms take and give them. They give the same bytes
(tests/speed/test_encoded_apply.py); without numba it takes some forty times as long.
"""

from __future__ import annotations

import numpy as np

from impressions.compiled import blocks
from impressions.compiled.blocks import HeldBlocks, Judged, Outcome
from impressions.core.decay import Int
from impressions.core.item import pack
from impressions.core.spec import Spec
from impressions.formats import delta_block
from impressions.formats.delta_block import DeltaBlock
from impressions.kafka.decoded_batch import DecodedBatch
from speed.applying import slot_parts
from speed.applying.apply import apply, of_flushes
from speed.applying.slot_parts import Key


def apply_encoded(
    batch: DecodedBatch,
    offsets: Int,
    held: HeldBlocks,
    epoch: int,
    spec: Spec,
    *,
    compiled: bool = True,
) -> Outcome:
    """Apply a batch.

    Args:
        offsets: (r,) source offset of each record of the batch, ascending.
        held: the blocks before the batch; where it is not compiled, whole ones.
        compiled: False takes the plain form.
    """
    kernels = blocks.kernels() if compiled else None
    if kernels is None:
        return _plain(batch, offsets, held, epoch, spec)
    bounds = slot_parts.FIRST_FULL_AT, slot_parts.FULL_AT_GROWTH, slot_parts.FULL_AT_MOST
    return blocks.apply(kernels, _judged(batch, offsets, spec), held, epoch, bounds, spec)


def _judged(batch: DecodedBatch, offsets: Int, spec: Spec) -> Judged:
    valid, slot_ms = of_flushes(batch, spec)
    added = np.empty((len(spec.added_columns), len(batch.flush)))
    for row, name in zip(added, spec.added_columns, strict=True):
        row[:] = getattr(batch, name)
    return Judged(
        profile_id=batch.profile_id,
        slot_ms=slot_ms,
        offset=offsets[batch.record],
        flush_id=batch.log_id,
        valid=valid,
        flush=batch.flush,
        reason=batch.reason,
        items=pack(batch.title_id, batch.location),
        event_ms=batch.counted_ms,
        added=added,
    )


def _plain(batch: DecodedBatch, offsets: Int, held: HeldBlocks, epoch: int, spec: Spec) -> Outcome:
    def of(key: Key) -> DeltaBlock | None:
        (chain,), part = held.chains([_slot_of(key, spec)]), key[1] % spec.slot_ms
        data = chain[part] if part < len(chain) else held.look_up([delta_block.key(*key)])[0]
        return delta_block.decode(data, spec) if data else None

    done = apply(batch, offsets, of, epoch, spec)
    parts = [key[1] % spec.slot_ms for key in done.blocks]
    return Outcome(
        [_slot_of(key, spec) for key in done.blocks],
        parts,
        [delta_block.key(*key) for key in done.blocks],
        [delta_block.encode(block, spec) for block in done.blocks.values()],
        list(map(slot_parts.is_full, done.blocks.values(), parts)),
        done.applied,
        done.duplicate,
        done.replayed,
    )


def _slot_of(key: Key, spec: Spec) -> bytes:
    """The key of a slot's first part, of any part's."""
    return delta_block.key(key[0], key[1] - key[1] % spec.slot_ms)
