"""Every file that a table's metadata names: what must be there for its snapshots to be read.

    metadata        the file in force and those of its log, statistics
    of a snapshot   its manifest list, the manifests, live data files and files of deletes

A location is written in several ways (`file:/a`, `file:///a`, `s3a://b/c`): files are compared by
`key_of`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch.lake.locations import local_path
from impressions.core.errors import CorruptData

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

_READERS = 8


def key_of(location: str) -> str:
    """Equal for two spellings of one location: the path, without scheme."""
    path = local_path(location)
    return location.partition("://")[2].lstrip("/") if path is None else str(path)


@dataclass
class NeededFiles:
    """Files by snapshot. Manifests are shared by snapshots and never change, so one that was read
    is not read again: ask the same object after a commit, too.

    Attributes:
        known: manifest -> keys of the files it names.
    """

    known: dict[str, frozenset[str]] = field(default_factory=dict)

    def of(self, table: Table, snapshot_ids: Collection[int]) -> set[str]:
        """Keys of the files of these snapshots of `table`.

        Raises:
            CorruptData: a manifest or a list of manifests cannot be read.
        """
        needed = set()
        manifests: dict[str, ManifestFile] = {}
        for snapshot in table.metadata.snapshots:
            if snapshot.snapshot_id in snapshot_ids:
                needed.add(key_of(snapshot.manifest_list))
                manifests |= {m.manifest_path: m for m in _listed(table, snapshot)}
        new = [m for path, m in manifests.items() if path not in self.known]
        with ThreadPoolExecutor(_READERS) as pool:
            for manifest, files in zip(new, pool.map(lambda m: _named(table, m), new), strict=True):
                self.known[manifest.manifest_path] = files
        for path in manifests:
            needed.add(key_of(path))
            needed |= self.known[path]
        return needed


def of_metadata(table: Table) -> set[str]:
    """Keys of the files that belong to no single snapshot."""
    metadata = table.metadata
    files = [table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)]
    files += [s.statistics_path for s in (*metadata.statistics, *metadata.partition_statistics)]
    return {key_of(file) for file in files}


def _listed(table: Table, snapshot: Snapshot) -> list[ManifestFile]:
    try:
        return snapshot.manifests(table.io)
    except Exception as error:  # whatever a decoder raises
        _raise_unless_damaged(error)
        raise _unreadable(table, snapshot.manifest_list, error) from error


def _named(table: Table, manifest: ManifestFile) -> frozenset[str]:
    try:
        entries = manifest.fetch_manifest_entry(table.io)
    except Exception as error:  # whatever a decoder raises
        _raise_unless_damaged(error)
        raise _unreadable(table, manifest.manifest_path, error) from error
    return frozenset(_keys(entry.data_file.file_path for entry in entries))


def _raise_unless_damaged(error: Exception) -> None:
    """A store that does not answer says nothing about its files: that error goes on as it is."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        raise error


def _keys(locations: Iterator[str]) -> Iterator[str]:
    return map(key_of, locations)


def _unreadable(table: Table, location: str, error: Exception) -> CorruptData:
    """Whatever a store or a decoder raises: which files are needed is not known then."""
    return CorruptData(
        f"{'.'.join(table.name())}: {location} cannot be read ({type(error).__name__}: {error}), "
        "so it is not known which files are needed",
        hint="bring the file back, or drop the branch or tag whose snapshot names it",
        reason="manifest_unreadable",
    )
