"""The store: delta blocks by (profile, slot), and for each partition how far its copy has come.

    key    := profile:u64be slot_start_ms:u64be         16 bytes  ->  a delta block
            | 'p' partition:u32be                        5 bytes  ->  state
    state  := version:u8=2 restoring:u8 topic:byte{16} next_offset:i64 floor_ms:i64 heartbeat

Little-endian but for keys. One class for both users: a serving host keeps the partitions of all its
shards in one store, which other processes read as secondaries; the worker keeps a store for each
partition. What belongs together is written together: blocks, deletes and states in one batch.

A reader reads the partition's state before its blocks: the blocks are then at least as new as the
state says. States change before the deletes that they announce (`restoring`, `floor_ms`), so a
reader that reads the state again afterwards knows whether anything may be missing. A
secondary changes only while it catches up, and nobody may read it meanwhile.

Version 1 may have been written by a follower that cannot read every block of today: it kept none of
those, and its position says that it did. So such a copy is thrown away and made again.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impressions.core.errors import CorruptData, FormatVersionError
from impressions.core.item import profile_key
from impressions.formats import heartbeat
from impressions.rocksdb import delta_table
from impressions.settings.model import Settings

KEY_BYTES = 16
VERSION = 2
NOTHING_DROPPED_MS = heartbeat.FROM_THE_FIRST_MS
_PREFIX_BYTES = 8
_LAST = b"\xff" * 8
_STATE = struct.Struct("<BB16sqq")


@dataclass(frozen=True)
class PartitionState:
    """What a store knows of the copy of one partition.

    Attributes:
        topic_id: Kafka's id of the delta topic that `next_offset` belongs to, 16 bytes.
        next_offset: the first record of the delta topic that is not in the store yet.
        restoring: the copy has not reached the end that it saw when it was opened.
        floor_ms: slots that start before this were dropped; the smallest int64 if none were.
        heartbeat: the last one, as it was published; None before the first.
    """

    topic_id: bytes
    next_offset: int
    restoring: bool
    floor_ms: int = NOTHING_DROPPED_MS
    heartbeat: bytes | None = None


def encode_state(state: PartitionState) -> bytes:
    """The bytes of a state."""
    head = _STATE.pack(VERSION, state.restoring, state.topic_id, state.next_offset, state.floor_ms)
    return head + (state.heartbeat or b"")


def decode_state(data: bytes) -> PartitionState:
    """Raises FormatVersionError or CorruptData for bytes that are no state."""
    if data[:1] != bytes([VERSION]):
        raise FormatVersionError(
            f"state of a partition: format version {data[:1].hex()}, expected {VERSION}"
        )
    if len(data) < _STATE.size:
        raise CorruptData(
            f"state of a partition: {len(data)} bytes, expected at least {_STATE.size}"
        )
    _, restoring, topic_id, next_offset, floor_ms = _STATE.unpack_from(data)
    return PartitionState(
        topic_id, next_offset, bool(restoring), floor_ms, data[_STATE.size :] or None
    )


def state_key(partition: int) -> bytes:
    """Where the state of a partition lies; shorter than any block's key."""
    return b"p" + partition.to_bytes(4, "big")


class DeltaStore:
    """An open store. Thread-safe; `delta_table.DeltaTable` lists what every method raises."""

    def __init__(self, table: delta_table.DeltaTable):
        self._table = table

    def blocks(self, profile_id: int, from_slot_ms: int = 0) -> list[bytes]:
        """The blocks of a profile whose slot starts at `from_slot_ms` or later, slots ascending."""
        prefix = profile_key(profile_id)
        lower = prefix + max(0, from_slot_ms).to_bytes(8, "big")
        return self._table.values(prefix, lower, prefix + _LAST)

    def get(self, key: bytes) -> bytes | None:
        """The block with this key (`delta_block.key`)."""
        return self._table.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The block of each key, in order."""
        return self._table.get_many(keys)

    def state_bytes(self, partition: int) -> bytes | None:
        """The state as it is stored: cheap to ask for and to compare.

        By a scan, as blocks are read: a secondary's `get` may answer with what it read before the
        primary was opened again (docs/decisions/0015), and the state must never be of another
        moment than the blocks.
        """
        key = state_key(partition)
        found = self._table.values(b"", key, key + b"\x00")
        return found[0] if found else None

    def state(self, partition: int) -> PartitionState | None:
        """The state of a partition; None if the store never held it."""
        data = self.state_bytes(partition)
        return None if data is None else decode_state(data)

    def write(
        self,
        puts: Iterable[tuple[bytes, bytes]],
        states: Mapping[int, PartitionState],
        deletes: Iterable[bytes] = (),
    ) -> None:
        """Blocks by key, states by partition and deleted keys: all at once or nothing."""
        of_states = [(state_key(p), encode_state(state)) for p, state in states.items()]
        self._table.write([*puts, *of_states], deletes)

    def fill(self) -> None:
        """Write faster until `filled`. A process that dies goes on where its states are then."""
        self._table.fill()

    def filled(self) -> None:
        """Every write so far is safe and can be seen; those that follow are as soon as they end."""
        self._table.filled()

    def scan(self, from_key: bytes = b"") -> Generator[tuple[bytes, bytes], None, None]:
        """Every block's (key, value) from this key on, ascending, states left out."""
        for key, value in self._table.scan(from_key):
            if len(key) == KEY_BYTES:
                yield key, value

    def catch_up(self) -> None:
        """Of a secondary: see what the primary has written by now; see `DeltaTable.catch_up`."""
        self._table.catch_up()

    def close(self) -> None:
        self._table.close()


def store_dir(settings: Settings) -> Path:
    """Where the copy of a serving host lies."""
    return settings.deltas_dir / "store"


def readers_dir(settings: Settings) -> Path:
    """Where its readers have a directory each, `<pid>-<anything>`; servers remove those of the
    dead."""
    return settings.deltas_dir / "readers"


def news_dir(settings: Settings) -> Path:
    """Where readers are told that something was written (impressions/deltas/news.py)."""
    return settings.deltas_dir / "news"


def open_primary(path: Path, *, logged: bool = True) -> DeltaStore:
    """Open the store for writing, or make it.

    Args:
        logged: False for a store without RocksDB's write-ahead log: no other process reads it, and
            after a kill its writer goes on where its states say.

    Raises:
        Refused: reason "locked": another process has it open so.
    """
    return DeltaStore(delta_table.open_primary(path, _PREFIX_BYTES, logged))


def open_secondary(path: Path, own: Path) -> DeltaStore:
    """Open a store that another process writes; `own` is a directory for this reader alone.

    Raises:
        NotReady: reason "no_store": it was not made yet.
    """
    return DeltaStore(delta_table.open_secondary(path, own, _PREFIX_BYTES))


def slot_of_key(key: bytes) -> int:
    """The slot of a block's key."""
    return int.from_bytes(key[_PREFIX_BYTES:], "big")
