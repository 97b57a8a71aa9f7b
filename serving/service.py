"""The four methods of `ImpressionsService`, between checked requests and responses.

Each call takes one lease of the served generation and works with it to the end. Nothing here knows
of threads, tokens or status codes (serving/calls.py, limits.py, auth.py, status.py do).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from impressions.clock import Clock
from impressions.completeness import StreamState
from impressions.heartbeat import FROM_THE_FIRST_MS
from impressions.shell.settings import Settings
from impressions.spec import PARTITIONER, Spec
from impressions.v1 import impressions_service_pb2 as pb
from impressions.window import horizon_ms
from serving import columns_wire as twins
from serving.calls import log_unexpected
from serving.generation import ServedGeneration
from serving.generations import Generations
from serving.now import Now, Shard, reasons
from serving.reads import Found, Reader, check_time
from serving.requests import batch_ids_of, profile_id_of, query_of, query_time_of
from serving.status import code_of, reason_of, text_of
from serving.turns import Turn
from serving.wire import context_message, reason_value, spec_message, write_answer


class ImpressionsService:
    """Reads from the generation that is served when a call begins."""

    def __init__(
        self,
        settings: Settings,
        generations: Generations,
        clock: Clock,
        reader: Reader,
        now: Callable[[], Now],
    ):
        self._limits, self._settings = settings.serving, settings
        self._spec = settings.spec
        self._generations, self._clock, self._reader = generations, clock, reader
        self._now = now

    def get_profile(self, request: pb.GetProfileRequest, turn: Turn) -> Any:
        """`GetProfile`."""
        response = twins.GetProfileResponse()
        self._answer_one(request, response.answer, turn)
        return response

    def stream_profile(self, request: pb.StreamProfilesRequest, turn: Turn) -> Any:
        """One request of `StreamProfiles`."""
        response = twins.StreamProfilesResponse(request_id=request.request_id)
        self._answer_one(request, response.result.answer, turn)
        response.result.profile_id = request.profile_id
        return response

    def refused(self, request: pb.StreamProfilesRequest, error: Exception) -> Any:
        """The response in a stream to a request that got an error."""
        response = twins.StreamProfilesResponse(request_id=request.request_id)
        response.result.profile_id = request.profile_id
        write_status(response.result, error)
        return response

    def batch_get_profiles(self, request: pb.BatchGetProfilesRequest, turn: Turn) -> Any:
        """`BatchGetProfiles`: one result per id, in order."""
        query = query_of(request.projection, self._spec, self._limits.max_titles)
        ids = batch_ids_of(request, self._limits.max_batch)
        now_ms = self._clock()
        query_ms = query_time_of(request, now_ms)
        response = twins.BatchGetProfilesResponse()
        with self._generations.lease() as generation:
            check_time(query_ms, generation)
            results = self._reader.profiles(generation, ids, query, query_ms, turn)
            for profile_id, found in zip(ids, results, strict=True):
                result = response.results.add(profile_id=profile_id)
                if isinstance(found, Found):
                    context = self._context(generation, query_ms, found.stream, now_ms)
                    write_answer(result.answer, profile_id, found.answer, context)
                else:
                    log_unexpected(found)
                    write_status(result, found)
        return response

    def describe(self, request: pb.DescribeRequest, turn: Turn) -> pb.DescribeResponse:
        """`Describe`; answers without a generation too."""
        settings, limits, now = self._settings, self._limits, self._now()
        response = pb.DescribeResponse(
            spec=spec_message(self._spec),
            partitions=settings.partitions,
            partitioner=PARTITIONER,
            shards=now.shards,
            complete=not now.reasons,
            reasons=[reason_value(reason) for reason in now.reasons],
            stream_through_ms=now.stream_through_ms,
            streams=[
                stream_message(number, shard, shard.stream)
                for number, shard in now.shards.items()
                if shard.stream is not None
            ],
            limits=pb.Limits(
                max_batch=limits.max_batch,
                max_titles=limits.max_titles,
                max_request_bytes=limits.max_request_bytes,
            ),
            server_version=_server_version(),
        )
        if now.generation is not None:
            response.generation.CopyFrom(generation_message(now.generation, self._spec))
        return response

    def _answer_one(
        self, request: pb.GetProfileRequest | pb.StreamProfilesRequest, answer: Any, turn: Turn
    ) -> None:
        query = query_of(request.projection, self._spec, self._limits.max_titles)
        profile_id = profile_id_of(request)
        now_ms = self._clock()
        query_ms = query_time_of(request, now_ms)
        with self._generations.lease() as generation:
            check_time(query_ms, generation)
            found = self._reader.profile(generation, profile_id, query, query_ms, turn)
            context = self._context(generation, query_ms, found.stream, now_ms)
            write_answer(answer, profile_id, found.answer, context)

    def _context(
        self,
        generation: ServedGeneration | None,
        query_ms: int,
        stream: StreamState | None,
        now_ms: int,
    ) -> Any:
        why = reasons(query_ms, generation, stream, now_ms, self._settings)
        through_ms = None if stream is None else stream.through_ms
        if generation is None:
            return context_message("", 0, query_ms, through_ms, why)
        return context_message(generation.name, generation.cutover_ms, query_ms, through_ms, why)


def generation_message(generation: ServedGeneration, spec: Spec) -> pb.ServedGeneration:
    manifest = generation.manifest
    return pb.ServedGeneration(
        generation_id=generation.name,
        cutover_ms=generation.cutover_ms,
        horizon_ms=horizon_ms(generation.cutover_ms, spec),
        profiles=manifest.profiles,
        entries=manifest.entries,
        raw_snapshot_id=manifest.raw_snapshot_id,
        ema_snapshot_id=manifest.ema_snapshot_id,
    )


def stream_message(number: int, shard: Shard, stream: StreamState) -> pb.ShardStream:
    """What is known of the live stream of a shard."""
    return pb.ShardStream(
        shard=number,
        through_ms=stream.through_ms,
        since_ms=None if stream.since_ms == FROM_THE_FIRST_MS else stream.since_ms,
        restoring=stream.restoring,
        reasons=[reason_value(reason) for reason in shard.reasons],
    )


def write_status(result: Any, error: Exception) -> None:
    """The status of a `ProfileResult` without an answer."""
    result.status.code = code_of(error).value[0]
    result.status.message = text_of(error)
    result.status.reason = reason_of(error)


def _server_version() -> str:
    try:
        return version("impressions")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
