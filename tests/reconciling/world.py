"""A host with a generation, deltas and a server in this process, and raw as landings leave it.

    with World(tmp_path) as world:
        world.raw(EVENTS)                   rows of the topic, a file per slot and shard, one commit
        world.generation(EVENTS)            what is ingested before the cutover
        world.stream(EVENTS)                what is ingested since
        world.compare([1, 2])                a round

An event's place in the list is its offset, in the partition of its profile; its log id is one more.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.lake import snapshots, tables
from batch.lake.arrow_columns import micros, table_of
from batch.lake.columns import RAW_COLUMNS
from batch.lake.cursor import Cursor, Landed, source_of
from batch.lake.data_file_writer import target_of
from batch.lake.guarded_commit import commit
from batch.landing.part import write_slots
from batch.reconciling import choosing
from batch.reconciling import round as rounds
from batch.reconciling.events import joined, no_events
from batch.reconciling.landed import events_of
from impressions.core.shard import shards_of
from impressions.core.spec import DAY_MS
from impressions.formats.delta_block import key
from impressions.settings.sections.batch import Land
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS, SPEC
from tests.serving import support
from tests.serving.live.written_copy import Copy
from tests.serving.support import WEEK_2_MS, client_of, install, serving, settings_in, until

TOPIC_ID = "0123456789abcdef" * 2
PROFILES = range(1, 11)


def _with_evenings(events, seed=20261129):
    """A year of few events, and in the last two weeks evenings of several within an hour."""
    pick, more = random.Random(seed), []
    for profile in PROFILES:
        for day in range(14):
            at = WEEK_2_MS - (day + 1) * DAY_MS + pick.randrange(20 * 3_600_000)
            for _ in range(pick.choice([0, 0, 1, 4])):
                at += pick.randrange(1, 900_000)
                event = {
                    "title": pick.randint(1, 4), "location": pick.randint(0, 1), "event_ms": at,
                    "played": pick.randint(0, 1), "dwell_s": pick.randrange(30_000) / 1000,
                }  # fmt: skip
                more.append((profile, event, at + pick.randrange(1, 5_000)))
    return sorted([*events, *more], key=lambda applied: applied[2])


EVENTS = _with_evenings([e for e in support.EVENTS if e[0] in PROFILES])
OFFSET = {id(event): offset for offset, (_, event, _) in enumerate(EVENTS)}
STREAMED = [e for e in EVENTS if e[2] >= CUTOVER_MS]
OLD = [e for e in EVENTS if e[2] < CUTOVER_MS]
SOURCE = source_of(TOPIC_ID)


def rows_of(applied):
    """Rows of raw, shard by shard."""
    profile = np.array([p for p, _, _ in applied], np.int64)
    shard = shards_of(profile, 8)
    for number in np.unique(shard).tolist():
        some = [e for e, s in zip(applied, shard.tolist(), strict=True) if s == number]
        event = [e for _, e, _ in some]
        ingest_ms = np.array([ms for _, _, ms in some], np.int64)
        offset = np.array([OFFSET[id(e)] for e in event], np.int64)
        yield number, table_of(
            RAW_COLUMNS, len(some),
            ingest_slot=micros(ingest_ms - ingest_ms % SPEC.slot_ms), shard=number,
            profile_id=np.array([p for p, _, _ in some], np.int64),
            title_id=np.array([e["title"] for e in event], np.int64),
            location=np.array([e["location"] for e in event], np.int64),
            event_time=micros(np.array([e["event_ms"] for e in event], np.int64)),
            ingest_time=micros(ingest_ms),
            played=np.array([bool(e["played"]) for e in event]),
            dwell_s=np.array([e["dwell_s"] for e in event]),
            log_id=offset + 1, log_offset=offset, log_index=np.zeros(len(some), np.int64),
            source=SOURCE,
        )  # fmt: skip


class HeldTopic:
    """A topic that holds some events, in place of a broker's."""

    source = SOURCE

    def __init__(self, applied, first=0):
        self._first = first
        parts = [(shard, events_of(rows, 0, SPEC)) for shard, rows in rows_of(applied)]
        self._events = dict(parts)

    def landed_to(self, raw, partition):
        return raw.cursor(partition)

    def offset_at(self, partition, time_ms):
        events = self._events.get(partition, no_events(SPEC))
        later = events.log_offset[events.ingest_ms >= time_ms]
        return int(later.min()) if len(later) else len(EVENTS)

    def events(self, partition, wanted, start, max_events):
        begin = max(self._first, start.next_offset)
        events = self._events.get(partition, no_events(SPEC))
        events = events.take(
            np.flatnonzero((events.log_offset >= begin) & np.isin(events.profile_id, wanted))
        )
        ones = np.ones(len(events), np.int64)
        live = type(events)(**vars(events) | {"in_raw": -ones, "in_topic": ones})
        return joined([live]), begin


