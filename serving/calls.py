"""A call around a method: bytes to a request, a turn to work, errors to statuses.

Methods of the service take (request, turn), return a response and raise errors of
impressions/core/errors.py; here is everything gRPC wants besides. Requests arrive as bytes and are
parsed here, because grpcio answers undecodable ones with UNKNOWN, which reads like a defect of the
server; they are the caller's, so INVALID_ARGUMENT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status

from impressions.core.errors import ImpressionsError
from impressions.terminal import log
from serving.admission import Count, Handler, Pool, on_pool
from serving.concurrency import Deadline, Door, Turn, Work
from serving.error_status import code_of, status_of
from serving.open_streams import OpenStreams
from serving.requests import InvalidField
from serving.unread_answers import Unsent

Request = TypeVar("Request", bound=Message)


def parse(kind: type[Request], data: bytes) -> Request:
    """The request in these bytes. Raises InvalidField for bytes that are none."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidField(
            "request", f"{len(data)} bytes that are no {kind.DESCRIPTOR.full_name}"
        ) from None


def unary(
    method: Callable[[Request, Turn], Any],
    kind: type[Request],
    pool: Pool,
    work: Work,
    door: Door,
    unsent: Unsent,
    count: Count,
) -> Handler:
    """The gRPC handler of a method with one request and one response."""

    def call(data: bytes, context: grpc.ServicerContext) -> Any:
        try:
            peer = context.peer()
            unsent.check(peer)
            with work.turn(Deadline(context, door)) as turn:
                request = parse(kind, data)
                log.debug("call", kind=kind.DESCRIPTOR.name, request=request)
                response = method(request, turn)
            answer = _serialize(response)
            unsent.hold(peer, context, len(answer))
            count(grpc.StatusCode.OK)
            return answer
        except Exception as error:  # every call ends with a status; gRPC would answer UNKNOWN
            failure = error
        count(code_of(failure))
        return abort(context, failure)

    return grpc.unary_unary_rpc_method_handler(on_pool(pool, call))


def stream(
    method: Callable[[Request, Turn], Any],
    kind: type[Request],
    refused: Callable[[Request, Exception], Any],
    pool: Pool,
    work: Work,
    door: Door,
    count: Count,
    streams: OpenStreams,
) -> Handler:
    """The gRPC handler of a bidirectional method: `refused` makes the response of a bad request."""

    def answer(data: bytes, deadline: Deadline) -> Any:
        request = kind()
        try:
            request = parse(kind, data)
            with work.turn(deadline) as turn:
                response = method(request, turn)
                count(grpc.StatusCode.OK)
                return response
        except Exception as error:  # one request of the stream is refused, the others go on
            deadline.check()
            count(code_of(error))
            log_unexpected(error)
            return refused(request, error)

    def call(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        deadline = Deadline(context, door)
        with streams.opened(context) as busy:
            for data in requests:
                with busy:
                    yield answer(data, deadline)

    return grpc.stream_stream_rpc_method_handler(
        on_pool(pool, call), response_serializer=_serialize
    )


def abort(context: grpc.ServicerContext, error: Exception) -> Any:
    """End the call with the status of an error."""
    log_unexpected(error)
    return context.abort_with_status(rpc_status.to_status(status_of(error)))


def log_unexpected(error: Exception) -> None:
    """Defects and unreadable data belong in the log, with their cause; refusals do not."""
    if not isinstance(error, ImpressionsError):
        log.LOGGER.error("%s", log.line("defect", error=repr(error)), exc_info=error)
    elif error.__cause__ is not None:
        log.once("unreadable", message=error.message, cause=error.__cause__)


def _serialize(response: Message | bytes) -> bytes:
    """Of a message; answers are bytes already (serving/frames.py)."""
    return response if isinstance(response, bytes) else response.SerializeToString()
