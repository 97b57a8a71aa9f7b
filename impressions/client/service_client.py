"""The client: one class with a method for each call of the service.

Every call has a timeout. Several channels are used in turn, because the worker processes of a
server share a port by connection, so one channel always reaches the same process. Errors are
`CallFailed` (impressions/client/failures.py), with the reason that the server gave. Thread-safe.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc

from impressions.client import response_messages
from impressions.client.channel_options import channel_options
from impressions.client.failures import CallFailed, failure_of, failure_of_result
from impressions.client.requests import message_of, projection_of
from impressions.client.result import ProfileResult, result_of
from impressions.v1 import impressions_service_pb2 as pb

_SERVICE = "impressions.v1.ImpressionsService"


class ImpressionsClient:
    """A client of one service."""

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = 2.0,
        channels: int = 2,
        retries: bool = True,
        tls: grpc.ChannelCredentials | None = None,
        token: str | None = None,
    ):
        """
        Args:
            target: `host:port`, or any gRPC target.
            timeout_s: of each call, retries included.
            channels: connections to each address.
            tls: `grpc.ssl_channel_credentials(...)`; None is plaintext.
            token: sent as `authorization: Bearer`.
        """
        self._target, self._timeout_s = target, timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        options = channel_options(target, _SERVICE, retries)
        self._channels = [
            grpc.secure_channel(target, tls, options)
            if tls is not None
            else grpc.insecure_channel(target, options)
            for _ in range(channels)
        ]
        self._stubs = itertools.cycle([_Stub(channel) for channel in self._channels])
        self._max_batch: int | None = None

    def get(self, profile_id: int, *, at_ms: int | None = None, **projection: Any) -> ProfileResult:
        """One profile; its result has no rows if the profile was never seen.

        Args:
            at_ms: the time that the sums are for; None is the current time of the server.
            projection: see `projection_of` (impressions/client/requests.py).

        Raises:
            CallFailed: with the server's reason.
            UsageError: a number that no field of a request can hold.
        """
        request = message_of(
            pb.GetProfileRequest,
            profile_id=profile_id,
            projection=projection_of(**projection),
            query_time_ms=at_ms,
        )
        response = self._call(lambda stub: stub.get, request)
        return _result(response.answer, request.projection)

    def get_many(
        self, profile_ids: Sequence[int], *, at_ms: int | None = None, **projection: Any
    ) -> list[ProfileResult | CallFailed]:
        """Many profiles: a result or its error for each, in order.

        Split into calls of the server's `max_batch` ids, and split again if an answer would be too
        large. Each call has the client's timeout, and is answered from the generation that is
        served at that moment. Raises CallFailed if a call fails for all its profiles.
        """
        wanted = projection_of(**projection)
        results: list[ProfileResult | CallFailed] = []
        size = self._batch_size()
        for start in range(0, len(profile_ids), size):
            results += self._batch(profile_ids[start : start + size], wanted, at_ms)
        return results

    def _batch(
        self, profile_ids: Sequence[int], wanted: pb.Projection, at_ms: int | None
    ) -> list[ProfileResult | CallFailed]:
        request = message_of(
            pb.BatchGetProfilesRequest,
            profile_ids=profile_ids,
            projection=wanted,
            query_time_ms=at_ms,
        )
        try:
            response = self._call(lambda stub: stub.batch, request)
        except CallFailed as error:
            if error.reason != "answer_too_large":
                raise
            if len(profile_ids) == 1:
                return [error]
            half = len(profile_ids) // 2
            parts = (profile_ids[:half], profile_ids[half:])
            return [result for part in parts for result in self._batch(part, wanted, at_ms)]
        return [_result_or_failure(result, wanted) for result in response.results]

    def stream(
        self, profile_ids: Iterable[int], *, at_ms: int | None = None, **projection: Any
    ) -> Iterator[ProfileResult | CallFailed]:
        """For long-lived callers: one result or error per id, in order, while ids keep coming.

        No timeout and no retry: if the stream breaks, CallFailed is raised, and the caller opens
        another one with the remaining ids.
        """
        wanted = projection_of(**projection)
        requests = (
            message_of(
                pb.StreamProfilesRequest,
                request_id=number,
                profile_id=profile_id,
                projection=wanted,
                query_time_ms=at_ms,
            )
            for number, profile_id in enumerate(profile_ids)
        )
        call = next(self._stubs).stream(requests, metadata=self._metadata)
        try:
            for response in call:
                yield _result_or_failure(response.result, wanted)
        except grpc.RpcError as error:
            raise failure_of(error, self._target) from error
        finally:
            call.cancel()

    def describe(self) -> pb.DescribeResponse:
        """What is measured, what is served, and the limits of the server."""
        response: pb.DescribeResponse = self._call(lambda stub: stub.describe, pb.DescribeRequest())
        return response

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> ImpressionsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batch_size(self) -> int:
        if self._max_batch is None:
            self._max_batch = self.describe().limits.max_batch
        return self._max_batch

    def _call(self, method: Callable[[_Stub], Any], request: Any) -> Any:
        try:
            return method(next(self._stubs))(
                request, timeout=self._timeout_s, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise failure_of(error, self._target) from error


class _Stub:
    """The methods over one channel; responses are the twins of
    impressions/client/response_messages.py."""

    def __init__(self, channel: grpc.Channel):
        self.get = channel.unary_unary(
            f"/{_SERVICE}/GetProfile",
            pb.GetProfileRequest.SerializeToString,
            response_messages.GetProfileResponse.FromString,
        )
        self.batch = channel.unary_unary(
            f"/{_SERVICE}/BatchGetProfiles",
            pb.BatchGetProfilesRequest.SerializeToString,
            response_messages.BatchGetProfilesResponse.FromString,
        )
        self.stream = channel.stream_stream(
            f"/{_SERVICE}/StreamProfiles",
            pb.StreamProfilesRequest.SerializeToString,
            response_messages.StreamProfilesResponse.FromString,
        )
        self.describe = channel.unary_unary(
            f"/{_SERVICE}/Describe",
            pb.DescribeRequest.SerializeToString,
            pb.DescribeResponse.FromString,
        )


def _result(answer: Any, projection: pb.Projection) -> ProfileResult:
    return result_of(
        answer,
        by_location=projection.group_by == pb.GROUP_BY_TITLE_AND_LOCATION,
        last_seen=projection.include_last_seen,
    )


def _result_or_failure(result: Any, projection: pb.Projection) -> ProfileResult | CallFailed:
    if result.HasField("status"):
        return failure_of_result(result)
    return _result(result.answer, projection)
