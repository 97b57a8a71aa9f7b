"""One profile asked of a server: its answer, and what that server's copy of the stream holds.

Two calls of the public client. Nothing of it is logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from impressions.core.shard import shard_of
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from impressions.client import ProfileResult

TITLES = 100
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Found:
    """An answer and its provenance.

    Attributes:
        shard: of the profile.   stream_since_ms: deltas from before are not in the server's copy;
            None where it was read from its first event, or there is none.
        server_version: of the server that answered.
    """

    result: ProfileResult
    address: str
    shard: int
    stream_since_ms: int | None
    server_version: str


def look_up(settings: Settings, address: str, profile_id: int, rank_days: int) -> Found:
    """The titles with the most impressions, weighed by a half-life of `rank_days`.

    Raises:
        CallFailed: with the server's reason.
        UsageError: an id that no request can hold.
    """
    from impressions.client import Top
    from impressions.status.serving import client_of

    with client_of(settings, address, TIMEOUT_S) as client:
        result = client.get(
            profile_id,
            top=Top(TITLES, "impressions", rank_days),
            totals=True,
            last_seen=True,
        )
        said = client.describe()
    shard = shard_of(profile_id, said.partitions)
    streams = {stream.shard: stream for stream in said.streams}
    since_ms = None
    if shard in streams and streams[shard].HasField("since_ms"):
        since_ms = streams[shard].since_ms
    return Found(result, address, shard, since_ms, said.server_version)
