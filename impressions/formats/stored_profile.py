"""The merged rows of one profile from its stored bytes: decode, merge, group. The definition.

In: the bytes of a profile block and of delta blocks. Out: the `Rows` of impressions/core/merge.py,
by item or already by title. impressions/compiled/profiles.py does the same sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from impressions.core.answer import by_title as grouped_by_title
from impressions.core.merge import EVERYTHING, Selection, merge
from impressions.core.rows import Rows
from impressions.core.spec import Spec
from impressions.formats import delta_block, profile_block


class MergeStored(Protocol):
    """See `merge_plain`."""

    def __call__(
        self,
        query_ms: int,
        cutover_ms: int | None,
        block: bytes | None,
        deltas: Sequence[bytes],
        selection: Selection = EVERYTHING,
        *,
        by_title: bool = False,
    ) -> Rows: ...


def merge_plain(
    spec: Spec,
    query_ms: int,
    cutover_ms: int | None,
    block: bytes | None,
    deltas: Sequence[bytes],
    selection: Selection = EVERYTHING,
    *,
    by_title: bool = False,
) -> Rows:
    """The rows of one profile at `query_ms`.

    Args:
        cutover_ms: of the generation that answers; None when there is none.
        block, deltas: what the generation and the stream hold of the profile.
        by_title: one row per title, under location 0, instead of one per item.

    Raises:
        UsageError: `query_ms` lies before the cutover.
        FormatVersionError, CorruptData: bytes that are not what they should be.
    """
    decoded = None if block is None else profile_block.decode(block, spec)
    blocks = [delta_block.decode(delta, spec) for delta in deltas]
    rows = merge(query_ms, cutover_ms, decoded, blocks, spec, selection)
    return grouped_by_title(rows) if by_title else rows


def row_count(block: bytes | None, deltas: Sequence[bytes]) -> int:
    """How many rows these blocks say they have."""
    stored = 0 if block is None else profile_block.row_count(block)
    return stored + sum(map(delta_block.row_count, deltas))
