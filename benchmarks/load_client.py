"""Callers of a server: a closed loop that finds its rate, an open loop that finds its latency.

    closed   `CALLERS` threads, each with one call under way: requests per second the server can do
    open     calls at fixed moments, whether earlier ones were answered or not: the latency of each
             is counted from its moment, so a server that stalls is not spared

Requests are bytes made before and responses stay bytes, so that the client's own parsing is in no
figure.

A server that holds more calls than its limit refuses at once, and gRPC cancels what does not fit in
its queue; an open loop counts both. Any other failure ends the run.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np

CALLERS = 4
_CHANNELS = 2
_ANSWERED_WITHIN_S = 30.0
_TURNED_AWAY = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)


@dataclass(frozen=True)
class Latency:
    """Percentiles over the calls that were answered, and the share a full server turned away."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    refused_percent: float


class Client:
    """Calls one method of one server."""

    def __init__(self, address: str, method: str):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self._channels = [grpc.insecure_channel(address, options) for _ in range(_CHANNELS)]
        self._calls: list[Any] = [
            channel.unary_unary(f"/impressions.v1.ImpressionsService/{method}")
            for channel in self._channels
        ]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels:
            channel.close()

    def call(self, request: bytes) -> bytes:
        response: bytes = self._calls[0](request, timeout=_ANSWERED_WITHIN_S)
        return response

    def closed(
        self, requests: Sequence[bytes], seconds: float, callers: int = CALLERS
    ) -> tuple[int, float]:
        """Requests answered within so many seconds, and how many per second that is."""
        counts, failures = [0] * callers, list[Exception]()
        started_s = time.perf_counter()

        def caller(number: int) -> None:
            call = self._calls[number % _CHANNELS]
            mine = itertools.cycle(requests[number::callers])
            try:
                while time.perf_counter() - started_s < seconds:
                    call(next(mine), timeout=_ANSWERED_WITHIN_S)
                    counts[number] += 1
            except grpc.RpcError as error:
                failures.append(error)

        threads = [threading.Thread(target=caller, args=(i,)) for i in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return sum(counts), sum(counts) / (time.perf_counter() - started_s)

    def open(self, requests: Sequence[bytes], per_s: float, seconds: float) -> Latency:
        """Latencies at a fixed rate."""
        count = int(per_s * seconds)
        calls = _Answers(count)
        started_s = time.perf_counter() + 0.01
        for i in range(count):
            due_s = started_s + i / per_s
            if (pause_s := due_s - time.perf_counter()) > 0:
                time.sleep(pause_s)
            future = self._calls[i % _CHANNELS].future(
                requests[i % len(requests)], timeout=_ANSWERED_WITHIN_S
            )
            future.add_done_callback(partial(calls.answered, due_s))
        return calls.latency()


class _Answers:
    """What came back of an open loop's calls."""

    def __init__(self, count: int):
        self._count, self._left = count, threading.Semaphore(0)
        self._latencies_ms: list[float] = []
        self._failures: list[Any] = []
        self._refused = 0

    def answered(self, due_s: float, future: Any) -> None:
        taken_ms = (time.perf_counter() - due_s) * 1e3
        error = future.exception()
        if error is None:
            self._latencies_ms.append(taken_ms)
        elif error.code() in _TURNED_AWAY:
            self._refused += 1
        else:
            self._failures.append(error)
        self._left.release()

    def latency(self) -> Latency:
        """Waits for all. Raises the first failure that is no refusal."""
        for _ in range(self._count):
            self._left.acquire()
        if self._failures:
            raise self._failures[0]
        p50_ms, p99_ms, p999_ms = np.percentile(self._latencies_ms, [50, 99, 99.9]).tolist()
        return Latency(p50_ms, p99_ms, p999_ms, 100 * self._refused / self._count)
