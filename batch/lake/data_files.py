"""The live data files of a snapshot, with the row-level deletes that apply to each. No row is read.

Which delete applies to which file follows Iceberg's specification, "Scan Planning":

    equality deletes     same partition, written after the file (larger sequence number); or
                         written unpartitioned, then of every partition
    position deletes     same partition, written with the file or after it, and naming it
    deletion vectors     the one file they name
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.types import NestedField

Shards = tuple[int, int]
"""Half-open range [first, end) of shards."""

ALL_SHARDS: Shards = (0, 1 << 31)

_PATH_FIELD = 2_147_483_546  # `file_path` of position deletes, by the specification


@dataclass(frozen=True)
class LiveFile:
    """A data file of a snapshot.

    Attributes:
        partition: value by field, as Iceberg holds it.
        sequence: of the commit that added it.
        deletes: files of row-level deletes to apply to its rows.
        shards: that its rows may be of, by its partition or its bounds.
    """

    data: DataFile
    partition: Mapping[str, Any]
    sequence: int
    deletes: tuple[DataFile, ...] = ()
    shards: Shards = ALL_SHARDS

    @property
    def path(self) -> str:
        return self.data.file_path

    @property
    def slot_ms(self) -> int:
        """Start of the slot, of a file of raw."""
        return int(self.partition["ingest_slot"]) // 1000

    def may_hold(self, shards: Shards) -> bool:
        """Whether it may have rows of any of these shards."""
        return self.shards[0] < shards[1] and shards[0] < self.shards[1]

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Equal for two snapshots where the file holds the same rows in both."""
        return self.path, tuple(sorted(delete.file_path for delete in self.deletes))


def live_files(
    table: Table,
    snapshot_id: int | None,
    wanted: Callable[[Mapping[str, Any]], bool] = lambda partition: True,
) -> list[LiveFile]:
    """Data files of a snapshot whose partition is wanted, by path."""
    from pyiceberg.manifest import DataFileContent

    data: list[LiveFile] = []
    deletes: list[LiveFile] = []
    columns = table.schema()
    shard = columns.find_field("shard") if "shard" in columns.column_names else None
    for manifest in manifests_of(table, snapshot_id):
        names = [field.name for field in table.specs()[manifest.partition_spec_id].fields]
        for entry in manifest.fetch_manifest_entry(table.io):
            of_file: Any = entry.data_file.partition  # a record that can be walked, untyped
            partition = dict(zip(names, of_file, strict=True))
            file = LiveFile(
                entry.data_file, partition, entry.sequence_number or 0,
                shards=_shards(shard, entry.data_file, partition),
            )  # fmt: skip
            if file.data.content != DataFileContent.DATA:
                deletes.append(file)
            elif wanted(partition):
                data.append(file)
    if deletes:
        data = [replace(file, deletes=_of(file, deletes)) for file in data]
    return sorted(data, key=lambda file: file.path)


def files_by_slot(
    table: Table, snapshot_id: int | None, slots: Collection[int]
) -> dict[int, list[LiveFile]]:
    """Data files of raw in these slots."""
    by_slot: dict[int, list[LiveFile]] = {}
    for file in live_files(table, snapshot_id, lambda of: of["ingest_slot"] // 1000 in slots):
        by_slot.setdefault(file.slot_ms, []).append(file)
    return by_slot


def _shards(field: NestedField | None, file: DataFile, partition: Mapping[str, Any]) -> Shards:
    """Of a partition of one shard, that one; else by the file's bounds, where it says any."""
    if (shard := partition.get("shard")) is not None:
        return shard, shard + 1
    if field is None:
        return ALL_SHARDS
    low, high = (_bound(field, file, upper=upper) for upper in (False, True))
    return ALL_SHARDS if low is None or high is None else (low, high + 1)


def bound(table: Table, file: DataFile, column: str, *, upper: bool) -> Any:
    """The smallest or largest value of a column by a file's metadata; None if it says none."""
    return _bound(table.schema().find_field(column), file, upper=upper)


def _bound(field: NestedField, file: DataFile, *, upper: bool) -> Any:
    from pyiceberg.conversions import from_bytes

    bounds = (file.upper_bounds if upper else file.lower_bounds) or {}
    data = bounds.get(field.field_id)
    return None if data is None else from_bytes(field.field_type, data)  # type: ignore[arg-type]


def source_bounds(table: Table, file: LiveFile) -> tuple[Any, Any]:
    """The smallest and the largest `source` in a file, uncut (lake/tables.py); None if unknown."""
    low, high = (bound(table, file.data, "source", upper=upper) for upper in (False, True))
    return low, high


def manifests_of(table: Table, snapshot_id: int | None) -> list[ManifestFile]:
    """The manifests of a snapshot; none where there is no snapshot."""
    snapshot = None if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    return snapshot.manifests(table.io) if snapshot else []


def _of(file: LiveFile, deletes: Iterable[LiveFile]) -> tuple[DataFile, ...]:
    return tuple(delete.data for delete in deletes if _applies(delete, file))


def _applies(delete: LiveFile, file: LiveFile) -> bool:
    from pyiceberg.manifest import DataFileContent

    same = delete.data.spec_id == file.data.spec_id and delete.partition == file.partition
    if delete.data.content == DataFileContent.EQUALITY_DELETES:
        return (same or not delete.partition) and delete.sequence > file.sequence
    if not same or delete.sequence < file.sequence:
        return False
    path = file.path.encode()
    low = (delete.data.lower_bounds or {}).get(_PATH_FIELD)
    high = (delete.data.upper_bounds or {}).get(_PATH_FIELD)
    # Bounds may be cut: a lower one to less, an upper one to more than any path it stands for.
    return (low is None or low <= path) and (high is None or path <= high)
