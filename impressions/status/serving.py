"""What the serving side of this machine holds: its copy of the deltas, and what its servers say.

The copy is opened as a secondary with a directory of its own that is gone afterwards, so the
process that writes it is not disturbed, and it is seen whether a server runs or not.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impressions.clock import Clock, now_ms
from impressions.core.completeness import StreamState
from impressions.process.asked_server import asked
from impressions.process.registry import Running, running
from impressions.settings.model import Settings
from impressions.status.questions import Absent, Unknown, ask

if TYPE_CHECKING:
    from impressions.client import ImpressionsClient

TIMEOUT_S = 3.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


@dataclass(frozen=True)
class Served:
    """What one server says of an answer for now.

    Attributes:
        generation: "" where only the live stream answers.
        reasons: why it is not complete, in the words of impressions/core/completeness.py.
    """

    generation: str
    cutover_ms: int | None
    stream_through_ms: int | None
    complete: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """A server process of this home, and its answer."""

    pid: int
    address: str
    said: Served | Unknown


@dataclass(frozen=True)
class Copy:
    """This host's copy of the deltas at a moment, by shard; None where it never held the shard."""

    at_ms: int
    shards: dict[int, StreamState | None]


def read_servers(settings: Settings) -> tuple[Server, ...]:
    """Ask every server that runs. Raises Absent where none does."""
    found = [entry for entry in running(settings) if entry.kind == "serve" and entry.address]
    if not found:
        raise Absent("no server runs here", "impressions serve")
    return tuple(_server(settings, entry, entry.address or "") for entry in found)


def _server(settings: Settings, entry: Running, address: str) -> Server:
    return Server(entry.pid, address, ask(lambda: describe(settings, address)))


def describe(settings: Settings, address: str, timeout_s: float = TIMEOUT_S) -> Served:
    """Ask one server, with the token and the certificate of `serving.*`.

    Raises:
        CallFailed: it does not answer.
    """
    from impressions.client.result import reason_words

    with client_of(settings, address, timeout_s) as client:
        said = client.describe()
    has_generation = said.HasField("generation")
    return Served(
        generation=said.generation.generation_id if has_generation else "",
        cutover_ms=said.generation.cutover_ms if has_generation else None,
        stream_through_ms=said.stream_through_ms if said.HasField("stream_through_ms") else None,
        complete=said.complete,
        reasons=reason_words(said.reasons),
    )


def client_of(settings: Settings, address: str, timeout_s: float) -> ImpressionsClient:
    """A client of a server of ours, with the token and the certificate of `serving.*`."""
    cert = settings.serving.tls_cert
    return asked(settings, reachable(address), timeout_s, None, cert, channels=1)


def reachable(address: str) -> str:
    """Where to call a server that listens on every interface."""
    host, _, port = address.rpartition(":")
    return f"{_ANYWHERE.get(host, host)}:{port}"


def read_copy(settings: Settings, clock: Clock = now_ms) -> Copy:
    """What this host's copy of the deltas holds.

    Raises:
        Absent: there is no copy.
    """
    from impressions.deltas.store import open_secondary, store_dir
    from impressions.deltas.stream_state import stream_state

    path = store_dir(settings)
    if not path.exists():
        raise Absent("this host has no copy of the deltas", "impressions serve keeps one")
    with tempfile.TemporaryDirectory(prefix="impressions-status-") as own:
        store = open_secondary(path, Path(own))
        try:
            store.catch_up()
            at_ms = clock()
            states = {shard: store.state(shard) for shard in settings.host_shards}
        finally:
            store.close()
    return Copy(
        at_ms,
        {
            shard: None if state is None else stream_state(state, settings.spec)
            for shard, state in states.items()
        },
    )
