"""The four methods of `ImpressionsService`, between checked requests and responses.

Each call takes one lease of the served generation and works with it to the end. Nothing here knows
of threads, tokens or status codes (serving/calls.py, limits.py, auth.py, status.py do).
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from impressions import completeness
from impressions.answer import Answer
from impressions.clock import Clock
from impressions.shell.settings import Settings
from impressions.spec import PARTITIONER
from impressions.v1 import impressions_service_pb2 as pb
from impressions.window import horizon_ms
from serving import columns_wire as twins
from serving.calls import log_unexpected
from serving.generation import ServedGeneration
from serving.generations import Generations
from serving.limits import Deadline
from serving.reads import DeltasOf, check_time, read_profile, read_profiles
from serving.requests import batch_ids_of, profile_id_of, query_of, query_time_of
from serving.status import code_of, reason_of, text_of
from serving.wire import context_message, reason_value, spec_message, write_answer


class ImpressionsService:
    """Reads from the generation that is served when a call begins."""

    def __init__(
        self, settings: Settings, generations: Generations, clock: Clock, deltas_of: DeltasOf
    ):
        self._limits, self._settings = settings.serving, settings
        self._spec = settings.spec
        self._generations, self._clock, self._deltas_of = generations, clock, deltas_of

    def get_profile(self, request: pb.GetProfileRequest, deadline: Deadline) -> Any:
        """`GetProfile`."""
        response = twins.GetProfileResponse()
        self._answer_one(request, response.answer)
        return response

    def stream_profile(self, request: pb.StreamProfilesRequest, deadline: Deadline) -> Any:
        """One request of `StreamProfiles`."""
        response = twins.StreamProfilesResponse(request_id=request.request_id)
        self._answer_one(request, response.result.answer)
        response.result.profile_id = request.profile_id
        return response

    def refused(self, request: pb.StreamProfilesRequest, error: Exception) -> Any:
        """The response in a stream to a request that got an error."""
        response = twins.StreamProfilesResponse(request_id=request.request_id)
        response.result.profile_id = request.profile_id
        write_status(response.result, error)
        return response

    def batch_get_profiles(self, request: pb.BatchGetProfilesRequest, deadline: Deadline) -> Any:
        """`BatchGetProfiles`: one result per id, in order."""
        query = query_of(request.projection, self._spec, self._limits.max_titles)
        ids = batch_ids_of(request, self._limits.max_batch)
        query_ms = query_time_of(request, self._clock())
        response = twins.BatchGetProfilesResponse()
        with self._generations.lease() as generation:
            check_time(query_ms, generation)
            context = self._context(generation, query_ms)
            answers = read_profiles(
                generation, ids, query, query_ms, self._deltas_of, self._spec, deadline.check
            )
            for profile_id, answer in zip(ids, answers, strict=True):
                result = response.results.add(profile_id=profile_id)
                if isinstance(answer, Answer):
                    write_answer(result.answer, profile_id, answer, context)
                else:
                    log_unexpected(answer)
                    write_status(result, answer)
        return response

    def describe(self, request: pb.DescribeRequest, deadline: Deadline) -> pb.DescribeResponse:
        """`Describe`; answers without a generation too."""
        settings, limits = self._settings, self._limits
        response = pb.DescribeResponse(
            spec=spec_message(self._spec),
            partitions=settings.partitions,
            partitioner=PARTITIONER,
            shards=settings.host_shards,
            limits=pb.Limits(
                max_batch=limits.max_batch,
                max_titles=limits.max_titles,
                max_request_bytes=limits.max_request_bytes,
            ),
            server_version=_server_version(),
        )
        if (generation := self._generations.current) is not None:
            self._describe_generation(response, generation)
        return response

    def _describe_generation(
        self, response: pb.DescribeResponse, generation: ServedGeneration
    ) -> None:
        manifest, cutover_ms = generation.manifest, generation.cutover_ms
        reasons = completeness.reasons(self._clock(), cutover_ms, self._spec)
        response.generation.CopyFrom(
            pb.ServedGeneration(
                generation_id=generation.name,
                cutover_ms=cutover_ms,
                horizon_ms=horizon_ms(cutover_ms, self._spec),
                profiles=manifest.profiles,
                entries=manifest.entries,
                raw_snapshot_id=manifest.raw_snapshot_id,
                ema_snapshot_id=manifest.ema_snapshot_id,
            )
        )
        response.shards[:] = generation.shards
        response.complete = not reasons
        response.reasons.extend(reason_value(reason) for reason in reasons)

    def _answer_one(
        self, request: pb.GetProfileRequest | pb.StreamProfilesRequest, answer: Any
    ) -> None:
        query = query_of(request.projection, self._spec, self._limits.max_titles)
        profile_id = profile_id_of(request)
        query_ms = query_time_of(request, self._clock())
        with self._generations.lease() as generation:
            check_time(query_ms, generation)
            found = read_profile(
                generation, profile_id, query, query_ms, self._deltas_of, self._spec
            )
            write_answer(answer, profile_id, found, self._context(generation, query_ms))

    def _context(self, generation: ServedGeneration, query_ms: int) -> Any:
        return context_message(
            generation.name, generation.cutover_ms, query_ms, self._spec, stream_through_ms=None
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
