"""A sender cheap enough to overload a server from one core: gRPC calls as HTTP/2 frames by hand.

    python -m tests.faults.flood     reads one line of JSON (`Plan`), prints one (`Sent`)

Open loop: each call leaves at its moment, whether earlier ones were answered or not, and its time
is counted from that moment. Closed loop (`callers`): so many calls under way, as fast as they are
answered. gRPC's own Python client needs more time per call than a server needs to refuse one, so it
would measure itself.

Header tables are switched off, so every response is read without state: a call that got DATA was
answered; otherwise its `grpc-status` stands in plain text in its last HEADERS.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
RESET, UNANSWERED = -1, -2
"""Instead of a gRPC status: the stream was reset; no answer came in time."""
_STATUS = re.compile(rb"grpc-status[\x01\x02](\d+)")
_HUGE = (1 << 31) - 1
_TOP_UP = 1 << 24
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        requests: messages in hex, sent round robin.
        per_s, seconds: the rate, and for how long.
        callers: the number of calls under way, instead of a rate.
        timeout_ms: the deadline that each call carries.
    """

    address: str
    method: str
    requests: list[str]
    seconds: float
    per_s: float = 0.0
    callers: int = 0
    timeout_ms: int = 5_000
    connections: int = 2


@dataclass
class Sent:
    """What came back: milliseconds of each call by its gRPC status.

    Attributes:
        late_ms: how late the latest call left; large means that the sender was the bottleneck.
    """

    took_ms: dict[int, list[float]] = field(default_factory=dict)
    late_ms: float = 0.0

    def count(self, status: int) -> int:
        return len(self.took_ms.get(status, ()))

    def percentile_ms(self, status: int, percent: float) -> float:
        """Not a number where no call ended so."""
        taken = sorted(self.took_ms.get(status, ())) or [math.nan]
        return taken[min(len(taken) - 1, int(len(taken) * percent / 100))]


def send(plan: Plan, core: int | None = None) -> Sent:
    """Send from a process of its own, kept on `core`."""
    command = [
        sys.executable,
        "-m",
        "tests.faults.flood",
        *([str(core)] if core is not None else []),
    ]
    done = subprocess.run(
        command,
        input=json.dumps(dataclasses.asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=plan.seconds + 60,
        cwd=Path(__file__).parents[2],
    )
    sent = json.loads(done.stdout)
    sent["took_ms"] = {int(status): taken for status, taken in sent["took_ms"].items()}
    return Sent(**sent)


class Connection:
    """One HTTP/2 connection that sends calls and reads how they ended."""

    def __init__(self, plan: Plan, window: int = _HUGE):
        """`window`: how many bytes of each answer it takes."""
        host, _, port = plan.address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers, self._next, self._unread = header_block(plan), 1, bytearray()
        self._out, self._credit = bytearray(), 0
        self.due_s: dict[int, float] = {}
        self._answered: set[int] = set()
        settings = struct.pack(">HIHI", 1, 0, 4, window)  # no header table
        self._out += b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings)
        self._out += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", _HUGE - 65_535))
        self.flush()
        self.socket.setblocking(False)

    def call(self, message: bytes, due_s: float) -> None:
        stream, self._next = self._next, self._next + 2
        self.due_s[stream] = due_s
        self._out += frame(HEADERS, END_HEADERS, stream, self._headers)
        self._out += frame(
            DATA, END_STREAM, stream, b"\0" + struct.pack(">I", len(message)) + message
        )

    def flush(self) -> None:
        """Send what the socket takes."""
        try:
            while self._out:
                del self._out[: self.socket.send(self._out)]
        except BlockingIOError:
            return

    def ended(self) -> Iterator[tuple[float, int]]:
        """(due, status) of the calls that have ended."""
        try:
            while chunk := self.socket.recv(1 << 20):
                self._unread += chunk
                if len(chunk) < 1 << 16:
                    break
        except BlockingIOError:
            pass
        at, unread = 0, self._unread
        while len(unread) - at >= 9:
            size = int.from_bytes(unread[at : at + 3], "big")
            if len(unread) - at < 9 + size:
                break
            kind, flags = unread[at + 3], unread[at + 4]
            stream = int.from_bytes(unread[at + 5 : at + 9], "big")
            yield from self._take(kind, flags, stream, bytes(unread[at + 9 : at + 9 + size]))
            at += 9 + size
        del unread[:at]

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> Iterator[tuple[float, int]]:
        if kind == DATA:
            self._answered.add(stream)
            self._credit += len(body)
            if self._credit > _TOP_UP:
                self._out += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._credit))
                self._credit = 0
        elif kind == SETTINGS and not flags & ACK:
            self._out += frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._out += frame(PING, ACK, 0, body)
        elif kind == GOAWAY:
            raise ConnectionError(f"the server closed the connection: {body!r}")
        if kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
            status = RESET if kind == RST_STREAM else self._status(stream, body)
            due_s = self.due_s.pop(stream, None)
            if due_s is not None:
                yield due_s, status

    def _status(self, stream: int, body: bytes) -> int:
        match = _STATUS.search(body)
        if match is None:
            raise ValueError(f"no status in {body!r}")
        status = int(match[1])
        if status == 0 and stream not in self._answered:
            raise ValueError(f"status {status} without data")
        self._answered.discard(stream)
        return status


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def header_block(plan: Plan) -> bytes:
    """The headers of a call in HPACK, none indexed: `:method: POST` and `:scheme: http` are static
    entries 3 and 6, the names `:authority`, `:path` and `content-type` 1, 4 and 31."""

    def text(value: str) -> bytes:
        assert len(value) < 127
        return bytes([len(value)]) + value.encode()

    return b"".join(
        (
            b"\x83\x86",
            b"\x01" + text(plan.address),
            b"\x04" + text(plan.method),
            b"\x0f\x10" + text("application/grpc"),
            b"\x00" + text("te") + text("trailers"),
            b"\x00" + text("grpc-timeout") + text(f"{plan.timeout_ms}m"),
        )
    )


