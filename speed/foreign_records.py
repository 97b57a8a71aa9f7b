"""What a record of the delta topic means that this worker did not write.

    older than ours     ours is published again, behind it
    as new              a replay; nothing to do
    newer than ours     somebody else owns the partition: this worker must end

The guard (speed/delta_reader.py) finds such records; they are compared here between flushes, when the
store and what was published agree.
"""

from __future__ import annotations

from impressions.core.errors import CorruptData, ServiceError
from impressions.core.spec import Spec
from impressions.terminal import log
from speed.assignment import Partitions
from speed.delta_reader import Foreign, version_of


async def compare(partitions: Partitions) -> None:
    """Compare whatever is found, for ever.

    Raises:
        ServiceError: another worker owns a partition (`fenced`).
    """
    while True:
        foreign = await partitions.foreign.get()
        async with partitions.busy:
            # Asked only now: the guard may read a record before its writer has heard of it.
            if not partitions.guard.is_own(foreign.partition, foreign.offset):
                await _compare(partitions, foreign)


async def _compare(partitions: Partitions, foreign: Foreign) -> None:
    spec = partitions.settings.spec
    partition = partitions.open.get(foreign.partition)
    ours = None if partition is None else partition.published(foreign.key)
    if partition is None or ours is None:
        return
    theirs, held = _version(foreign, spec), version_of(foreign.key, ours, spec)
    if theirs > held and foreign.offset >= partition.next_delta_offset:
        raise ServiceError(
            f"partition {foreign.partition} has another owner: its delta offset "
            f"{foreign.offset} is at {theirs}, this worker at {held}",
            reason="fenced",
        )
    if theirs < held:
        log.warning("older-block", partition=foreign.partition, offset=foreign.offset)
        await partitions.publish_again(partition, foreign.key, ours)
    if theirs <= held:
        partition.saw([(foreign.offset, foreign.offset + 1)])


def _version(foreign: Foreign, spec: Spec) -> tuple[int, int]:
    """Its version; older than any where it is no block at all."""
    try:
        return version_of(foreign.key, foreign.value, spec)
    except CorruptData:
        return -1, -1
