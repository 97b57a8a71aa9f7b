"""The front: one thread takes `GetProfile` and `BatchGetProfiles`, computes, and answers.

gRPC's Python server hands each call from thread to thread: one accepts it, one computes, one sends.
For a read of a few dozen microseconds the hand-offs cost more than all the rest. So these two
methods have a completion queue of their own on the same C server, and one thread that polls it.
Port, TLS, health, reflection, Describe, StreamProfiles and stopping stay with grpc.server.

A call is three events of that queue:

    called       it has come: its token is checked, its message asked for, and the next call
    received     its message is there: it is answered, or left to the pool
    ended        its answer was read, or the caller is gone

This thread computes what compiled code answers from memory, a few dozen microseconds each. To the
pool (serving/call_pool.py) goes whatever takes longer: batches, large answers, whatever is unusual,
and all reads while they wait for the disk (serving/cold_reads.py). There the ordinary handlers of
serving/calls.py answer, with their limits, so a single read never waits behind them. Calls that
come faster than they are computed wait in gRPC's own queue.

This is the only file that touches private names of grpcio. They are what grpc/_server.py itself is
made of, but a later version may rename them: `missing` tells before a server is made, and then
grpc.server takes these methods too, slower and with the same answers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import grpc
from grpc_status import rpc_status

from impressions.clock import now_ms
from impressions.core.errors import ImpressionsError, NotReady
from impressions.terminal import log
from serving.admission import full
from serving.auth import NO_TOKEN, Tokens
from serving.call_limits import CallLimits
from serving.calls import Respond, log_unexpected
from serving.deadline import too_late
from serving.error_status import code_of, status_of
from serving.lost_calls import LostCalls
from serving.metrics import CountCode


def _private() -> Any:
    """The module of private names; None where it is no more."""
    try:
        return import_module("grpc._cython.cygrpc")
    except ImportError:
        return None


cygrpc = _private()
VERSIONS = ("1.85.",)
"""Of grpcio, of which the names below are known."""
_NAMES = (
    "CompletionQueue", "CompletionType", "ReceiveCloseOnServerOperation", "ReceiveMessageOperation",
    "SendInitialMetadataOperation", "SendMessageOperation", "SendStatusFromServerOperation",
    "channelz_get_server", "channelz_get_servers",
)  # fmt: skip
_SERVER_NAMES = ("register_completion_queue", "register_method", "request_registered_call")
_POLL_S, _NO_FLAGS = 1.0, 0
_MOST_WAITING = 256
"""Calls that have begun and whose message has not come. They are in no pool, so nothing else limits
them; a message comes right behind the beginning of its call, unless it is large or never sent."""
_OK = grpc.StatusCode.OK.value[0]

AtOnce = Callable[[bytes], "bytes | None"]
"""Bytes of a request -> bytes of the response, soon; None leaves the request to the pool."""


def missing() -> str | None:
    """What this grpcio lacks of what the front needs; None if it has all of it."""
    if not grpc.__version__.startswith(VERSIONS):
        return f"grpcio {grpc.__version__}, expected {' or '.join(VERSIONS)}x"
    state = getattr(import_module("grpc._server"), "_ServerState", None)
    lacks = [name for name in _NAMES if not hasattr(cygrpc, name)]
    lacks += [name for name in _SERVER_NAMES if not hasattr(getattr(cygrpc, "Server", None), name)]
    lacks += [] if "server" in getattr(state, "__annotations__", ()) else ["_ServerState.server"]
    return f"grpcio without {', '.join(lacks)}" if lacks else None


class Method:
    """One method of the front.

    Attributes:
        name: its full name.
        at_once: what its calls are given to first; None: all of them go to the pool.
        respond: what answers in the pool.
        count: counts its calls.
    """

    def __init__(self, name: str, at_once: AtOnce | None, respond: Respond, count: CountCode):
        self.name, self.at_once, self.respond, self.count = name, at_once, respond, count


class Front:
    """The completion queue of these methods, and the thread that serves it.

    Attributes:
        waiting, held: calls without their message; calls that have not ended. Only the thread
            counts.
        on_failure: called if the thread ends although the server does not: no call would be
            answered any more.
    """

    def __init__(
        self,
        server: grpc.Server,
        methods: list[Method],
        limits: CallLimits,
        tokens: Tokens | None,
        lost: LostCalls,
    ):
        """Before the server is started, and before another is made; `tokens` is None where calls
        need none."""
        self._lost, self._channelz_id = lost, _newest_server()
        self.limits, self._methods, self._tokens = limits, methods, tokens
        self._core: Any = server._state.server  # type: ignore[attr-defined]
        self._queue = cygrpc.CompletionQueue()
        self._core.register_completion_queue(self._queue)
        for method in methods:
            self._core.register_method(method.name)
        self._refused = {method: refusal(full(limits.calls)) for method in methods}
        self._no_token = refusal(NO_TOKEN)
        self._too_many = refusal(_TOO_MANY)
        self.on_failure: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._serve, name="front", daemon=True)
        self._open, self._is_open, self._accepts = threading.Lock(), True, True
        self.waiting = self.held = 0

    @property
    def idle(self) -> bool:
        """Whether no call is held: every answer was read, or its caller is gone."""
        return self.held == 0 or not self._thread.is_alive()

    def start(self) -> None:
        """After the server was started."""
        for method in self._methods:
            self._next(method)
        self._thread.start()

    def drain(self) -> None:
        """Before the server is stopped: accept no further call. grpcio raises where a stopping
        server is asked for one, and the call that has come just now would not be answered."""
        with self._open:
            self._accepts = False

    def stop(self) -> None:
        """After the server has stopped: every call has ended, though the pool may not know yet."""
        with self._open:
            self._is_open = False
            self._queue.shutdown()
        if self._thread.is_alive():
            self._thread.join()

    def begin(self, core: Any, operations: tuple[Any, ...], then: Callable[[Any], None]) -> None:
        """Begin operations of a call; `then` gets the event of their end. Nothing is begun once the
        front has stopped: gRPC would abort the process."""
        with self._open:
            if self._is_open:
                _accepted(core.start_server_batch(operations, then))

    def _next(self, method: Method) -> None:
        with self._open:
            if self._is_open and self._accepts:
                queue = self._queue
                _accepted(self._core.request_registered_call(queue, queue, method.name, method))

    def _serve(self) -> None:
        try:
            self._poll()
        except BaseException as error:  # whatever it was: nobody polls any more
            log.LOGGER.critical("%s", log.line("deaf", error=repr(error)), exc_info=error)
            self.on_failure()

    def _poll(self) -> None:
        poll, shutdown = self._queue.poll, cygrpc.CompletionType.queue_shutdown
        lost = self._lost
        while True:
            event = poll(0 if lost.asked else now_ms() / 1000 + _POLL_S)
            tag = event.tag
            if tag is None:
                if event.completion_type == shutdown:
                    return
                self._count_lost()
                continue
            if type(tag) is Method:
                if not event.success:  # the server stops
                    continue
                self._next(tag)  # not in the `try`: without it, no call of the method would come
            try:
                if type(tag) is Method:
                    self._called(tag, event)
                else:
                    tag(event)
            except Exception as error:  # no call may end the thread
                log_unexpected(error)
            # The call goes before the next poll: grpcio may spin on one that was shut down.
            event = tag = None

    def _count_lost(self) -> None:
        """No call waits just now. A number for /metrics ends no thread: gRPC knows nothing of a
        server that has stopped."""
        try:
            self._lost.nothing_waits(_calls_begun(self._channelz_id))
        except Exception as error:  # see above: whatever it is, only the number is missing
            self._lost.asked = False
            if not isinstance(error, ValueError):
                log.once("not-counted", error=repr(error))

    def _called(self, method: Method, event: Any) -> None:
        call = Call(self, method, event)
        self.held += 1
        self._lost.taken += 1
        try:
            self._begun(call, method, event)
        except Exception as error:  # a call that stays open would hold its caller for ever
            call.failed(error)

    def _begun(self, call: Call, method: Method, event: Any) -> None:
        if self._tokens is not None and not self._tokens.are_in(event.invocation_metadata):
            method.count(grpc.StatusCode.UNAUTHENTICATED)
            call.end(self._no_token)
        elif self.waiting >= _MOST_WAITING:
            method.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
            call.end(self._too_many)
        else:
            call.receive()
            self.waiting += 1

    def pooled(self, call: Call, data: bytes) -> None:
        """Leave a call to the pool, or refuse it if that is full."""
        if self.limits.calls.full:
            call.method.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
            call.end(self._refused[call.method])
            return
        call.watch()
        self.limits.calls.submit(call.respond, data)


class Call:
    """One call, from its event to its end; a `Caller` for the handlers in the pool."""

    __slots__ = (
        "_callbacks", "_core", "_deadline_s", "_ended", "_front", "_lock", "_peer", "_size",
        "_watched", "method",
    )  # fmt: skip

    def __init__(self, front: Front, method: Method, event: Any):
        self._front, self.method, self._core = front, method, event.call
        self._deadline_s: float = event.call_details.deadline
        self._peer: str = event.call.peer().decode()
        self._size, self._ended, self._watched = 0, False, False
        self._callbacks: list[Callable[[], None]] = []
        self._lock: threading.Lock | None = None

    def receive(self) -> None:
        """Ask for its message."""
        message = cygrpc.ReceiveMessageOperation(_NO_FLAGS)
        self._front.begin(self._core, (message,), self._received)

    def _received(self, event: Any) -> None:
        self._front.waiting -= 1
        try:
            self._answer_to(event)
        except Exception as error:  # a call that stays open would hold its caller for ever
            self.failed(error)

    def _answer_to(self, event: Any) -> None:
        data = event.batch_operations[0].message()
        if data is None:
            self.end(_NO_MESSAGE)
            return
        at_once = self.method.at_once
        if at_once is None:
            self._front.pooled(self, data)
            return
        error: ImpressionsError | None = None
        if self._deadline_s <= now_ms() / 1000:
            error = too_late()
        else:
            try:
                self._front.limits.unread.check(self._peer)
            except NotReady as refused:
                error = refused
        if error is not None:
            self.method.count(code_of(error))
            self.end(refusal(error))
            return
        try:
            response = at_once(data)
        except Exception as defect:  # the pool answers, or says what is wrong
            log.once("defect", error=repr(defect))
            response = None
        if response is None:
            self._front.pooled(self, data)
            return
        self.method.count(grpc.StatusCode.OK)
        self._size = len(response)
        self._front.limits.unread.add(self._peer, self._size)
        self._answer(response)

    def _answer(self, response: bytes) -> None:
        self._send(
            cygrpc.SendMessageOperation(response, _NO_FLAGS),
            cygrpc.SendStatusFromServerOperation(None, _OK, b"", _NO_FLAGS),
        )

    def end(self, status: grpc.Status) -> None:
        """End the call with this status instead of an answer."""
        self._send(
            cygrpc.SendStatusFromServerOperation(
                status.trailing_metadata, status.code.value[0], status.details.encode(), _NO_FLAGS
            )
        )

    def failed(self, error: Exception) -> None:
        """End a call that a defect keeps from its answer, in one way or the other. It is counted
        twice if it was counted as answered."""
        log_unexpected(error)
        self.method.count(grpc.StatusCode.INTERNAL)
        try:
            self.end(_DEFECT)
        except Exception as again:  # gRPC takes no status any more: only cancelling is left
            log_unexpected(again)
            code, details = _DEFECT.code.value[0], _DEFECT.details
            self._core.cancel(code, details)
            if not self._watched:  # nothing was begun, so no event tells of the end
                self._closed(None)

    def _send(self, *operations: Any) -> None:
        """Everything that is left of the call, at once."""
        metadata = cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS)
        if self._watched:
            self._front.begin(self._core, (metadata, *operations), _sent)
        else:
            close = cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS)
            self._front.begin(self._core, (metadata, *operations, close), self._closed)

    # ---- in the pool

    def watch(self) -> None:
        """Learn from now on when the caller is gone."""
        self._watched, self._lock = True, threading.Lock()
        close = cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS)
        self._front.begin(self._core, (close,), self._closed)

    def respond(self, data: bytes) -> None:
        """Answer, by the handler of the method."""
        try:
            response = self.method.respond(data, self)
            if isinstance(response, bytes):
                self._answer(response)
            else:
                self.end(response)
        except Exception as error:  # nobody asks the pool how its tasks have ended
            self.failed(error)

    def peer(self) -> str:
        return self._peer

    def time_remaining(self) -> float | None:
        left_s = self._deadline_s - now_ms() / 1000
        return None if left_s == float("inf") else max(0.0, left_s)

    def is_active(self) -> bool:
        return not self._ended

    def add_callback(self, callback: Callable[[], None]) -> bool:
        assert self._lock is not None
        with self._lock:
            if not self._ended:
                self._callbacks.append(callback)
            return not self._ended

    def _closed(self, _: Any) -> None:
        """The answer was read, or the caller is gone."""
        self._front.held -= 1
        if self._lock is None:
            self._ended = True
            if self._size:
                self._front.limits.unread.add(self._peer, -self._size)
            return
        with self._lock:
            self._ended = True
        for callback in self._callbacks:
            callback()


def _accepted(error: int) -> None:
    """See what gRPC says of operations: it has begun either all of them or none."""
    if error:
        raise RuntimeError(f"gRPC does not begin operations: error {error}")


def _newest_server() -> int:
    """The number that gRPC's core has given to the server that was made last."""
    newest, end = -1, False
    while not end:
        page = json.loads(cygrpc.channelz_get_servers(newest + 1))
        numbers = [int(server["ref"]["serverId"]) for server in page.get("server", ())]
        newest, end = max([newest, *numbers]), page.get("end", False) or not numbers
    return newest


def _calls_begun(server: int) -> int:
    """The calls of a server that have begun, ever; those too that no thread has taken."""
    data = json.loads(cygrpc.channelz_get_server(server))["server"]["data"]
    return int(data.get("callsStarted", 0))


def _sent(_: Any) -> None:
    """Nothing is left to do when the answer of a watched call was sent."""


def refusal(error: Exception) -> grpc.Status:
    return rpc_status.to_status(status_of(error))


_TOO_MANY = NotReady(
    f"full: {_MOST_WAITING} calls have begun whose message has not come, the limit",
    hint="send the message with the call; retry later or elsewhere",
    reason="overloaded",
)
_DEFECT = refusal(RuntimeError("the call could not be answered"))
_NO_MESSAGE = refusal(NotReady("the call has no message, expected one", reason="cancelled"))
"""Only a caller that has gone sees to it, or one that is no gRPC client."""
