"""One server: what it consists of, and the order in which it starts and stops.

`create_server` (serving/wiring.py) makes one. Stopping loses no request of a client that retries:

    1. health reports NOT_SERVING       balancers and health-checking clients choose another server
    2. a short drain                    calls still arrive and are answered
    3. idle streams end (UNAVAILABLE)   their callers connect to another server
    4. gRPC stops                       no new calls; those under way have `grace_s` to end
    5. the store is closed
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc

from impressions.settings.sections.live import Serving
from serving.call_limits import CallLimits
from serving.front import Front
from serving.generation_switch import GenerationSwitch
from serving.health import Health
from serving.live_deltas import LiveDeltas
from serving.metrics import ServerMetrics
from serving.open_streams import OpenStreams

DRAIN_S = 0.5
_POLL_S = 0.05


class Server:
    """A bound server.

    Attributes:
        port: the one it listens on, also if it was configured with port 0.
        address: `serving.listen` with that port.
        warm: loads what streams and unusual calls need besides; call it once the server answers.
        generations, live, health, metrics: its parts; `live` is None without a stream.
        failed: it cannot answer any more, though nobody has stopped it.
        on_failure: called then.
    """

    def __init__(
        self,
        server: grpc.Server,
        front: Front | None,
        port: int,
        generations: GenerationSwitch,
        health: Health,
        live: LiveDeltas | None,
        metrics: ServerMetrics,
        streams: OpenStreams,
        limits: CallLimits,
        serving: Serving,
        warm: Callable[[], None],
    ):
        self.port, self.generations, self.live, self.metrics = port, generations, live, metrics
        self._server, self._front, self.health = server, front, health
        self._streams, self._limits, self._grace_s = streams, limits, serving.grace_s
        self.failed, self.warm = False, warm
        self.on_failure: Callable[[], None] = lambda: None
        if front is not None:
            front.on_failure = self._fail
        self.address = f"{serving.listen.rpartition(':')[0]}:{port}"

    @property
    def idle(self) -> bool:
        """Whether no call is held: running, queued, or not read to its end."""
        pools = self._limits.calls.idle and self._limits.streams.idle
        return pools and (self._front is None or self._front.idle)

    def _fail(self) -> None:
        self.failed = True
        self.health.stopping()
        self.on_failure()

    def start(self) -> None:
        """Open the active generation and the live stream, then answer; if there is neither, calls
        get UNAVAILABLE."""
        self.generations.start()
        if self.live is not None:
            self.live.start()
            self.health.listening()
        self._server.start()
        if self._front is not None:
            self._front.start()

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Stop in the order of the module's docstring; returns when everything has ended."""
        self.health.stopping()
        threading.Event().wait(min(drain_s, self._grace_s))
        self._streams.end()
        if self._front is not None:
            self._front.drain()
        stopped = self._server.stop(self._grace_s)
        # Only our calls get the grace period: a call that watches the health never ends.
        while not stopped.wait(_POLL_S) and not self.idle:
            pass
        self._server.stop(None)
        if self._front is not None:
            self._front.stop()
        self.generations.stop()
        if self.live is not None:
            self.live.stop()
