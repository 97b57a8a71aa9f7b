"""Ports of 127.0.0.1 for a process that keeps its own from start to start.

They lie below the range that systems give to outgoing connections: a client that reconnects to a
server that is down could otherwise be given the server's own port.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers bind
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports() -> Iterator[int]:
    """Free ports in random order, each looked at when it is asked for."""
    return (port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
