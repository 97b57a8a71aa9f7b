"""A shard computed both ways: how far the rows from the generation before are from those from raw.

Both come in pieces of whole profiles that end at different places; they are compared up to the
last profile that both have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from batch.compacting.audits import Finding
from batch.lake.ema_columns import Columns, keys_of, numbers_of
from impressions.compiled.shifts import Unfit
from impressions.core.decay import Int
from impressions.core.spec import Spec

SAME_SUM = 1e-9
"""Relative difference of doubles up to which both ways count as the same."""


@dataclass(frozen=True)
class Compared:
    """How far both ways are apart.

    Attributes:
        rows: keys of the rows from scratch.   unpaired: keys that only one has.
        unequal: rows whose counts or last seen differ.
        largest: the largest relative difference of any double.
        where: the profile of the first fault; -1: none.
    """

    rows: int = 0
    unpaired: int = 0
    unequal: int = 0
    largest: float = 0.0
    where: int = -1

    @property
    def is_same(self) -> bool:
        return not self.unpaired and not self.unequal and self.largest <= SAME_SUM

    def __add__(self, other: Compared) -> Compared:
        return Compared(
            self.rows + other.rows,
            self.unpaired + other.unpaired,
            self.unequal + other.unequal,
            max(self.largest, other.largest),
            self.where if self.where >= 0 else other.where,
        )


class Beside:
    """Rows from the generation before, taken along while those from scratch are made.

    Attributes:
        found: so far.   unfit: why they cannot be had; then nothing is compared any more.
    """

    def __init__(self, pieces: Iterator[Columns], spec: Spec):
        self._pieces, self._spec = pieces, spec
        self._held: list[Columns] = []
        self.found, self.unfit = Compared(), ""

    def compare(self, made: Columns) -> None:
        """Rows from scratch, of whole profiles that come after those before."""
        last = int(made.profiles[-1])
        while not self._held or self._held[-1].profiles[-1] < last:
            if (piece := self._next()) is None:
                break
            self._held += [piece] if len(piece.rows) else []
        if self.unfit:
            return
        mine = [_part(piece, last, below=True) for piece in self._held]
        rest = [_part(piece, last, below=False) for piece in self._held]
        self._held = [piece for piece in rest if len(piece.rows)]
        self.found += compared(mine, made, self._spec)

    def finish(self) -> Compared:
        """What was found; whatever is left has nothing beside it."""
        rest = iter(self._next, None)
        left = [piece for piece in (*self._held, *rest) if len(piece.rows)]
        unpaired = sum(len(piece.rows) for piece in left)
        where = int(left[0].profiles[0]) if left else -1
        return self.found + Compared(unpaired=unpaired, where=where)

    def _next(self) -> Columns | None:
        try:
            return None if self.unfit else next(self._pieces, None)
        except Unfit as unfit:
            self.unfit = str(unfit)
            return None


def _part(piece: Columns, last: int, *, below: bool) -> Columns:
    cut = int(np.searchsorted(piece.profiles, last, side="right"))
    at = slice(0, cut) if below else slice(cut, None)
    return Columns(piece.profiles[at], piece.days[at], piece.rows.take(at))


def compared(mine: Sequence[Columns], made: Columns, spec: Spec) -> Compared:
    """Rows from the generation before, and those of the same profiles from scratch."""
    keys, numbers = keys_of(mine), numbers_of(mine, spec)
    wanted, right = keys_of([made]), numbers_of([made], spec)
    if keys.shape != wanted.shape or (keys != wanted).any():
        mine_only, made_only = _only_in(keys, wanted), _only_in(wanted, keys)
        first = min(k[0, 0] for k in (mine_only, made_only, wanted) if k.size)
        count = max(mine_only.shape[1] + made_only.shape[1], 1)
        return Compared(wanted.shape[1], unpaired=count, where=int(first))
    is_whole = np.array(
        [True, *(m.integral for m in spec.measures), *[False] * len(spec.decayed_names)]
    )
    unequal = (numbers[is_whole] != right[is_whole]).any(axis=0)
    one, other = numbers[~is_whole], right[~is_whole]
    scale = np.maximum(np.abs(one), np.abs(other))
    apart = np.divide(np.abs(one - other), scale, out=np.zeros_like(scale), where=scale != 0)
    apart[np.isnan(apart)] = np.inf
    wrong = np.flatnonzero(unequal | (apart > SAME_SUM).any(axis=0))
    return Compared(
        wanted.shape[1],
        unequal=int(unequal.sum()),
        largest=float(apart.max(initial=0.0)),
        where=int(wanted[0, wrong[0]]) if len(wrong) else -1,
    )


def _only_in(keys: Int, others: Int) -> Int:
    """Columns of `keys` that are not in `others`."""
    there = set(map(tuple, others.T.tolist()))
    return keys[:, [key not in there for key in map(tuple, keys.T.tolist())]]


def finding(results: Iterable[tuple[int, Compared]]) -> Finding | None:
    """The audit `incremental` of (shard, result); None where no shard was computed both ways."""
    every = list(results)
    if not every:
        return None
    whole = sum((one for _, one in every), Compared())
    shards = ", ".join(str(shard) for shard in sorted({shard for shard, _ in every}))
    wrong = [(shard, one) for shard, one in every if not one.is_same]
    found = (
        f"{whole.unpaired} keys, {whole.unequal} counts and times, sums by {whole.largest:.1e} "
        f"in {whole.rows} rows of shards {shards}"
    )
    if wrong:
        found += f"; the first in shard {wrong[0][0]}, profile {wrong[0][1].where}"
    expected = f"0, 0 and at most {SAME_SUM:.0e} apart from those computed from scratch"
    return Finding("incremental", not wrong, found, expected)
