"""Iceberg's updates of refs with the time of no clock: one millisecond more than the last commit.

pyiceberg stamps a change of refs, and main's line in the log of snapshots, with this host's clock.
Where that is behind by a minute, Iceberg's Java refuses to read the table from then on
(guarded_commit.py says more). Behind REST the server stamps it.
"""

from __future__ import annotations

from typing import Any

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    RemoveSnapshotRefUpdate,
    SetSnapshotRefUpdate,
    _apply_table_update,
    _TableMetadataUpdateContext,
)


class Pointing(SetSnapshotRefUpdate):
    """On the wire what it is derived from."""


class Dropping(RemoveSnapshotRefUpdate):
    """On the wire what it is derived from."""


class Guard(AssertRefSnapshotId):
    """Of a branch that begins with the first snapshot of a table, too: pyiceberg has none then."""

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        if base_metadata is None or base_metadata.snapshots or self.snapshot_id is not None:
            super().validate(base_metadata)


@_apply_table_update.register(Pointing)
def _(update: Pointing, base: TableMetadata, context: _TableMetadataUpdateContext) -> TableMetadata:
    plain = SetSnapshotRefUpdate(**update.model_dump(by_alias=True))
    return _stamped(base, _apply_table_update(plain, base, context))


@_apply_table_update.register(Dropping)
def _(update: Dropping, base: TableMetadata, context: _TableMetadataUpdateContext) -> TableMetadata:
    plain = RemoveSnapshotRefUpdate(**update.model_dump(by_alias=True))
    return _stamped(base, _apply_table_update(plain, base, context))


def _stamped(base: TableMetadata, made: TableMetadata) -> TableMetadata:
    if made is base:
        return base
    stamp: dict[str, Any] = {"last_updated_ms": base.last_updated_ms + 1}
    if len(made.snapshot_log) > len(base.snapshot_log):
        entry = made.snapshot_log[-1].model_copy(update={"timestamp_ms": stamp["last_updated_ms"]})
        stamp["snapshot_log"] = [*base.snapshot_log, entry]
    return made.model_copy(update=stamp)
