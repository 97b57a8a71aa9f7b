"""The caller of a request, as far as limits and deadlines need to know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Caller(Protocol):
    """What is asked of gRPC about a call; `grpc.ServicerContext` has it, and so has a call of the
    front (serving/front.py)."""

    def peer(self) -> str:
        """gRPC's name of the connection, such as `ipv4:10.0.0.7:41712`."""

    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""

    def is_active(self) -> bool:
        """False once the call has ended, or was cancelled."""

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call it when the call ends; False if it has ended already."""
