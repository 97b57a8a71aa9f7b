"""Handlers that refuse a call on the thread that accepted it, without reading the request.

So a refusal costs one message to gRPC and never waits for a thread that computes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import grpc
from grpc_status import rpc_status

from serving.call_pool import on_pool
from serving.error_status import status_of

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class _SameThread(ThreadPoolExecutor):
    """Runs a task in the thread that submits it, which is gRPC's own: for tasks that never wait."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


_SAME_THREAD = _SameThread(1)


def refusing(error: Exception) -> Handler:
    """A handler for any method, which answers with the status of the error."""
    status = rpc_status.to_status(status_of(error))

    def refuse(_: Any, context: grpc.ServicerContext, send: Callable[[None], None]) -> None:
        end_with(status, context, send)

    behaviour = on_pool(_SAME_THREAD, refuse, experimental_non_blocking=True)
    return grpc.stream_stream_rpc_method_handler(behaviour)


def end_with(
    status: grpc.Status, context: grpc.ServicerContext, send: Callable[[None], object]
) -> None:
    """End a call with this status, in a handler that sends its responses itself."""
    context.set_code(status.code)
    context.set_details(status.details)
    context.set_trailing_metadata(status.trailing_metadata)
    send(None)
