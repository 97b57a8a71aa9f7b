"""Records that a leader has stamped and appended, and shows to no consumer yet.

A leader shows a record once all in-sync replicas have it (the high watermark). That takes
milliseconds; while the broker of a replica ends or stands still it takes seconds, up to
`replica.lag.time.max.ms`. Until then the partition seems to end before the record, although its
stamp is older than what the clocks show: a process that claims to have everything up to now must
know that there is no such record.

Kafka is asked for the newest stamp of a partition. It looks at all that was appended, and gives no
answer if the record with that stamp is not shown yet. So this does not see such records in a
partition without any record that is shown, nor records with an older stamp than one that is shown:
by the clock of a new leader that is late, or while an older stamp lies in the future.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from impressions.kafka.offsets import listed

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, OffsetSpec


def with_unreplicated(
    client: AdminClient, topic: str, partitions: Collection[int], timeout_s: float
) -> frozenset[int]:
    """The partitions that have such records; what was stamped before the call is looked at.

    Raises:
        KafkaException: the broker does not answer.
    """
    from confluent_kafka.admin import OffsetSpec

    def offsets(of: Collection[int], asked: OffsetSpec) -> dict[int, int]:
        return {p: at.offset for p, at in listed(client, topic, of, asked, timeout_s).items()}

    silent = {p for p, at in offsets(partitions, OffsetSpec.max_timestamp()).items() if at < 0}
    if not silent:
        return frozenset()
    first, end = offsets(silent, OffsetSpec.earliest()), offsets(silent, OffsetSpec.latest())
    return frozenset(p for p in silent if first[p] < end[p])
