"""Which of the arriving blocks win: those whose (epoch, offset) is not older than what is held.

In: records of the delta topic in their order, and what the store holds of their keys. Out: what to
put and what to delete. Only headers are read. Of several blocks of one key in a batch the newest
wins, wherever it comes: a worker that lost its partition may still append an older one.

A value that is no delta block is kept as it is, with the lowest version there is. A reader is
notified that data is lost and gets no number; the next good block replaces the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from impressions.core.errors import CorruptData
from impressions.core.spec import Spec
from impressions.formats import delta_block

Version = tuple[int, int]
UNREADABLE: Version = (-1, -1)


class Candidate(NamedTuple):
    """The newest that a batch has for one key.

    Attributes:
        value: a block; None for a tombstone.
        outright: a tombstone comes before it, so what the store holds does not matter.
    """

    value: bytes | None
    version: Version
    outright: bool


def version_of(block: bytes, spec: Spec) -> Version:
    """(epoch, offset) of a block; `UNREADABLE` for other bytes."""
    try:
        header = delta_block.header(block, spec)
    except CorruptData:
        return UNREADABLE
    return header.epoch, header.offset


def newest(records: Iterable[tuple[bytes, bytes | None]], spec: Spec) -> dict[bytes, Candidate]:
    """The candidate of each key among these (key, value) records."""
    out: dict[bytes, Candidate] = {}
    for key, value in records:
        before = out.get(key)
        if value is None:
            out[key] = Candidate(None, UNREADABLE, True)
            continue
        version = version_of(value, spec)
        if before is None or version >= before.version:
            out[key] = Candidate(value, version, before is not None and before.outright)
    return out


def decide(
    candidates: Mapping[bytes, Candidate], held: Sequence[bytes | None], spec: Spec
) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """(puts, deletes); `held` is what the store holds of each candidate's key, in their order."""
    puts, deletes = [], []
    for (key, candidate), old in zip(candidates.items(), held, strict=True):
        if candidate.value is None:
            deletes.append(key)
        elif candidate.outright or old is None or candidate.version >= version_of(old, spec):
            puts.append((key, candidate.value))
    return puts, deletes
