"""Commits to tables of Iceberg's format version 3, which pyiceberg 0.12 reads and does not write.

Somebody upgraded the table (`ALTER TABLE ... SET TBLPROPERTIES ('format-version' = '3')`), mostly
to have deletion vectors. What version 3 asks of a commit beyond version 2 is row lineage: every
manifest of data files has the id of its first row, and the snapshot says where its ids begin and
how many it took.

    snapshot.first_row_id     the table's next-row-id
    manifest.first_row_id     assigned in order to data manifests that have none; each takes as many
                              ids as it has added and existing rows
    snapshot.added_rows       ids taken; the catalog adds them to next-row-id

Rows of a manifest that is written again get new ids: nothing of ours reads them, and they stay
unique. This is the one file that knows pyiceberg's producers from inside; another version of
pyiceberg that writes version 3 itself makes it superfluous.

pyiceberg refuses to write the metadata file of such a table, lest it drops what it does not know.
`allow` lifts that for a table whose metadata holds nothing that its model does not have, and
refuses any other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyiceberg.avro.codecs import AVRO_CODEC_KEY
from pyiceberg.manifest import (
    ManifestContent,
    ManifestFile,
    ManifestListWriterV2,
    ManifestWriter,
    ManifestWriterV2,
)
from pyiceberg.table.metadata import TableMetadataV3
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import AddSnapshotUpdate
from pyiceberg.table.update.snapshot import _MergeAppendFiles, _OverwriteFiles, _SnapshotProducer
from pyiceberg.typedef import IcebergBaseModel

from impressions.core.errors import Refused

if TYPE_CHECKING:
    from pyiceberg.io import OutputFile
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.table import Table, Transaction


_SEEN: set[str] = set()


def allow(table: Table) -> None:
    """Lets metadata of version 3 be written, after a look at this table's own.

    Raises:
        Refused: it holds what pyiceberg would drop.
    """
    model = TableMetadataV3.model_fields.items()
    known = {info.alias or field for field, info in model}
    if table.metadata_location not in _SEEN:
        with table.io.new_input(table.metadata_location).open() as stream:
            written = json.loads(stream.read())
        if unknown := written.keys() - known:
            raise Refused(
                f"table {'.'.join(table.name())} of format version 3 says {sorted(unknown)} of "
                "itself, which cannot be kept",
                hint="land and close it with Spark's own SQL, or make the table again",
                reason="format_version",
            )
        _SEEN.add(table.metadata_location)
    # Its own method raises; the one it replaces writes every field of the model.
    TableMetadataV3.model_dump_json = IcebergBaseModel.model_dump_json  # type: ignore[method-assign]


def producer(
    transaction: Transaction, properties: dict[str, str], overwrites: bool, branch: str | None
) -> Any:
    """What `transaction.update_snapshot(properties, branch)` gives for version 2, by `.overwrite()`
    or by `.merge_append()`."""
    operation = Operation.OVERWRITE if overwrites else Operation.APPEND
    make = _Overwrite3 if overwrites else _Append3
    io = transaction._table.io
    return make(operation, transaction, io, snapshot_properties=properties, branch=branch)


class _Manifest3(ManifestWriterV2):
    @property
    def version(self) -> Any:
        return 3


class _ManifestList3(ManifestListWriterV2):
    """Assigns row ids from `next_row_id` on."""

    def __init__(self, output: OutputFile, of: Snapshot, compression: Any):
        super().__init__(
            output, of.snapshot_id, of.parent_snapshot_id, of.sequence_number or 0, compression
        )
        self._format_version = 3
        self._meta = {
            **self._meta,
            "format-version": "3",
            "first-row-id": str(of.first_row_id),
            AVRO_CODEC_KEY: compression,
        }
        self.next_row_id = of.first_row_id or 0

    def prepare_manifest(self, manifest_file: ManifestFile) -> ManifestFile:
        prepared = super().prepare_manifest(manifest_file)
        known = list(prepared._data)
        if prepared.content == ManifestContent.DATA and _first_row_id(prepared) is None:
            known = [*known[:15], self.next_row_id]
            self.next_row_id += (prepared.added_rows_count or 0) + (
                prepared.existing_rows_count or 0
            )
        return ManifestFile(*(known + [None] * (16 - len(known))))

    def __enter__(self) -> _ManifestList3:
        from pyiceberg.avro.file import AvroOutputFile
        from pyiceberg.manifest import MANIFEST_LIST_FILE_SCHEMAS

        self._writer = AvroOutputFile[ManifestFile](
            output_file=self._output_file,
            record_schema=MANIFEST_LIST_FILE_SCHEMAS[3],
            file_schema=MANIFEST_LIST_FILE_SCHEMAS[3],
            schema_name="manifest_file",
            metadata=self._meta,
        )
        self._writer.__enter__()
        return self


def _first_row_id(manifest: ManifestFile) -> int | None:
    return manifest._data[15] if len(manifest._data) > 15 else None


class _Producer3(_SnapshotProducer[Any]):
    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        return _Manifest3(
            spec, self.schema(), self.new_manifest_output(), self._snapshot_id, self._compression
        )

    def _commit(self) -> Any:
        table, metadata = self._transaction._table, self._transaction.table_metadata
        assert isinstance(metadata, TableMetadataV3)
        manifests = self._manifests()
        location = table.location_provider().new_metadata_location(
            f"snap-{self._snapshot_id}-0-{self.commit_uuid}.avro"
        )
        self._written_manifest_lists.append(location)
        snapshot = Snapshot(
            snapshot_id=self._snapshot_id,
            parent_snapshot_id=self._parent_snapshot_id,
            manifest_list=location,
            sequence_number=metadata.next_sequence_number(),
            summary=self._summary(self.snapshot_properties),
            schema_id=metadata.current_schema_id,
            first_row_id=metadata.next_row_id,
        )
        with _ManifestList3(self._io.new_output(location), snapshot, self._compression) as writer:
            writer.add_manifests(manifests)
        taken = writer.next_row_id - (snapshot.first_row_id or 0)
        return self._updates(snapshot.model_copy(update={"added_rows": taken}))

    def _updates(self, snapshot: Snapshot) -> Any:
        from pyiceberg.table.refs import SnapshotRefType
        from pyiceberg.table.update import AssertRefSnapshotId, SetSnapshotRefUpdate

        branch = self._target_branch
        if branch is None:
            return (AddSnapshotUpdate(snapshot=snapshot),), ()
        head = SetSnapshotRefUpdate(  # type: ignore[call-arg]  # what is left out has a default
            snapshot_id=snapshot.snapshot_id, ref_name=branch, type=SnapshotRefType.BRANCH
        )
        guard = AssertRefSnapshotId(snapshot_id=self._parent_snapshot_id, ref=branch)
        return (AddSnapshotUpdate(snapshot=snapshot), head), (guard,)


class _Overwrite3(_Producer3, _OverwriteFiles):
    """Adds and removes files."""


class _Append3(_Producer3, _MergeAppendFiles):
    """Adds files."""