def run(plan: Plan) -> Sent:
    """Send the plan's calls and collect what comes back."""
    requests = [bytes.fromhex(request) for request in plan.requests]
    connections = [Connection(plan) for _ in range(plan.connections)]
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ)
    sent, number = Sent(), 0
    start_s = time.perf_counter() + 0.05
    end_s = start_s + plan.seconds
    while (now_s := time.perf_counter()) < end_s + _PATIENCE_S:
        under_way = sum(len(connection.due_s) for connection in connections)
        if now_s >= end_s and not under_way:
            break
        for due_s in due(plan, number, start_s, now_s, under_way):
            sent.late_ms = max(sent.late_ms, (now_s - due_s) * 1e3)
            connections[number % len(connections)].call(requests[number % len(requests)], due_s)
            number += 1
        for connection in connections:
            connection.flush()
            for due_s, status in connection.ended():
                taken_ms = (time.perf_counter() - due_s) * 1e3
                sent.took_ms.setdefault(status, []).append(taken_ms)
        next_s = start_s + number / plan.per_s if plan.per_s else end_s
        selector.select(max(0.0, min(next_s - time.perf_counter(), 0.01)))
    sent.took_ms[UNANSWERED] = [0.0 for c in connections for _ in c.due_s]
    return sent


def due(plan: Plan, number: int, start_s: float, now_s: float, under_way: int) -> list[float]:
    """The moments of the calls that are to leave now; `number` have left."""
    if now_s >= start_s + plan.seconds and plan.callers:
        return []
    if plan.callers:
        return [now_s] * (plan.callers - under_way)
    reached = min(now_s - start_s, plan.seconds) * plan.per_s
    return [start_s + i / plan.per_s for i in range(number, math.ceil(reached))]


def main() -> None:
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    print(json.dumps(dataclasses.asdict(run(Plan(**json.loads(sys.stdin.readline()))))))


if __name__ == "__main__":
    main()
