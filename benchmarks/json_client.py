"""Callers of a server that speaks JSON over HTTP/1.1, in the manner of benchmarks/load_client.py.

As many callers, each on a connection of its own that is kept; requests are bytes made before and
responses stay bytes.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.load_client import CALLERS

_OPEN_CALLERS = 32
_HEADERS = {"Content-Type": "application/json"}


class JsonClient:
    """Posts to one path of one server."""

    def __init__(self, address: str, path: str):
        self._address, self._path, self._own = address, path, threading.local()

    def call(self, body: bytes) -> bytes:
        """The response, over the connection of this thread."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(self._address)
        connection.request("POST", self._path, body, _HEADERS)
        response = connection.getresponse()
        data: bytes = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{self._path}: {response.status} {data[:300]!r}")
        return data

    def closed(
        self, bodies: Sequence[bytes], seconds: float, callers: int = CALLERS
    ) -> tuple[int, float]:
        """Requests answered within so many seconds, and how many per second that is."""
        started_s = time.perf_counter()

        def caller(number: int) -> int:
            mine, count = itertools.cycle(bodies[number::callers] or bodies), 0
            while time.perf_counter() - started_s < seconds:
                self.call(next(mine))
                count += 1
            return count

        with ThreadPoolExecutor(callers) as pool:
            total = sum(pool.map(caller, range(callers)))
        return total, total / (time.perf_counter() - started_s)

    def open_p50_ms(self, bodies: Sequence[bytes], per_s: float, seconds: float) -> float:
        """Median latency at a fixed rate, each call's counted from when it was due."""
        started_s = time.perf_counter() + 0.01

        def answered_ms(due_s: float, body: bytes) -> float:
            self.call(body)
            return (time.perf_counter() - due_s) * 1e3

        with ThreadPoolExecutor(_OPEN_CALLERS) as pool:
            calls: list[Callable[[], float]] = []
            for i in range(int(per_s * seconds)):
                due_s = started_s + i / per_s
                time.sleep(max(0.0, due_s - time.perf_counter()))
                calls.append(pool.submit(answered_ms, due_s, bodies[i % len(bodies)]).result)
        return float(np.median([call() for call in calls]))
