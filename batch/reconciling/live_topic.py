"""What the topic holds of some profiles: the records of one partition, read from an offset on.

From where raw ends, that is what is not landed yet. From the first record that the topic still
holds, it is what raw should hold: a record that raw lacks is named by it.
"""

from __future__ import annotations

import numpy as np

from batch.lake.cursor import Cursor, source_of
from batch.landing.fetch import client_of
from batch.landing.part import Source, judged
from batch.landing.plan import Range
from batch.reconciling.events import NOT_READ, Events, joined, no_events
from batch.reconciling.landed import LandedTable, too_many
from impressions.core.contribution import contributions
from impressions.core.decay import Int
from impressions.core.event import Reason
from impressions.core.ingest_time import Carried
from impressions.core.item import pack
from impressions.kafka import offsets, topics
from impressions.kafka.client import find_bootstrap
from impressions.kafka.decoded_batch import DecodedBatch
from impressions.settings.model import Settings


class LiveTopic:
    """The source topic, as this process sees it."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._topic_id = topics.source_id(settings).hex()

    @property
    def source(self) -> str:
        """What rows of this topic have in `source`."""
        return source_of(self._topic_id)

    def landed_to(self, raw: LandedTable, partition: int) -> Cursor:
        """From where on raw lacks the records of this topic; a topic made again is not landed."""
        same = raw.landed is not None and raw.landed.topic_id == self._topic_id
        return raw.cursor(partition) if same else Cursor(0)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """The first record that was ingested at or after a time; the end where there is none."""
        from confluent_kafka import TopicPartition

        with offsets.reader(self._settings) as consumer:
            asked = TopicPartition(self._settings.kafka.topic, partition, time_ms)
            (found,) = consumer.offsets_for_times([asked], timeout=10.0)
            _, end = offsets.watermarks(consumer, self._settings.kafka.topic, partition)
        return int(found.offset) if found.offset >= 0 else end

    def events(
        self, partition: int, wanted: Int, start: Cursor, max_events: int
    ) -> tuple[Events, int]:
        """The valid events of profiles in the records from `start` to the end that there is now,
        and the offset of the first record that was read: a later one where retention came first.

        Raises:
            ServiceError: the broker does not answer.   TooManyEvents: naming the profiles.
        """
        settings, topic = self._settings, self._settings.kafka.topic
        first, end = offsets.range_of(settings, topic, partition)
        carried = start.carried if start.next_offset >= first else Carried()
        begin, spec = max(first, start.next_offset), settings.spec
        parts, held = [no_events(spec)], 0
        if begin >= end:
            return parts[0], begin
        read = Range(partition, begin, end, carried.newest_ms, carried.suspect_ms)
        source = Source(
            range=read, client=client_of(settings), topic=topic, partitions=settings.partitions,
            accept_loss=True,
        )  # fmt: skip
        for _, offset, _, batch in judged(source, spec):
            part = self._events_of(batch, offset, wanted)
            parts.append(part)
            held += len(part)
            if held > max_events:
                raise too_many(wanted, max_events)
        return joined(parts), begin

    def _events_of(self, batch: DecodedBatch, offset: Int, wanted: Int) -> Events:
        of_flush = np.isin(batch.profile_id, wanted)
        keep = np.flatnonzero((batch.reason == Reason.OK) & of_flush[batch.flush])
        flush = batch.flush[keep]
        n = len(keep)
        columns = {"played": batch.played[keep], "dwell_s": batch.dwell_s[keep]}
        source = np.empty(n, object)
        source[:] = self.source
        return Events(
            profile_id=batch.profile_id[flush],
            item=pack(batch.title_id[keep], batch.location[keep].astype(np.int64)),
            event_ms=batch.counted_ms[keep],
            ingest_ms=batch.ingest_ms[keep],
            x=contributions(columns, n, self._settings.spec),
            log_id=batch.log_id[flush],
            log_offset=offset[batch.record[flush]],
            log_index=batch.log_index[flush].astype(np.int64),
            source=source,
            file=np.zeros(n, np.int64),
            in_raw=np.full(n, NOT_READ, np.int64),
            in_topic=np.ones(n, np.int64),
        )


def topic_of(settings: Settings) -> LiveTopic | None:
    """The source topic; None where no broker is configured: then raw is all there is.

    Raises:
        NotReady, ServiceError: there is no topic, or the broker does not answer.
    """
    return None if find_bootstrap(settings) is None else LiveTopic(settings)
