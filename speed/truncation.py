"""Whether the source was truncated and filled again while this worker ran.

A broker that comes up with less than it had acknowledged (an unclean election) goes on at an older
offset. Once it has filled up again, the worker's next offset is there, and names another record.
Each change of leader has a number, the leader epoch. If it has changed since the last look, the
last record of every flush since the look before is read again: one of them was applied before the
truncation and lies after its place. Then the worker ends, and leaves a heartbeat for which the next
start ends as well: no record of the other incarnation is applied.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace

from confluent_kafka.admin import OffsetSpec

from impressions.core.errors import ServiceError
from impressions.kafka import last_record
from impressions.kafka.admin import connect
from impressions.kafka.last_record import LastRecord, first_changed
from impressions.kafka.offsets import listed
from impressions.settings.model import Settings
from impressions.terminal import log
from speed.assignment import Assignment
from speed.partitions.applied_records import NO_LEADER_EPOCH
from speed.partitions.partition import Partition

_EVERY_S = 5.0


async def watch(assignment: Assignment, stop: threading.Event) -> None:
    """Look every few seconds; never returns.

    Raises:
        Refused: a partition of the source holds other records than were applied.
    """
    settings = assignment.settings
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            changed = await asyncio.to_thread(first_truncated, settings, assignment.open, stop)
        except ServiceError as error:
            log.once("broker-away", because=error)
            continue
        if changed is None or assignment.open.get(changed[0].number) is not changed[0]:
            continue
        partition, last = changed
        async with assignment.busy:
            before = partition.heartbeat
            # It keeps what was there, so that the next start refuses as well.
            after = replace(before, last_offset=last.offset, last_digest=last.digest)
            await assignment.publish_heartbeat(partition, after)
        raise last_record.refused(settings.kafka.topic, partition.number, last, before.epoch)


def first_truncated(
    settings: Settings, opened: Mapping[int, Partition], stop: threading.Event
) -> tuple[Partition, LastRecord] | None:
    """A partition and a record of it that is another one now; None if there is none. Blocks.

    Raises:
        ServiceError: the broker does not answer.
    """
    # Copied at once: the worker's loop goes on meanwhile.
    kept = {n: (partition, partition.applied.kept()) for n, partition in list(opened.items())}
    for number, epoch in leader_epochs(settings, kept).items():
        partition, lasts = kept[number]
        if partition.applied.leader_epoch != epoch:
            changed = first_changed(settings, settings.kafka.topic, number, lasts, stop)
            if changed is not None:
                return partition, changed
        if stop.is_set():
            return None
        partition.applied.leader_epoch = epoch
        partition.applied.forget(len(lasts) - 1)
    return None


def leader_epochs(settings: Settings, partitions: Iterable[int]) -> dict[int, int]:
    """The leader epoch of each partition of the source, asked now; -1 if the broker names none.

    Raises:
        ServiceError: it does not answer.
    """
    topic, every = settings.kafka.topic, list(partitions)
    if not every:
        return {}
    with connect(settings) as admin:
        answers = listed(admin.client, topic, every, OffsetSpec.latest(), admin.timeout_s)
    return {
        p: NO_LEADER_EPOCH if answer.leader_epoch is None else answer.leader_epoch
        for p, answer in answers.items()
    }
