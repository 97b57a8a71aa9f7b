"""The limit of bytes of the answer to one call: checked before the computing, then counted.

An answer has at least one row for each title (or item) of the largest stored block of its profile.
If that cannot fit, the call is refused before anything is computed. Everything that is computed is
counted. So a call holds no more than its limit, one profile, and gRPC's copy of the answer. A
profile that is asked for several times is computed once and counted each time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impressions.core.answer import Query
from impressions.core.decay import Int
from impressions.core.item import title_of
from impressions.core.merge import Selection
from impressions.core.spec import Spec
from impressions.formats import delta_block, profile_block
from impressions.formats.stored_profile import row_count
from serving.error_status import AnswerTooLarge


class AnswerBudget:
    """The bytes of one call's answer."""

    def __init__(self, limit_bytes: int, query: Query, selection: Selection, spec: Spec):
        self._limit_bytes, self._used_bytes = limit_bytes, 0
        self._query, self._spec = query, spec
        self._selects = selection.titles is not None or selection.locations is not None
        self._row_bytes = row_bytes(query)

    def check_before(self, block: bytes | None, deltas: Sequence[bytes], times: int = 1) -> None:
        """Check a profile before it is computed; its answer will be given `times` times.

        Raises:
            AnswerTooLarge: it cannot fit.
            CorruptData: a block cannot be read.
        """
        left_rows = (self._limit_bytes - self._used_bytes) // (times * self._row_bytes)
        if self._selects or self._rows(row_count(block, deltas)) <= left_rows:
            return
        rows = self._rows(self._least_rows(block, deltas))
        if rows > left_rows:
            raise self._too_large(self._used_bytes + times * rows * self._row_bytes)

    def add(self, size_bytes: int, times: int = 1) -> None:
        """Count the bytes of an answer. Raises AnswerTooLarge above the limit."""
        self._used_bytes += times * size_bytes
        if self._used_bytes > self._limit_bytes:
            raise self._too_large(self._used_bytes)

    def _rows(self, rows: int) -> int:
        return rows if self._query.top is None else min(rows, self._query.top.k)

    def _least_rows(self, block: bytes | None, deltas: Sequence[bytes]) -> int:
        stored = [] if block is None else [profile_block.decode(block, self._spec).items()]
        stored += [delta_block.decode(delta, self._spec).items for delta in deltas]
        return max(map(self._count, stored), default=0)

    def _count(self, items: Int) -> int:
        keys = items if self._query.by_location else title_of(items)
        return min(len(keys), 1) + int(np.count_nonzero(keys[1:] != keys[:-1]))

    def _too_large(self, size_bytes: int) -> AnswerTooLarge:
        return AnswerTooLarge(
            f"an answer of at least {size_bytes:,} bytes, expected at most {self._limit_bytes:,}",
            hint="ask for fewer profiles in a call, for titles, top_k or fewer columns; "
            "serving.max_answer_bytes is the limit",
        )


def row_bytes(query: Query) -> int:
    """Bytes of one row of an answer, in all columns of the query."""
    measures, half_lives = len(query.measures), len(query.half_lives_days)
    sums = measures * half_lives * (query.decayed + query.ema_rates)
    columns = 1 + query.last_seen + query.totals * measures + sums
    columns += query.plays_per_impression * half_lives
    return 8 * columns + 4 * query.by_location
