"""Refs and snapshots taken out of a table's metadata: one commit, or a conflict.

It asserts every ref as it was when the table was loaded. A ref that came meanwhile and names one of
the snapshots is a conflict too: pyiceberg, and a catalog behind REST, would drop that ref with it.

pyiceberg stamps such a commit with this host's clock. A table that was last updated before its
newest snapshot is not read by Iceberg's Java, for good, and one that was updated in the future
makes every later snapshot bear that time. So this commit bears no clock's time: one millisecond
more than the last one. Behind REST the server stamps it.

No file is deleted here (batch/lake/needed_files.py says which ones may be).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    AssertTableUUID,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    SetPropertiesUpdate,
    TableUpdate,
    _apply_table_update,
    _TableMetadataUpdateContext,
)

from batch.lake.conflict import Conflict
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.table import Table


class _Removal(RemoveSnapshotsUpdate):
    """On the wire what it is derived from."""


class _Stamp(SetPropertiesUpdate):
    """Sets no property; where pyiceberg itself makes the metadata, it sets the time."""


@_apply_table_update.register(_Removal)
def _(update: _Removal, base: TableMetadata, context: _TableMetadataUpdateContext) -> TableMetadata:
    gone = set(update.snapshot_ids)
    if named := sorted(name for name, ref in base.refs.items() if ref.snapshot_id in gone):
        raise CommitFailedException(f"{', '.join(named)} names a snapshot that was to be removed")
    if missing := gone - {snapshot.snapshot_id for snapshot in base.snapshots}:
        raise CommitFailedException(f"snapshot {min(missing)} was removed by somebody else")
    return _apply_table_update(
        RemoveSnapshotsUpdate(snapshot_ids=list(update.snapshot_ids)), base, context
    )


@_apply_table_update.register(_Stamp)
def _(update: _Stamp, base: TableMetadata, context: _TableMetadataUpdateContext) -> TableMetadata:
    return base.model_copy(update={"last_updated_ms": base.last_updated_ms + 1})


def remove(table: Table, ref_names: Collection[str], snapshot_ids: Collection[int]) -> None:
    """Takes them out of the metadata that `table` was loaded with.

    Raises:
        Conflict: the table has changed meanwhile in what this rests on; nothing was removed.
        Refused: a table of format version 3 says what cannot be kept.
    """
    if table.metadata.format_version >= 3:
        from batch.lake import format3

        format3.allow(table)
    updates: list[TableUpdate] = [
        RemoveSnapshotRefUpdate(ref_name=name) for name in sorted(ref_names)
    ]
    if snapshot_ids:
        updates.append(_Removal(snapshot_ids=sorted(snapshot_ids)))
    updates.append(_Stamp(updates={}))
    requirements: list[Any] = [AssertTableUUID(uuid=table.metadata.table_uuid)]
    requirements += [
        AssertRefSnapshotId(ref=name, snapshot_id=ref.snapshot_id)
        for name, ref in table.metadata.refs.items()
    ]
    failpoint("before-removal")
    try:
        table._do_commit(tuple(updates), tuple(requirements))
    except CommitFailedException as error:
        raise Conflict(f"{'.'.join(table.name())}: {error}") from error
    failpoint("after-removal")
