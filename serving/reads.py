"""One read: a profile of a generation, merged with its live deltas, projected.

Everything between a checked request and the wire. The live half of the system joins at one seam,
`DeltasOf`: the delta blocks of a profile. Without a stream there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from impressions.answer import Answer, Query, project
from impressions.delta_block import DeltaBlock
from impressions.errors import ImpressionsError
from impressions.merge import check_query_time, merge
from impressions.spec import Spec
from serving.generation import ServedGeneration
from serving.requests import check_profile_id, in_field

DeltasOf = Callable[[int], Iterable[DeltaBlock]]


def no_deltas(profile_id: int) -> Iterable[DeltaBlock]:
    """The deltas of a host without a stream."""
    return ()


def check_time(query_ms: int, generation: ServedGeneration) -> None:
    """Refuse a time before the cutover. Raises InvalidField with both times."""
    with in_field("query_time_ms"):
        check_query_time(query_ms, generation.cutover_ms)


def read_profile(
    generation: ServedGeneration,
    profile_id: int,
    query: Query,
    query_ms: int,
    deltas_of: DeltasOf,
    spec: Spec,
) -> Answer:
    """The answer about one profile; no rows if it was never seen.

    Raises:
        ShardNotOwned, CorruptData: see `ServedGeneration.block`.
    """
    block = generation.block(profile_id)
    deltas = deltas_of(profile_id)
    rows = merge(query_ms, generation.cutover_ms, block, deltas, spec, query.selection)
    return project(rows, query, spec)


def read_profiles(
    generation: ServedGeneration,
    profile_ids: Sequence[int],
    query: Query,
    query_ms: int,
    deltas_of: DeltasOf,
    spec: Spec,
    check: Callable[[], None],
) -> Iterator[Answer | Exception]:
    """An answer or an error for each id, in order; `check` runs before each and may raise."""
    for i, profile_id in enumerate(profile_ids):
        check()
        try:
            check_profile_id(profile_id, f"profile_ids[{i}]")
            yield read_profile(generation, profile_id, query, query_ms, deltas_of, spec)
        except ImpressionsError as error:
            yield error
