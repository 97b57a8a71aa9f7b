"""The port that the workers of one server share, and that a second server cannot take.

With SO_REUSEPORT any number of processes of one user can listen on a port. If a second server was
started by mistake, both would answer, from different settings. So the parent binds the port
*without* that option, which fails if another process uses the port, and then sets the option on its
socket. From then on its workers can bind, and a second parent cannot. The parent never listens, so
it gets no calls.
"""

from __future__ import annotations

import socket

from impressions.core.errors import Refused


def reserve(listen: str) -> socket.socket:
    """Hold `host:port` for this process and its workers, until the socket is closed.

    Port 0 becomes a free one: `getsockname()[1]`.

    Raises:
        Refused: another process has it, or the address is not of this machine.
    """
    host, _, port = listen.rpartition(":")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        held = socket.socket(family, kind, protocol)
    except (OSError, OverflowError):
        raise port_taken(listen) from None
    try:
        # Connections of an earlier server that linger in TIME_WAIT are no reason to refuse.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except (OSError, OverflowError):
        held.close()
        raise port_taken(listen) from None
    return held


def port_taken(listen: str) -> Refused:
    """The error if nothing can be bound to an address."""
    return Refused(
        f"cannot listen on {listen}: the address is in use or not of this machine",
        hint="stop the other server, or choose a port with --listen (port 0 = any free one)",
        reason="port_taken",
    )
