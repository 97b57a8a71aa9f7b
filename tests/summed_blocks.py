"""Delta blocks of version 2, as workers wrote them before version 3: a row per item, with its sums.

The product reads them for ever and cannot write them.
"""

import struct

from impressions.core.decay import Int
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.formats.columns import F64, encode_table

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
