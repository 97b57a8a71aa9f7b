"""The heartbeat: how far the stream has come in one partition, as one Kafka value.

    key       := "heartbeat"               one per partition of the delta topic
    heartbeat := version:u8=3 kind:u8='H' spec:u32 partition:u32 partitions:u32 epoch:u32
                 topic:byte{16} deltas:byte{16} offset:i64 newest_ms:i64 since_ms:i64 through_ms:i64
                 suspect_ms:i64 last_offset:i64 last_digest:i64

Little-endian. It is published behind the delta blocks it speaks of, in the same partition, so who
has read it has read them. The ranges are half-open:

    offset        every source record up to and including this one is in the blocks; -1: none yet
    newest_ms     the largest ingest time of those records: the running maximum goes on from here
    since_ms      records ingested before this were not seen (the source had lost them already);
                  a generation with cutover >= since_ms needs none of them. The smallest int64 where
                  the source was read from its first record
    through_ms    every record ingested before this is in the blocks
    suspect_ms    a stamp that the next record may confirm (impressions/core/ingest_time.py); 0:
                  none
    last_*        the newest record in the blocks, to know the log again by
                  (impressions/kafka/last_record.py); -1 and 0: none is known

`epoch` and `topic` (Kafka's id of the source topic) name the incarnation that offsets belong to;
`deltas` is the id of the topic that holds the blocks. Where that topic was recreated under a
worker, its heartbeat speaks of blocks that nobody can read any more, and counts as none.

Version 3 says that blocks may be of version 3 (delta_block.py): who cannot read those refuses the
heartbeat. Version 2 has the same fields. Version 1 ends behind `through_ms`, and is read as one
that knows no more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from impressions.core.errors import CorruptData, Refused
from impressions.core.spec import Spec

KEY = b"heartbeat"
VERSION = 3
FROM_THE_FIRST_MS = -(1 << 63)
_KIND = ord("H")
_LAYOUT = struct.Struct("<BBIIII16s16sqqqqqqq")
_LAYOUTS = {1: struct.Struct("<BBIIII16s16sqqqq"), 2: _LAYOUT, VERSION: _LAYOUT}


@dataclass(frozen=True)
class Heartbeat:
    """See the module's docstring. `topic_id` and `deltas_id` are 16 bytes each."""

    partition: int
    partitions: int
    epoch: int
    topic_id: bytes
    deltas_id: bytes
    offset: int
    newest_ms: int
    since_ms: int
    through_ms: int
    suspect_ms: int = 0
    last_offset: int = -1
    last_digest: int = 0

    @property
    def progress(self) -> tuple[int, int]:
        """Which of two heartbeats of a partition is the newer: a worker that lost the partition
        may still append an older one. `through_ms` is not part of it: a worker whose clock was
        ahead takes back what it said."""
        return self.epoch, self.offset


def encode(beat: Heartbeat, spec: Spec) -> bytes:
    """The bytes of one heartbeat."""
    return _LAYOUT.pack(
        VERSION, _KIND, spec.tag, beat.partition, beat.partitions, beat.epoch,
        beat.topic_id, beat.deltas_id,
        beat.offset, beat.newest_ms, beat.since_ms, beat.through_ms,
        beat.suspect_ms, beat.last_offset, beat.last_digest,
    )  # fmt: skip


def decode(data: bytes, spec: Spec) -> Heartbeat:
    """One heartbeat.

    Refused is more than a heartbeat that cannot be read: a worker that went on after it would write
    over blocks of a stream that is good, only not theirs.

    Raises:
        CorruptData: bytes that are no heartbeat.
        Refused: of a stream in another format (`format_version`) or with another spec (`spec`).
    """
    if data[1:2] != bytes([_KIND]):
        raise CorruptData(f"heartbeat: kind {data[1:2].hex() or 'none'}, expected {_KIND:02x}")
    layout = _LAYOUTS.get(data[0])
    if layout is None:
        raise Refused(
            f"the delta topic was written in format version {data[0]}, expected {VERSION}",
            hint="install the version that writes it; or give this one a topic of its own: "
            "another kafka.deltas_topic and speed.group, then impressions topics create",
            reason="format_version",
        )
    if len(data) != layout.size:
        raise CorruptData(f"heartbeat: {len(data)} bytes, expected {layout.size}")
    _, _, tag, *fields = layout.unpack(data)
    if tag != spec.tag:
        raise Refused(
            f"the delta topic was written with spec {tag:08x}, expected {spec.tag:08x}",
            hint="slot_seconds, measures and half-lives must be the same everywhere; a changed "
            "spec needs another kafka.deltas_topic and speed.group, then impressions topics create",
            reason="spec",
        )
    return Heartbeat(*fields)
