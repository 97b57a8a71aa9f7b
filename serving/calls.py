"""The gRPC handlers of our methods: bytes to a request, a permit to compute, errors to statuses.

Methods of the service take (request, permit), return a response and raise errors of
impressions/core/errors.py; everything else that gRPC needs is done here. Requests are parsed here,
because grpcio answers undecodable bytes with UNKNOWN, which reads like a defect of the server. They
are an error of the caller, so the answer is INVALID_ARGUMENT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status

from impressions.core.errors import ImpressionsError
from impressions.terminal import log
from serving.call_limits import CallLimits
from serving.call_pool import on_pool
from serving.concurrency import Permit
from serving.deadline import Deadline
from serving.error_status import code_of, status_of
from serving.metrics import CountCode
from serving.open_streams import OpenStreams
from serving.refusal import Handler
from serving.requests import InvalidField

Request = TypeVar("Request", bound=Message)


def parse(kind: type[Request], data: bytes) -> Request:
    """The request in these bytes. Raises InvalidField for bytes that are no such request."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidField(
            "request", f"{len(data)} bytes that are no {kind.DESCRIPTOR.full_name}"
        ) from None


def unary(
    method: Callable[[Request, Permit], Any],
    kind: type[Request],
    limits: CallLimits,
    count: CountCode,
) -> Handler:
    """The gRPC handler of a method with one request and one response."""

    def call(data: bytes, context: grpc.ServicerContext) -> Any:
        try:
            peer = context.peer()
            limits.unread.check(peer)
            with limits.permits.permit(Deadline(context, limits.acceptor)) as permit:
                request = parse(kind, data)
                log.debug("call", kind=kind.DESCRIPTOR.name, request=request)
                response = method(request, permit)
            answer = _serialize(response)
            limits.unread.hold(peer, context, len(answer))
            count(grpc.StatusCode.OK)
            return answer
        except Exception as error:  # every call ends with a status; gRPC would answer UNKNOWN
            failure = error
        count(code_of(failure))
        return abort(context, failure)

    return grpc.unary_unary_rpc_method_handler(on_pool(limits.calls, call))


def stream(
    method: Callable[[Request, Permit], Any],
    kind: type[Request],
    refused: Callable[[Request, Exception], Any],
    limits: CallLimits,
    count: CountCode,
    streams: OpenStreams,
) -> Handler:
    """The gRPC handler of a bidirectional method: `refused` makes the response of a bad request."""

    def answer(data: bytes, deadline: Deadline) -> Any:
        request = kind()
        try:
            request = parse(kind, data)
            with limits.permits.permit(deadline) as permit:
                response = method(request, permit)
                count(grpc.StatusCode.OK)
                return response
        except Exception as error:  # one request of the stream is refused, the stream goes on
            deadline.check()
            count(code_of(error))
            log_unexpected(error)
            return refused(request, error)

    def call(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        deadline = Deadline(context, limits.acceptor)
        with streams.opened(context) as busy:
            for data in requests:
                with busy:
                    yield answer(data, deadline)

    return grpc.stream_stream_rpc_method_handler(
        on_pool(limits.streams, call), response_serializer=_serialize
    )


def abort(context: grpc.ServicerContext, error: Exception) -> Any:
    """End the call with the status of an error."""
    log_unexpected(error)
    return context.abort_with_status(rpc_status.to_status(status_of(error)))


def log_unexpected(error: Exception) -> None:
    """Log defects and unreadable data with their cause; refusals are not logged."""
    if not isinstance(error, ImpressionsError):
        log.LOGGER.error("%s", log.line("defect", error=repr(error)), exc_info=error)
    elif error.__cause__ is not None:
        log.once("unreadable", message=error.message, cause=error.__cause__)


def _serialize(response: Message | bytes) -> bytes:
    """The bytes of a response; answers are bytes already (serving/frames.py)."""
    return response if isinstance(response, bytes) else response.SerializeToString()
