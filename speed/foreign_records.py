"""What a record of the delta topic means that this worker did not write.

    older than ours     ours is published again, after it
    as new              a replay; nothing to do
    newer than ours     another worker owns the partition: this one must end

speed/delta_reader.py reads such records; they are compared here between flushes, when the store and
what was published agree.
"""

from __future__ import annotations

from itertools import chain

from impressions.core.errors import CorruptData, ServiceError
from impressions.core.spec import Spec
from impressions.formats import delta_block, heartbeat
from impressions.terminal import log
from speed.assignment import Assignment
from speed.delta_reader import ForeignRecord

_OLDER_THAN_ANY = (-1, -1)


async def compare(assignment: Assignment) -> None:
    """Compare foreign records as they are read; never returns.

    Most are this worker's own, read before their acknowledgement came. All that wait are looked at
    together: one for each turn between two flushes would let them pile up under load.

    Raises:
        ServiceError: another worker owns a partition (`fenced`).
    """
    while True:
        waiting = [await assignment.foreign.get()]
        async with assignment.busy:
            while not assignment.foreign.empty():
                waiting.append(assignment.foreign.get_nowait())
            for foreign in chain.from_iterable(waiting):
                await _compare(assignment, foreign)


async def _compare(assignment: Assignment, foreign: ForeignRecord) -> None:
    spec = assignment.settings.spec
    partition = assignment.open.get(foreign.partition)
    # Asked again: the reader may see a record before this worker has its acknowledgement.
    if partition is None or foreign.offset in partition.own_records:
        return
    ours = partition.published(foreign.key)
    if ours is None:
        return
    theirs, held = _version_of_foreign(foreign, spec), version_of(foreign.key, ours, spec)
    if theirs > held and foreign.offset >= partition.next_delta_offset:
        raise ServiceError(
            f"partition {foreign.partition} has another owner: its delta offset "
            f"{foreign.offset} is at {theirs}, this worker at {held}",
            reason="fenced",
        )
    if theirs < held:
        log.warning("older-block", partition=foreign.partition, offset=foreign.offset)
        await assignment.publish_again(partition, foreign.key, ours)
    if theirs <= held:
        partition.know([(foreign.offset, foreign.offset + 1)])


def version_of(key: bytes, value: bytes, spec: Spec) -> tuple[int, int]:
    """(epoch, source offset) of a record of the delta topic."""
    if key == heartbeat.KEY:
        decoded = heartbeat.decode(value, spec)
        return decoded.epoch, decoded.offset
    header = delta_block.header(value, spec)
    return header.epoch, header.offset


def _version_of_foreign(foreign: ForeignRecord, spec: Spec) -> tuple[int, int]:
    """Its version; older than any if it is no block at all."""
    try:
        return version_of(foreign.key, foreign.value, spec)
    except CorruptData:
        return _OLDER_THAN_ANY
