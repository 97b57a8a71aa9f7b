"""One read: a profile of a generation, merged with its live deltas, projected to an answer.

In: a checked request. Out: the answer as columns. The stream comes in through one function,
`DeltasOf`: the delta blocks of a profile from a slot on, and the state of the stream when they were
read. Without a stream there are no deltas; without a generation there are only deltas.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple

from impressions.compiled.profiles import Compiled, merge_stored
from impressions.core.answer import Answer, Query, present
from impressions.core.completeness import StreamState
from impressions.core.errors import CorruptData, ImpressionsError
from impressions.core.merge import Selection, check_query_time
from impressions.core.shard import shard_of
from impressions.formats.stored_profile import row_count
from impressions.settings.model import Settings
from serving.answer_budget import AnswerBudget
from serving.concurrency import Permit
from serving.error_status import AnswerTooLarge, ShardNotOwned
from serving.metrics import ServerMetrics
from serving.requests import check_profile_id, in_field
from serving.served_generation import ServedGeneration


class Deltas(NamedTuple):
    """The stored delta blocks of one profile, and the stream state of its shard (None without a
    stream)."""

    blocks: Sequence[bytes]
    stream: StreamState | None


DeltasOf = Callable[[int, int, int], Deltas]
"""(shard, profile, first slot wanted) -> the blocks."""

_NONE = Deltas((), None)


def no_deltas(shard: int, profile_id: int, from_slot_ms: int) -> Deltas:
    """The deltas of a host without a stream."""
    return _NONE


class AnswerAndStream(NamedTuple):
    """An answer, and the state of the stream it was made from."""

    answer: Answer
    stream: StreamState | None


def check_time(query_ms: int, generation: ServedGeneration | None) -> None:
    """Refuse a time before the cutover. Raises InvalidField with both times."""
    if generation is not None:
        with in_field("query_time_ms"):
            check_query_time(query_ms, generation.cutover_ms)


class Reader:
    """Reads profiles of a host."""

    def __init__(self, settings: Settings, deltas_of: DeltasOf, metrics: ServerMetrics):
        self._spec, self._partitions = settings.spec, settings.partitions
        self._shards, self._owned = settings.host_shards, frozenset(settings.host_shards)
        self._deltas_of, self._metrics = deltas_of, metrics
        self._times, self._counting = metrics.read_times(), threading.Lock()
        self._merge = merge_stored(settings.spec, compiled=settings.serving.compiled)

    def warm(self) -> None:
        """Load compiled code that the first read would wait for, 0.1 s."""
        if isinstance(self._merge, Compiled):
            self._merge.warm()

    def profile(
        self,
        generation: ServedGeneration | None,
        profile_id: int,
        query: Query,
        selection: Selection,
        query_ms: int,
        permit: Permit,
        budget: AnswerBudget,
        times: int = 1,
    ) -> AnswerAndStream:
        """The answer for one profile; without rows if the profile was never seen.

        Args:
            times: how often the response will contain it.

        Raises:
            AnswerTooLarge: it would not fit into the budget.
            NotReady: it is a large answer, and too many of those wait already.
            ShardNotOwned: another host serves its shard.
            CorruptData: its stored data cannot be read.
        """
        shard = shard_of(profile_id, self._partitions)
        if shard not in (self._owned if generation is None else generation.owned):
            raise ShardNotOwned(shard, self._shards if generation is None else generation.shards)
        cutover_ms = None if generation is None else generation.cutover_ms
        try:
            begun_s = perf_counter()
            block = None if generation is None else generation.stored_in(shard, profile_id)
            deltas = self._deltas_of(shard, profile_id, cutover_ms or 0)
            get_s = perf_counter() - begun_s
            budget.check_before(block, deltas.blocks, times)
            with permit.computing(_entries(block, deltas.blocks, selection)):
                begun_s = perf_counter()
                rows = self._merge(
                    query_ms, cutover_ms, block, deltas.blocks, selection,
                    by_title=not query.by_location,
                )  # fmt: skip
                merge_s = perf_counter() - begun_s
                with self._counting:
                    self._times.add(get_s, merge_s)
                return AnswerAndStream(present(rows, query, self._spec), deltas.stream)
        except CorruptData:
            self._metrics.corruption.inc()
            raise

    def profiles(
        self,
        generation: ServedGeneration | None,
        positions: Mapping[int, Sequence[int]],
        query: Query,
        selection: Selection,
        query_ms: int,
        permit: Permit,
        budget: AnswerBudget,
    ) -> Iterator[AnswerAndStream | Exception]:
        """An answer or an error for each id, in order; stops between two ids if the caller is gone.

        Args:
            positions: for each id of the request, where in the request it stands.

        Raises:
            AnswerTooLarge: they would not all fit into the budget.
            NotReady: see `Deadline.check`.
        """
        for profile_id, at in positions.items():
            permit.check()
            try:
                check_profile_id(profile_id, f"profile_ids[{at[0]}]")
                yield self.profile(
                    generation, profile_id, query, selection, query_ms, permit, budget, len(at)
                )
            except AnswerTooLarge:
                raise
            except ImpressionsError as error:
                yield error


def _entries(block: bytes | None, deltas: Sequence[bytes], selection: Selection) -> int:
    """How many entries an answer is computed from; chosen titles are few (`max_titles`)."""
    return 0 if selection.titles is not None else row_count(block, deltas)
