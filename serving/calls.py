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
from serving.call_pool import CallPool, on_pool
from serving.caller import Caller
from serving.concurrency import Permit
from serving.deadline import Deadline
from serving.error_status import code_of, status_of
from serving.metrics import CountCode
from serving.open_streams import OpenStreams
from serving.refusal import Handler
from serving.requests import InvalidField

Request = TypeVar("Request", bound=Message)
CompiledForm = Callable[[bytes, Callable[[], None]], bytes | None]
"""(bytes of a request, what to call before each profile) -> bytes of the response, or None."""


Respond = Callable[[bytes, Caller], "bytes | grpc.Status"]
"""(bytes of a request, its caller) -> bytes of the response, or the status that ends the call."""


def parse(kind: type[Request], data: bytes) -> Request:
    """The request in these bytes. Raises InvalidField for bytes that are no such request."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidField(
            "request", f"{len(data)} bytes that are no {kind.DESCRIPTOR.full_name}"
        ) from None


def answering(
    method: Callable[[Request, Permit], Any],
    kind: type[Request],
    limits: CallLimits,
    count: CountCode,
    compiled: CompiledForm | None = None,
) -> Respond:
    """One request to one response, or to the status of what was wrong.

    Args:
        compiled: tried first; the method answers what it leaves.
    """

    def respond(data: bytes, caller: Caller) -> bytes | grpc.Status:
        try:
            peer = caller.peer()
            limits.unread.check(peer)
            with limits.permits.permit(Deadline(caller)) as permit:
                answer = None if compiled is None else compiled(data, permit.check)
                if answer is None:
                    request = parse(kind, data)
                    log.debug("call", kind=kind.DESCRIPTOR.name, request=request)
                    answer = _serialize(method(request, permit))
            limits.unread.hold(peer, caller, len(answer))
            count(grpc.StatusCode.OK)
            return answer
        except Exception as error:  # every call ends with a status; gRPC would answer UNKNOWN
            count(code_of(error))
            log_unexpected(error)
            return rpc_status.to_status(status_of(error))

    return respond


def unary(respond: Respond, pool: CallPool) -> Handler:
    """The gRPC handler of a method with one request and one response."""

    def call(data: bytes, context: grpc.ServicerContext) -> Any:
        response = respond(data, context)
        return response if isinstance(response, bytes) else context.abort_with_status(response)

    return grpc.unary_unary_rpc_method_handler(on_pool(pool, call))


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
        deadline = Deadline(context)
        with streams.opened(context) as busy:
            for data in requests:
                with busy:
                    yield answer(data, deadline)

    return grpc.stream_stream_rpc_method_handler(
        on_pool(limits.streams, call), response_serializer=_serialize
    )


def log_unexpected(error: Exception) -> None:
    """Log defects and unreadable data with their cause; refusals are not logged."""
    if not isinstance(error, ImpressionsError):
        log.LOGGER.error("%s", log.line("defect", error=repr(error)), exc_info=error)
    elif error.__cause__ is not None:
        log.once("unreadable", message=error.message, cause=error.__cause__)


def _serialize(response: Message | bytes) -> bytes:
    """The bytes of a response; answers are bytes already (serving/frames.py)."""
    return response if isinstance(response, bytes) else response.SerializeToString()
