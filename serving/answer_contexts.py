"""The context of compiled answers: bytes that stay the same for thousands of requests.

Only the query time is different in each answer; everything else in an `AnswerContext` depends on
the generation, the state of the stream, and on two facts of the moment: whether the query time has
passed the horizon, and whether the stream is further behind than it may be. So the bytes before and
after the query time are made once for each combination, by protobuf.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from impressions.core.completeness import StreamState, is_behind
from impressions.core.window import horizon_ms
from impressions.settings.model import Settings
from impressions.v1 import impressions_service_pb2 as pb
from serving.messages import context_bytes
from serving.self_report import incomplete_reasons, max_lag_ms
from serving.served_generation import ServedGeneration

Around = tuple[NDArray[np.uint8], int]
"""The bytes of a context without its query time, and how many of them stand before that."""

_QUERY: int = pb.AnswerContext.DESCRIPTOR.fields_by_name["query_time_ms"].number
_MOST = 1_000


def context_at(
    settings: Settings,
    generation: ServedGeneration | None,
    query_ms: int,
    stream: StreamState | None,
    now_ms: int,
) -> bytes:
    """The `AnswerContext` of an answer from this generation and this stream."""
    reasons = incomplete_reasons(query_ms, generation, stream, now_ms, settings)
    through_ms = None if stream is None else stream.through_ms
    if generation is None:
        return context_bytes("", 0, query_ms, through_ms, reasons)
    return context_bytes(generation.name, generation.cutover_ms, query_ms, through_ms, reasons)


class AnswerContexts:
    """The contexts of the generation that answers, for one thread at a time."""

    def __init__(self, settings: Settings):
        self._settings, self._max_lag_ms = settings, max_lag_ms(settings)
        self._generation: ServedGeneration | None = None
        self._horizon_ms = 0
        self._known: dict[Any, Around] = {}

    def of(
        self,
        generation: ServedGeneration | None,
        query_ms: int,
        stream: StreamState | None,
        now_ms: int,
    ) -> Around:
        """The context of an answer at this moment, but for the query time."""
        if generation is not self._generation:
            self._generation, self._known = generation, {}
            if generation is not None:
                self._horizon_ms = horizon_ms(generation.cutover_ms, self._settings.spec)
        behind = stream is not None and is_behind(stream, now_ms, self._max_lag_ms)
        key = stream, behind, generation is not None and query_ms >= self._horizon_ms
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[key] = _around(
                context_at(self._settings, generation, query_ms, stream, now_ms)
            )
        return found


def _around(context: bytes) -> Around:
    """protobuf writes fields in the order of their numbers."""
    before, after = pb.AnswerContext.FromString(context), pb.AnswerContext.FromString(context)
    for field in pb.AnswerContext.DESCRIPTOR.fields:
        if field.number >= _QUERY:
            before.ClearField(field.name)
        if field.number <= _QUERY:
            after.ClearField(field.name)
    head = before.SerializeToString()
    return np.frombuffer(head + after.SerializeToString(), np.uint8), len(head)
