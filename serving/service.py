"""The four methods of `ImpressionsService`, between checked requests and responses.

Each call takes one lease of the served generation and uses it to the end. Nothing here knows of
threads, tokens or status codes (serving/calls.py, concurrency.py, auth.py, error_status.py do).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from impressions.clock import Clock
from impressions.core.completeness import StreamState
from impressions.core.spec import PARTITIONER, Spec
from impressions.core.window import horizon_ms
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from impressions.settings.model import Settings
from impressions.v1 import impressions_service_pb2 as pb
from serving import frames
from serving.answer_budget import AnswerBudget
from serving.answer_contexts import context_at
from serving.calls import log_unexpected
from serving.concurrency import Permit
from serving.error_status import code_of, reason_of, text_of
from serving.frames import Frame
from serving.generation_switch import GenerationSwitch
from serving.messages import answer_frame, reason_value, spec_message
from serving.reads import AnswerAndStream, Reader, check_time
from serving.requests import batch_ids_of, profile_id_of, query_of, query_time_of, selection_of
from serving.self_report import SelfReport, ShardReport
from serving.served_generation import ServedGeneration


def _numbers(kind: Any) -> dict[str, int]:
    return {name: field.number for name, field in kind.DESCRIPTOR.fields_by_name.items()}


_ANSWER = _numbers(pb.GetProfileResponse)["answer"]
_RESULTS = _numbers(pb.BatchGetProfilesResponse)["results"]
_RESULT, _STREAMED = _numbers(pb.ProfileResult), _numbers(pb.StreamProfilesResponse)


class ImpressionsService:
    """Reads from the generation that is served when a call begins."""

    def __init__(
        self,
        settings: Settings,
        generations: GenerationSwitch,
        clock: Clock,
        reader: Reader,
        report: Callable[[], SelfReport],
    ):
        self._limits, self._settings = settings.serving, settings
        self._spec = settings.spec
        self._generations, self._clock, self._reader = generations, clock, reader
        self._report = report

    def get_profile(self, request: pb.GetProfileRequest, permit: Permit) -> bytes:
        """`GetProfile`."""
        return frames.joined([frames.inside(_ANSWER, self._answer_one(request, permit))])

    def stream_profile(self, request: pb.StreamProfilesRequest, permit: Permit) -> bytes:
        """One request of `StreamProfiles`."""
        result = result_frame(request.profile_id, self._answer_one(request, permit))
        return in_stream(request, result)

    def refused(self, request: pb.StreamProfilesRequest, error: Exception) -> bytes:
        """The response in a stream to a request that got an error."""
        return in_stream(request, frames.of(failed_result(request.profile_id, error)))

    def batch_get_profiles(self, request: pb.BatchGetProfilesRequest, permit: Permit) -> bytes:
        """`BatchGetProfiles`: one result per id, in order."""
        query = query_of(request.projection, self._spec)
        selection = selection_of(request.projection, self._limits.max_titles)
        ids = batch_ids_of(request, self._limits.max_batch)
        now_ms = self._clock()
        query_ms = query_time_of(request, now_ms)
        positions: dict[int, list[int]] = {}
        for i, profile_id in enumerate(ids):
            positions.setdefault(profile_id, []).append(i)
        budget = AnswerBudget(self._limits.max_answer_bytes, query, selection, self._spec)
        of_ids: dict[int, Frame] = {}
        with self._generations.lease() as generation:
            check_time(query_ms, generation)
            results = self._reader.profiles(
                generation, positions, query, selection, query_ms, permit, budget
            )
            for (profile_id, at), read in zip(positions.items(), results, strict=True):
                if isinstance(read, AnswerAndStream):
                    context = context_at(self._settings, generation, query_ms, read.stream, now_ms)
                    answer = answer_frame(profile_id, read.answer, context)
                    result = result_frame(profile_id, answer)
                else:
                    log_unexpected(read)
                    result = frames.of(failed_result(profile_id, read))
                of_ids[profile_id] = frames.inside(_RESULTS, result)
                budget.add(of_ids[profile_id].size, len(at))
        return frames.joined(of_ids[profile_id] for profile_id in ids)

    def describe(self, request: pb.DescribeRequest, permit: Permit) -> pb.DescribeResponse:
        """`Describe`; answers without a generation too."""
        settings, limits, report = self._settings, self._limits, self._report()
        response = pb.DescribeResponse(
            spec=spec_message(self._spec),
            partitions=settings.partitions,
            partitioner=PARTITIONER,
            shards=report.answered,
            complete=not report.reasons,
            reasons=[reason_value(reason) for reason in report.reasons],
            stream_through_ms=report.stream_through_ms,
            streams=[
                stream_message(number, shard, shard.stream)
                for number, shard in report.shards.items()
                if shard.stream is not None
            ],
            limits=pb.Limits(
                max_batch=limits.max_batch,
                max_titles=limits.max_titles,
                max_request_bytes=limits.max_request_bytes,
                max_answer_bytes=limits.max_answer_bytes,
            ),
            server_version=_server_version(),
        )
        if report.generation is not None:
            response.generation.CopyFrom(generation_message(report.generation, self._spec))
        return response

    def _answer_one(
        self, request: pb.GetProfileRequest | pb.StreamProfilesRequest, permit: Permit
    ) -> Frame:
        query = query_of(request.projection, self._spec)
        selection = selection_of(request.projection, self._limits.max_titles)
        profile_id = profile_id_of(request)
        budget = AnswerBudget(self._limits.max_answer_bytes, query, selection, self._spec)
        now_ms = self._clock()
        query_ms = query_time_of(request, now_ms)
        with self._generations.lease() as generation:
            check_time(query_ms, generation)
            read = self._reader.profile(
                generation, profile_id, query, selection, query_ms, permit, budget
            )
            context = context_at(self._settings, generation, query_ms, read.stream, now_ms)
            answer = answer_frame(profile_id, read.answer, context)
            budget.add(answer.size)
            return answer


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


def stream_message(number: int, shard: ShardReport, stream: StreamState) -> pb.ShardStream:
    """What is known of the live stream of a shard."""
    return pb.ShardStream(
        shard=number,
        through_ms=stream.through_ms,
        since_ms=None if stream.since_ms == FROM_THE_FIRST_MS else stream.since_ms,
        restoring=stream.restoring,
        reasons=[reason_value(reason) for reason in shard.reasons],
    )


def result_frame(profile_id: int, answer: Frame) -> Frame:
    """A `ProfileResult` with this answer."""
    return frames.prepended(
        frames.integer(_RESULT["profile_id"], profile_id), frames.inside(_RESULT["answer"], answer)
    )


def failed_result(profile_id: int, error: Exception) -> bytes:
    """A `ProfileResult` without an answer."""
    status = pb.ResultStatus(
        code=code_of(error).value[0], message=text_of(error), reason=reason_of(error)
    )
    return pb.ProfileResult(profile_id=profile_id, status=status).SerializeToString()


def in_stream(request: pb.StreamProfilesRequest, result: Frame) -> bytes:
    """The `StreamProfilesResponse` to one request."""
    first = frames.integer(_STREAMED["request_id"], request.request_id)
    return frames.joined([frames.prepended(first, frames.inside(_STREAMED["result"], result))])


def _server_version() -> str:
    try:
        return version("impressions-server")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
