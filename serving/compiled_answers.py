"""Reads by compiled code: the bytes of a request to the bytes of its response, all but gRPC.

    CompiledAnswers   for one thread at a time: it owns the buffers, and makes no other object
    SharedAnswers     for the threads of a pool: each call takes one that is free

The answer is None for whatever is not ordinary: a bad request, another host's shard, damaged
bytes, a large answer, a swap just now. The plain form (serving/service.py) then answers, or says
what is wrong; where both answer, they give the same bytes (tests/serving/test_compiled_answers.py).
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from impressions.clock import Clock
from impressions.compiled import answer as of_answer
from impressions.compiled import request as r
from impressions.core import window
from impressions.core.errors import ImpressionsError, NotReady
from impressions.core.item import MAX_LOCATION
from impressions.formats.stored_profile import row_count
from impressions.settings.model import Settings
from impressions.terminal import log
from serving.answer_contexts import AnswerContexts
from serving.cold_reads import ColdReads
from serving.generation_switch import GenerationSwitch
from serving.large_answers import LARGE_ENTRIES
from serving.metrics import ReadTimes, ServerMetrics
from serving.reads import DeltasOf
from serving.requests import MAX_TIME_MS
from serving.served_generation import ServedGeneration

_shard_of: Any = r.shard_of
_FIRST_BYTES, _KEPT_BYTES = 1 << 20, 8 << 20
_NO_CUTOVER_MS = -(2**63)
_NO_BYTES, _NO_SIZES = np.empty(0, np.uint8), np.empty(0, np.int64)


class CompiledAnswers:
    """Answers `GetProfile` and `BatchGetProfiles`."""

    def __init__(
        self,
        settings: Settings,
        generations: GenerationSwitch,
        clock: Clock,
        deltas_of: DeltasOf,
        times: ReadTimes,
        cold: ColdReads,
        *,
        waits: bool = False,
    ):
        """`waits`: its thread may take long: other threads go on while a block is read, if reads
        are cold, and titles may be looked for in a large profile."""
        self._cold = cold
        self._spec, self._limits = settings.spec, settings.serving
        self._generations, self._clock, self._deltas_of = generations, clock, deltas_of
        self._owned, self._waits, self._times = frozenset(settings.host_shards), waits, times
        self._partitions = settings.partitions
        self._contexts = AnswerContexts(settings)
        self._info = np.zeros(r.SIZE, np.int64)
        self._info[r.PARTITIONS], self._info[r.LATEST_MS] = settings.partitions, MAX_TIME_MS
        self._info[r.SLOT_MS], self._info[r.TAG] = settings.spec.slot_ms, settings.spec.tag
        self._titles = np.empty(self._limits.max_titles, np.int64)
        self._locations = np.empty(MAX_LOCATION + 1, np.bool_)
        self._ids = np.empty(self._limits.max_batch, np.int64)
        self._out = np.empty(_FIRST_BYTES, np.uint8)
        self._taken_s: list[tuple[float, float]] = []

    def get_profile(self, data: bytes) -> bytes | None:
        """The response to a `GetProfileRequest`."""
        info = self._info
        if not self._parsed(data, of_batch=0):
            return None
        profile_id, shard = info[r.PROFILE_ID : r.SHARD + 1 : r.SHARD - r.PROFILE_ID].tolist()
        return self._leased(lambda generation, query_ms, now_ms: self._one(
            generation, shard, profile_id, query_ms, now_ms, 0
        ))  # fmt: skip

    def batch_get_profiles(self, data: bytes, check: Callable[[], None]) -> bytes | None:
        """The response to a `BatchGetProfilesRequest`.

        Args:
            check: called before each profile; what it raises ends the batch.
        """
        if not self._parsed(data, of_batch=1):
            return None
        ids = self._ids[: self._info[r.IDS]].tolist()
        if min(ids) < 0:
            return None
        return self._leased(lambda generation, query_ms, now_ms: self._many(
            generation, ids, query_ms, now_ms, check
        ))  # fmt: skip

    def _parsed(self, data: bytes, *, of_batch: int) -> bool:
        self._info[r.OF_BATCH] = of_batch
        found = r.parse(
            np.frombuffer(data, np.uint8), self._info, self._titles, self._locations, self._ids
        )
        return bool(found == 0)

    def _leased(
        self, write: Callable[[ServedGeneration | None, int, int], int | None]
    ) -> bytes | None:
        """What `write` puts into the buffer, from one generation, at one time."""
        info, now_ms = self._info, self._clock()
        if not info[r.HAS_QUERY_MS]:
            info[r.QUERY_MS] = now_ms
        query_ms = int(info[r.QUERY_MS])
        info[r.LEFT_BYTES] = self._limits.max_answer_bytes
        try:
            generation = self._generations.acquire()
        except NotReady:
            return None
        try:
            end = None
            if self._is_for(generation, query_ms):
                end = write(generation, query_ms, now_ms)
            if end is None:
                return None
            log.debug("call", of_batch=bool(info[r.OF_BATCH]), profiles=len(self._taken_s))
            for get_s, merge_s in self._taken_s:  # what is left is counted by the plain form
                self._times.add(get_s, merge_s)
            return self._out[:end].tobytes()
        finally:
            if generation is not None:
                generation.release()
            self._taken_s.clear()
            if len(self._out) > _KEPT_BYTES:
                self._out = np.empty(_FIRST_BYTES, np.uint8)

    def _is_for(self, generation: ServedGeneration | None, query_ms: int) -> bool:
        """Set what depends on the generation; False for a time before its cutover."""
        info = self._info
        if generation is None:
            info[r.CUTOVER_MS] = info[r.FROM_SLOT_MS] = _NO_CUTOVER_MS
            return True
        cutover_ms = generation.cutover_ms
        info[r.CUTOVER_MS] = info[r.FROM_SLOT_MS] = cutover_ms
        info[r.FIRST_TAIL_AGE] = window.first_day(query_ms, self._spec) - window.first_day(
            cutover_ms, self._spec
        )
        return query_ms >= cutover_ms

    def _one(
        self,
        generation: ServedGeneration | None,
        shard: int,
        profile_id: int,
        query_ms: int,
        now_ms: int,
        at: int,
    ) -> int | None:
        """Write the answer of one profile to the buffer, from `at` on; where it ends."""
        if shard not in (self._owned if generation is None else generation.owned):
            return None
        begun_s = perf_counter()
        try:
            block = (
                None
                if generation is None
                else generation.stored_in(shard, profile_id, waits=self._waits and self._cold.now)
            )
            deltas, stream = self._deltas_of(
                shard, profile_id, 0 if generation is None else generation.cutover_ms
            )
        except ImpressionsError:
            return None
        read_s = perf_counter()
        self._cold.took(read_s - begun_s)
        few = self._waits and self._info[r.TITLES]
        if not few and row_count(block, deltas) > LARGE_ENTRIES:
            return None
        context = self._contexts.of(generation, query_ms, stream, now_ms)
        end = self._written(block, deltas, context, at)
        if end is not None:
            self._taken_s.append((read_s - begun_s, perf_counter() - read_s))
        return end

    def _written(
        self, block: bytes | None, deltas: Any, context: tuple[Any, int], at: int
    ) -> int | None:
        info, (around, head) = self._info, context
        info[r.AT], info[r.CONTEXT_HEAD] = at, head
        stored = _NO_BYTES if block is None else np.frombuffer(block, np.uint8)
        joined, sizes = _NO_BYTES, _NO_SIZES
        if deltas:
            joined = np.frombuffer(b"".join(deltas), np.uint8)
            sizes = np.array([len(delta) for delta in deltas], np.int64)
        while True:
            end = int(of_answer.answer(
                stored, joined, sizes, info, self._titles, self._locations, around, self._out
            ))  # fmt: skip
            if end >= 0:
                return end
            if end == of_answer.PLAIN:
                return None
            larger = np.empty(2 * len(self._out) - end, np.uint8)
            larger[:at] = self._out[:at]
            self._out = larger

    def _many(
        self,
        generation: ServedGeneration | None,
        ids: list[int],
        query_ms: int,
        now_ms: int,
        check: Callable[[], None],
    ) -> int | None:
        """Write the results of a batch: an id that comes again is computed once."""
        info, at, partitions = self._info, 0, self._partitions
        written: dict[int, tuple[int, int]] = {}
        for profile_id in ids:
            if (before := written.get(profile_id)) is not None:
                end = self._again(*before, at)
            else:
                check()
                info[r.PROFILE_ID] = profile_id
                shard = int(_shard_of(profile_id, partitions))
                end = self._one(generation, shard, profile_id, query_ms, now_ms, at)
            if end is None:
                return None
            info[r.LEFT_BYTES] -= end - at
            written[profile_id], at = (at, end), end
        return at

    def _again(self, begin: int, end: int, at: int) -> int | None:
        """Write a result once more; None if the answer gets too large."""
        size = end - begin
        if size > self._info[r.LEFT_BYTES]:
            return None
        if at + size > len(self._out):
            self._out = np.concatenate([self._out, np.empty(len(self._out) + size, np.uint8)])
        self._out[at : at + size] = self._out[begin:end]
        return at + size


class SharedAnswers:
    """`CompiledAnswers` for the calls of a pool, as many as there are calls at the same time."""

    def __init__(
        self,
        settings: Settings,
        generations: GenerationSwitch,
        clock: Clock,
        deltas_of: DeltasOf,
        metrics: ServerMetrics,
        cold: ColdReads,
    ):
        self._parts, self._deltas_of = (settings, generations, clock), deltas_of
        self._metrics, self._cold = metrics, cold
        self._free: list[CompiledAnswers] = []

    def new(self, deltas_of: DeltasOf, *, waits: bool) -> CompiledAnswers:
        """Another one, for a thread of its own."""
        times = self._metrics.read_times()
        return CompiledAnswers(*self._parts, deltas_of, times, self._cold, waits=waits)

    def get_profile(self, data: bytes, check: Callable[[], None]) -> bytes | None:
        """See `CompiledAnswers`."""
        return self._with_one(lambda answers: answers.get_profile(data))

    def batch_get_profiles(self, data: bytes, check: Callable[[], None]) -> bytes | None:
        """See `CompiledAnswers`."""
        return self._with_one(lambda answers: answers.batch_get_profiles(data, check))

    def _with_one(self, use: Callable[[CompiledAnswers], bytes | None]) -> bytes | None:
        try:
            answers = self._free.pop()
        except IndexError:
            answers = self.new(self._deltas_of, waits=True)
        try:
            return use(answers)
        finally:
            self._free.append(answers)
