"""A commit never makes the consumer group rebalance: none is sent while this member joins.

A broker answers the requests of a connection in order, and answers a JoinGroup only when all
members have joined, which takes as long as the slowest one's heartbeat. A commit that is sent
meanwhile waits behind it, is judged right after it, before the new generation is at work, and is
refused. aiokafka then joins once more, the next commit waits behind that join, and so on: the group
rebalances at each heartbeat and never stops.

So a commit waits until the join is over. And a refusal that comes when the member joins, or is in
another generation than the commit was, says nothing about the present one: no join is asked for.
Faust keeps what was not committed and commits it a second later. Nothing depends on when: where a
worker reads on stands in its state.
"""

from __future__ import annotations

from typing import Any

from aiokafka.errors import RebalanceInProgressError
from aiokafka.protocol.commit import OffsetCommitRequest


def hold_commits_while_joining(coordinator: Any) -> None:
    """Change an aiokafka GroupCoordinator. Its `commit_offsets` makes CommitFailedError of what is
    raised here, which Faust takes as "not now"."""
    send = coordinator._send_req

    def joining() -> bool:
        return bool(coordinator._performed_join_prepare)

    async def send_unless_joining(request: Any) -> Any:
        if not isinstance(request, OffsetCommitRequest):
            return await send(request)
        if joining():
            raise RebalanceInProgressError(coordinator.group_id)
        generation = coordinator.generation
        answer = await send(request)
        if joining() or coordinator.generation != generation:
            raise RebalanceInProgressError(coordinator.group_id)
        return answer

    coordinator._send_req = send_unless_joining