class World(contextlib.ExitStack):
    def __init__(self, home, **land):
        super().__init__()
        made = settings_in(home, deltas="on", catch_up_s=0.01)
        self.settings = made.model_copy(update={"land": Land(**land)})
        self.clock = FixedClock(WEEK_2_MS)
        self._copy = None

    def raw(self, applied, landed_to=None):
        """One commit of rows; offsets before `landed_to`, else all, are landed."""
        (table,) = tables.create_if_missing(self.settings, tables.RAW)
        files = write_slots(
            target_of(table), pa.concat_tables([rows for _, rows in rows_of(applied)])
        )
        landed = Landed("impressions", TOPIC_ID, 1, 1, (Cursor(landed_to or len(EVENTS)),) * 8)
        said = snapshots.properties(snapshots.LAND, "test", WEEK_2_MS) | landed.properties()
        commit(table, files, said)
        return [file.file_path for file in files]

    def generation(self, applied):
        install(self.settings, events=applied)

    def stream(self, applied):
        self._copy = Copy(self.settings)
        self.callback(self._copy.store.close)
        self._copy.events([e for e in applied if e[2] >= CUTOVER_MS])
        self._copy.state()

    def damage(self, profile):
        """The first delta block of a profile becomes bytes that are none."""
        first = min(ms for p, _, ms in EVENTS if p == profile and ms >= CUTOVER_MS)
        slot_ms = first // SPEC.slot_ms * SPEC.slot_ms
        self._copy.store.write([(key(profile, slot_ms), b"damaged")], {})

    def serve(self):
        """Starts the server, once; waits until it knows the stream."""
        server = self.enter_context(serving(self.settings, clock=self.clock))
        self.address = server.address
        self.client = self.enter_context(client_of(server))
        until(lambda: self.client.describe().stream_through_ms == WEEK_2_MS, "the stream")

    def right(self):
        """Everything as it should be, served."""
        self.raw(EVENTS)
        self.generation(EVENTS)
        self.stream(EVENTS)
        self.serve()

    def compare(self, profiles=PROFILES, since_ms=None):
        """A round of these profiles."""
        chosen = choosing.named(list(profiles), 8)
        return rounds.run_round(
            self.settings, self.client, self.clock, lambda raw, shards: chosen, since_ms
        )


def damage_file(uri):
    """A bit of a data file's `dwell_s` flipped; its path."""
    path = Path(uri.removeprefix("file://"))
    metadata = pq.read_metadata(path)
    column = metadata.row_group(0).column(metadata.schema.names.index("dwell_s"))
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 0x10
    path.write_bytes(data)
    return path


def named(done):
    """{(offset, layer, word)} of every event that a round names, of layers that are wrong."""
    return {
        (event.offset, layer, word)
        for finding in done.findings
        for difference in finding.differences
        for event in difference.events
        for layer, word in event.layers.items()
        if word in ("lacks", "twice", "unclear") or (word == "has" and event.why)
    }


def lacking(layer, applied):
    return {(OFFSET[id(event)], layer, "lacks") for _, event, _ in applied}


def twice(layer, applied):
    return {(OFFSET[id(event)], layer, "twice") for _, event, _ in applied}
