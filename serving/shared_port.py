"""The port that several processes share, and that a second server may not.

With SO_REUSEPORT any number of processes of one user listen on a port, also those of a second
server started by mistake: both would answer, from different settings. So the parent binds the port
*without* it, which fails when anybody else is there, and then allows it on the socket it has. From
then on its workers can bind, and a second parent cannot. It never listens, so it gets no calls.
"""

from __future__ import annotations

import socket

from impressions.core.errors import Refused


def reserve(listen: str) -> socket.socket:
    """Hold `host:port` for this process and its workers, until the socket is closed.

    Port 0 becomes a free one: `getsockname()[1]`.

    Raises:
        Refused: somebody else has it, or the address is not of this machine.
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
    """What to say when nothing can be bound to an address."""
    return Refused(
        f"cannot listen on {listen}: the address is in use or not of this machine",
        hint="stop the other server, or choose a port with --listen (port 0 = any free one)",
        reason="port_taken",
    )
