"""The results of the client: typed, with columns that are numpy arrays over the received bytes.

No value is copied. The arrays are read-only views; `array.copy()` makes one that can be changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impressions.core.errors import CorruptData
from impressions.v1 import impressions_service_pb2 as pb

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
_PREFIX = "INCOMPLETE_REASON_"


@dataclass(frozen=True)
class Context:
    """The data that an answer was made from.

    Attributes:
        generation, cutover_ms: every event ingested before the cutover is in it; "" and 0 before
            the first generation, when the live stream answers alone.
        stream_through_ms: every event ingested before this is in the answer, except what `reasons`
            names as missing; None without a stream, or while its state is unknown.
        query_time_ms: the time the sums are for.
        complete, reasons: whether all events until then are in the answer, and if not, why.
    """

    generation: str
    cutover_ms: int
    stream_through_ms: int | None
    query_time_ms: int
    complete: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ProfileResult:
    """One profile's rows as columns of n; ascending by (title, location), or by rank with `top`.

    Attributes:
        matched_rows: rows before `top` cut them.
        title_ids: (n,) int64.   locations: (n,) uint32 when grouped by location, else None.
        last_seen_ms: (n,) int64 if asked for, else None.
        totals: measure -> (n,) float64, undecayed, if asked for.
        decayed, ema_rates: (measure, half_life_days) -> (n,) float64; rates are per day.
        plays_per_impression: half_life_days -> (n,) float64, if asked for.
    """

    profile_id: int
    context: Context
    matched_rows: int
    title_ids: Ints
    locations: NDArray[np.uint32] | None
    last_seen_ms: Ints | None
    totals: dict[str, Doubles]
    decayed: dict[tuple[str, int], Doubles]
    ema_rates: dict[tuple[str, int], Doubles]
    plays_per_impression: dict[int, Doubles]

    def __len__(self) -> int:
        return len(self.title_ids)


def result_of(answer: Any, *, by_location: bool, last_seen: bool) -> ProfileResult:
    """A `ProfileAnswer` of the twin messages as a result.

    Raises:
        CorruptData: columns of different lengths.
    """
    titles = np.frombuffer(answer.title_ids, "<i8")
    n = len(titles)
    return ProfileResult(
        profile_id=answer.profile_id,
        context=_context(answer.context),
        matched_rows=answer.matched_rows,
        title_ids=titles,
        locations=_column(answer.locations, "<u4", n) if by_location else None,
        last_seen_ms=_column(answer.last_seen_ms, "<i8", n) if last_seen else None,
        totals={c.measure: _column(c.values, "<f8", n) for c in answer.totals},
        decayed=_sums(answer.decayed, n),
        ema_rates=_sums(answer.ema_rates, n),
        plays_per_impression={
            c.half_life_days: _column(c.values, "<f8", n) for c in answer.plays_per_impression
        },
    )


def reason_words(values: Iterable[int]) -> tuple[str, ...]:
    """The words of `impressions.core.completeness` for the values of the protobuf enum. A reason
    that is newer than this client is shown by its number."""
    names = {value.number: value.name for value in pb.IncompleteReason.DESCRIPTOR.values}
    return tuple(names.get(v, f"{_PREFIX}{v}").removeprefix(_PREFIX).lower() for v in values)


def _context(context: Any) -> Context:
    return Context(
        generation=context.generation_id,
        cutover_ms=context.cutover_ms,
        stream_through_ms=(
            context.stream_through_ms if context.HasField("stream_through_ms") else None
        ),
        query_time_ms=context.query_time_ms,
        complete=context.complete,
        reasons=reason_words(context.reasons),
    )


def _sums(columns: Any, n: int) -> dict[tuple[str, int], Doubles]:
    return {(c.measure, c.half_life_days): _column(c.values, "<f8", n) for c in columns}


def _column(data: bytes, dtype: str, n: int) -> NDArray[Any]:
    values = np.frombuffer(data, dtype)
    if len(values) != n:
        raise CorruptData(f"answer: a column of {len(values)} values, expected {n} as title_ids")
    return values
