"""Device flushes packed into records, each of one partition: pure, no client, no clock.

    flush      impressions -> the bytes of one ImpressionLog (protos/impressions/v1)
    partition  shard_of(profile_id), so that a profile is in one partition only
    record     the flushes of one partition, one after another: each is field 1 of the record, so
               its bytes come after the tag 0x0a and their length, and a record grows by appending

    packer = Packer(record_bytes=65_536, linger_s=0.05)
    records = packer.add(pack(log, partitions), now_s)      # those that are full now
    records += packer.due(now_s)                            # those that waited long enough

Another language writes the same bytes: tests/golden/records.json holds device flushes with their
partition and record. Values the wire cannot hold are refused here; whether an impression counts is
decided by its readers (impressions/core/event.py), so that a wrong one is kept with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from impressions.core.errors import UsageError
from impressions.core.item import MAX_PROFILE
from impressions.core.shard import shard_of
from impressions.formats.varint import varint
from impressions.v1.impression_record_pb2 import ImpressionLog

MAX_LOG_ID = (1 << 63) - 1
_LOG_TAG = b"\x0a"  # field 1 of ImpressionRecord, length-delimited


@dataclass(frozen=True)
class Impression:
    """One title shown. `row` and `position` are given for all impressions of a flush or none."""

    title_id: int
    event_time_ms: int
    location: int = 0
    played: bool = False
    dwell_s: float = 0.0
    row: int | None = None
    position: int | None = None


@dataclass(frozen=True)
class Log:
    """A device flush: what one device sends at once; a retry has the same `log_id`."""

    profile_id: int
    log_id: int
    impressions: Sequence[Impression]
    device_type: str = ""
    app_version: str = ""


@dataclass(frozen=True)
class Packed:
    """One device flush, ready to be part of a record of `partition`."""

    partition: int
    data: bytes
    impressions: int


@dataclass(frozen=True)
class Record:
    """The value of one Kafka record, and how much is in it."""

    partition: int
    value: bytes
    logs: int
    impressions: int


def log_message(log: Log) -> ImpressionLog:
    """A device flush as the message of the wire; UsageError if it has no form there."""
    shown = log.impressions
    return columns_message(
        log.profile_id,
        log.log_id,
        title_ids=[e.title_id for e in shown],
        event_time_ms=[e.event_time_ms for e in shown],
        locations=[e.location for e in shown],
        played=[e.played for e in shown],
        dwell_s=[e.dwell_s for e in shown],
        rows=_all_or_none("row", [e.row for e in shown]),
        positions=_all_or_none("position", [e.position for e in shown]),
        device_type=log.device_type,
        app_version=log.app_version,
    )


def columns_message(
    profile_id: int,
    log_id: int,
    *,
    title_ids: Sequence[int],
    event_time_ms: Sequence[int],
    locations: Sequence[int] | None = None,
    played: Sequence[bool] | None = None,
    dwell_s: Sequence[float] | None = None,
    rows: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    device_type: str = "",
    app_version: str = "",
) -> ImpressionLog:
    """The same of columns; one left out is 0 for all impressions (rows and positions: absent)."""
    _check_range("log_id", log_id, 1, MAX_LOG_ID)
    _check_range("profile_id", profile_id, 0, MAX_PROFILE)
    n = len(title_ids)
    columns: dict[str, Sequence[Any]] = {
        "title_ids": title_ids,
        "locations": [0] * n if locations is None else locations,
        "rows": () if rows is None else rows,
        "positions": () if positions is None else positions,
        "event_time_ms": event_time_ms,
        "played": [False] * n if played is None else played,
        "dwell_s": [0.0] * n if dwell_s is None else dwell_s,
    }
    message = ImpressionLog(log_id=log_id, profile_id=profile_id)
    for name, values in columns.items():
        if len(values) != n and not (name in ("rows", "positions") and not len(values)):
            raise UsageError(f"log {log_id}: {name} has {len(values)} entries, expected {n}")
        try:
            getattr(message, name).extend(values)
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"log {log_id} of profile {profile_id}: {name}: {error}",
                hint="nothing of this device flush was sent; the ranges are in "
                "protos/impressions/v1/impression_record.proto",
            ) from None
    if device_type or app_version:
        message.device.type, message.device.app_version = device_type, app_version
    return message


def pack(message: ImpressionLog, partitions: int) -> Packed:
    """The device flush in its partition; UsageError without a profile that has one."""
    if not message.HasField("profile_id"):
        raise UsageError(f"log {message.log_id} has no profile_id, so no partition")
    _check_range("profile_id", message.profile_id, 0, MAX_PROFILE)
    data = message.SerializeToString(deterministic=True)
    return Packed(
        shard_of(message.profile_id, partitions),
        _LOG_TAG + varint(len(data)) + data,
        len(message.title_ids),
    )


@dataclass
class _Open:
    """A record that still grows."""

    since_s: float
    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    impressions: int = 0


class Packer:
    """Collects device flushes per partition until a record is full or has waited long enough.

    Holds less than one record per partition. Not thread-safe.
    """

    def __init__(self, record_bytes: int, linger_s: float) -> None:
        self.record_bytes, self.linger_s = record_bytes, linger_s
        self._open: dict[int, _Open] = {}

    def add(self, log: Packed, now_s: float) -> list[Record]:
        """Takes one flush; returns records that are full. A larger flush is a record by itself."""
        done: list[Record] = []
        record = self._open.get(log.partition)
        if record and record.size_bytes + len(log.data) > self.record_bytes:
            done.append(self._close(log.partition))
            record = None
        if record is None:  # a record's age is that of its first flush
            record = self._open[log.partition] = _Open(now_s)
        record.parts.append(log.data)
        record.size_bytes += len(log.data)
        record.impressions += log.impressions
        if record.size_bytes >= self.record_bytes:
            done.append(self._close(log.partition))
        return done

    def due(self, now_s: float) -> list[Record]:
        """The records whose first device flush has waited for `linger_s`."""
        old = [p for p, record in self._open.items() if now_s - record.since_s >= self.linger_s]
        return [self._close(partition) for partition in old]

    def drain(self) -> list[Record]:
        """All that is left."""
        return [self._close(partition) for partition in list(self._open)]

    def _close(self, partition: int) -> Record:
        record = self._open.pop(partition)
        return Record(partition, b"".join(record.parts), len(record.parts), record.impressions)


def _all_or_none(name: str, values: list[int | None]) -> list[int] | None:
    given = [value for value in values if value is not None]
    if given and len(given) != len(values):
        raise UsageError(
            f"{name}: given for {len(given)} of {len(values)} impressions, expected all or none"
        )
    return given or None


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise UsageError(f"{name} {value}: expected {lowest}..{highest}")
