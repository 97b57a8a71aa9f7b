"""The Python client of the impressions service.

    with ImpressionsClient("127.0.0.1:50051") as client:
        result = client.get(42, titles=[7, 9], top=Top(10, "plays", 7))
        result.title_ids, result.decayed["plays", 7], result.context.complete

- every call has a timeout; one that got UNAVAILABLE is tried again within it (gRPC's retryPolicy;
  never a timeout in the service config, which fails calls at once)
- several channels, because a server's processes share a port by connection: one channel sits on
  one process. Calls take the channels in turn
- a target with several addresses (`ipv4:a:1,b:2`, `dns:///name:1`) is balanced round robin over
  those whose health says SERVING; a single address is called whatever its health says, so that its
  own error (no generation loaded, ...) reaches the caller
- errors are `CallFailed` (impressions/client/failures.py) with the server's reason

Imports grpc, protobuf and numpy only. Thread-safe.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc

from impressions.client import columns_wire as twins
from impressions.client.failures import CallFailed, failure_of, failure_of_result
from impressions.client.result import Context, ProfileResult, result_of
from impressions.core.answer import Top
from impressions.core.errors import UsageError
from impressions.v1 import impressions_service_pb2 as pb

__all__ = ["CallFailed", "Context", "ImpressionsClient", "ProfileResult", "Top"]

_SERVICE = "impressions.v1.ImpressionsService"
_RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


class ImpressionsClient:
    """Calls one service, wherever it runs."""

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
        options = _options(target, retries)
        self._channels = [
            grpc.secure_channel(target, tls, options)
            if tls is not None
            else grpc.insecure_channel(target, options)
            for _ in range(channels)
        ]
        self._stubs = itertools.cycle([_Stub(channel) for channel in self._channels])
        self._max_batch: int | None = None

    def get(self, profile_id: int, *, at_ms: int | None = None, **projection: Any) -> ProfileResult:
        """One profile; a result without rows if it was never seen.

        Args:
            at_ms: the time to answer for; None is the server's now.
            projection: see `projection_of`.

        Raises:
            CallFailed: with the server's reason.
            UsageError: a number that no field of a request can hold.
        """
        request = _message(
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

        Split into calls of the server's `max_batch`, and again where an answer has more bytes than
        one may, each with the client's timeout and each from the generation that is served then.
        Raises CallFailed when a call as a whole fails.
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
        request = _message(
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

        No timeout and no retry: a stream that breaks raises CallFailed, and the caller opens
        another with the ids that are left.
        """
        wanted = projection_of(**projection)
        requests = (
            _message(
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
        """What is measured, what is served, and the limits."""
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
    """The methods over one channel, answered with twin messages
    (impressions/client/columns_wire.py)."""

    def __init__(self, channel: grpc.Channel):
        self.get = channel.unary_unary(
            f"/{_SERVICE}/GetProfile",
            pb.GetProfileRequest.SerializeToString,
            twins.GetProfileResponse.FromString,
        )
        self.batch = channel.unary_unary(
            f"/{_SERVICE}/BatchGetProfiles",
            pb.BatchGetProfilesRequest.SerializeToString,
            twins.BatchGetProfilesResponse.FromString,
        )
        self.stream = channel.stream_stream(
            f"/{_SERVICE}/StreamProfiles",
            pb.StreamProfilesRequest.SerializeToString,
            twins.StreamProfilesResponse.FromString,
        )
        self.describe = channel.unary_unary(
            f"/{_SERVICE}/Describe",
            pb.DescribeRequest.SerializeToString,
            pb.DescribeResponse.FromString,
        )


def projection_of(
    *,
    titles: Iterable[int] = (),
    locations: Iterable[int] = (),
    measures: Iterable[str] = (),
    half_lives_days: Iterable[int] = (),
    by_location: bool = False,
    top: Top | None = None,
    totals: bool = False,
    last_seen: bool = False,
    ema_rates: bool = False,
    plays_per_impression: bool = False,
    decayed: bool = True,
) -> pb.Projection:
    """Which rows and columns to ask for.

    Args:
        titles, locations, measures, half_lives_days: only these; empty means all.
        by_location: a row per (title, location) instead of per title.
        top: only the rows with the largest sum, largest first.
        totals, last_seen, ema_rates, plays_per_impression: add these columns.
        decayed: False leaves out the decayed sums.
    """
    projection: pb.Projection = _message(
        pb.Projection,
        title_ids=titles,
        locations=locations,
        measures=measures,
        half_lives_days=half_lives_days,
        group_by=pb.GROUP_BY_TITLE_AND_LOCATION if by_location else pb.GROUP_BY_TITLE,
        include_totals=totals,
        include_last_seen=last_seen,
        include_ema_rates=ema_rates,
        include_plays_per_impression=plays_per_impression,
        omit_decayed=not decayed,
    )
    if top is not None:
        projection.top_k.CopyFrom(
            _message(pb.TopK, k=top.k, measure=top.measure, half_life_days=top.half_life_days)
        )
    return projection


def _message(kind: Any, **fields: Any) -> Any:
    try:
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{kind.DESCRIPTOR.name}: {error}, expected what its field holds"
        ) from None


def _options(target: str, retries: bool) -> list[tuple[str, Any]]:
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        config["methodConfig"] = [{"name": [{"service": _SERVICE}], "retryPolicy": _RETRIES}]
    if "," in target or target.startswith("dns:"):
        config["healthCheckConfig"] = {"serviceName": ""}
    return [
        ("grpc.service_config", json.dumps(config)),
        # A proxy of the environment is for other hosts; it cannot reach this one's loopback.
        ("grpc.enable_http_proxy", int(not _is_loopback(target))),
        ("grpc.use_local_subchannel_pool", 1),
        # By default gRPC waits ever longer before it connects again, up to two minutes: longer than
        # calls are retried, so they would fail although the server is back.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Before the server closes an idle connection (serving.max_idle_s), which gRPC would open
        # again at once though nobody calls.
        ("grpc.client_idle_timeout_ms", 240_000),
        ("grpc.max_receive_message_length", -1),
    ]


def _is_loopback(target: str) -> bool:
    host = target.rpartition("/")[2].rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


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
