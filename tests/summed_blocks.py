"""Delta blocks of version 2, as workers wrote them before version 3: a row per item, with its sums.

The product reads them for ever and cannot write them.
"""

import struct

from impressions.core.decay import Int
from impressions.core.merge import plus
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.formats.columns import F64, encode_table
from impressions.formats.delta_block import DeltaBlock

_HEADER = struct.Struct("<BBBBIqqIqII")


def encode(
    slot_start_ms: int, epoch: int, offset: int, log_ids: Int, rows: Rows, spec: Spec
) -> bytes:
    """The bytes of one block; items ascending and unique, sums relative to the slot's start."""
    newest_ms = int(rows.last_seen_ms.max(initial=0))
    header = _HEADER.pack(
        2, ord("D"), len(spec.measures), len(spec.half_lives_days), spec.tag,
        slot_start_ms, newest_ms, epoch, offset, len(rows), len(log_ids),
    )  # fmt: skip
    return header + log_ids.astype("<u8").tobytes() + encode_table(rows, newest_ms, spec, F64)


def encode_as_before(block: DeltaBlock, spec: Spec) -> bytes:
    """What a worker of then would have written of the same impressions."""
    rows = plus([block.rows(spec)], spec)
    return encode(block.slot_start_ms, block.epoch, block.offset, block.log_ids, rows, spec)
