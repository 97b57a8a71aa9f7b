"""What the engine delivers: records of one partition that were fetched together, in pieces.

A fetch is one Faust event, however many records it has. What was polled of a busy partition is cut
into pieces, an eighth of a flush each, so that a number of them is bounded in size and leaves room
for other partitions; a flush joins what it gets of its partition (`chunks`).

Offsets jump where a transaction ends, by a marker that no consumer gets. So a piece says from which
offset on it holds every record of the partition: from the end of the piece before it, or from where
the consumer was sent. A reader that takes only pieces that begin no later than what it expects
misses nothing, except what the partition has lost (retention); there the client goes on at its new
start.

    records    0  1  2     4  5  6     8  9         3 and 7 are markers
    pieces    [0  1  2] [  4  5  6] [  8  9]        starts: 0, 3, 7
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from speed.applying.source_record import SourceRecord

_FLUSH_BYTES = 2 << 20
"""Of source records: some 40,000 impressions."""
_PIECES = 8


class _Recorded(Protocol):
    """A record, as far as cutting needs it."""

    @property
    def offset(self) -> int: ...

    @property
    def value(self) -> bytes | None: ...


_R = TypeVar("_R", bound=_Recorded)
_K = TypeVar("_K", bound=Hashable)


@dataclass(frozen=True)
class Piece(Generic[_R]):
    """Records that follow each other, at least one: all that the partition has from `start` on."""

    start: int
    records: list[_R]


@dataclass(frozen=True)
class Fetch:
    """Some records of one partition.

    Attributes:
        generation: of the consumer group, when they were fetched.
        start: the offset from which on the partition has no others; at most the first one's.
        records: at least one, offsets ascending.
        stamped: whether the broker stamped each of them.
    """

    partition: int
    generation: int
    start: int
    records: list[SourceRecord]
    stamped: bool

    @classmethod
    def of(cls, event: Any) -> Fetch:
        """From a Faust event whose value is a piece of records."""
        message, piece = event.message, event.message.value
        records = list(piece.records)
        stamped = all(record.stamped for record in records)
        return cls(message.partition, message.generation_id, piece.start, records, stamped)

    @property
    def first(self) -> int:
        """The offset of its first record."""
        return self.records[0].offset

    @property
    def end(self) -> int:
        """The offset after its last record."""
        return self.records[-1].offset + 1


class Polls(Generic[_K]):
    """Cuts what was polled into pieces, and knows the position of the consumer in each partition.

    A poll goes on where the one before it ended, or where the consumer was sent since (`sought`).
    The thread that polls and seeks calls it, so a position is never out of date.
    """

    def __init__(self, batch_records: int):
        self._batch_records = batch_records
        self._positions: dict[_K, int] = {}

    def sought(self, positions: Mapping[_K, int]) -> None:
        """The consumer reads on from these offsets."""
        self._positions.update(positions)

    def cut(self, polled: Mapping[_K, Sequence[_R]]) -> dict[_K, list[Piece[_R]]]:
        """The pieces of each partition's records, which are of one answer of the broker."""
        return {at: list(self._pieces(at, records)) for at, records in polled.items()}

    def _pieces(self, at: _K, records: Sequence[_R]) -> Iterator[Piece[_R]]:
        for piece in _cut(records, max(1, self._batch_records // _PIECES), _FLUSH_BYTES // _PIECES):
            first = piece[0].offset
            yield Piece(min(first, self._positions.get(at, first)), piece)
            self._positions[at] = piece[-1].offset + 1


def jumps(fetches: Sequence[Fetch], expected: int) -> bool:
    """Whether some first record is not the expected one, or the next one after the fetch before."""
    ends = [expected, *(fetch.end for fetch in fetches)]
    return any(fetch.first > end for fetch, end in zip(fetches, ends, strict=False))


def split_connected(
    fetches: Sequence[Fetch], log_start: int
) -> tuple[Sequence[Fetch], Sequence[Fetch]]:
    """Those up to the first one before which a record may be missing, skipped on the way or lost by
    a partition that begins at `log_start` by now; and the others."""
    for i in range(1, len(fetches)):
        end = fetches[i - 1].end
        if fetches[i].start > end or fetches[i].first > end < log_start:
            return fetches[:i], fetches[i:]
    return fetches, ()


def chunks(records: Sequence[_R], batch_records: int) -> Iterator[list[_R]]:
    """Records in pieces for one flush each, none empty."""
    return _cut(records, batch_records, _FLUSH_BYTES)


def _cut(records: Sequence[_R], at_most: int, size_bytes: int) -> Iterator[list[_R]]:
    """Pieces of `at_most` records that end with the one that makes them so large."""
    piece: list[_R] = []
    held = 0
    for record in records:
        piece.append(record)
        held += len(record.value or b"")
        if held >= size_bytes or len(piece) == at_most:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece
