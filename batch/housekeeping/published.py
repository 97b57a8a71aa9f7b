"""Exported generations in `generations_uri`: old ones go, and what dead exports left.

The newest complete ones stay, and those that this home's host answers from or would roll back to.
One that goes is deleted in an order in which no host ever finds a part of it to be a generation:

    removing.json    a copy of the manifest: what is to be deleted, for whoever finishes this
    manifest.json    deleted: from now on it is no generation
    its files        those that the manifest lists, and no others: a new export of the same
                     generation may be writing into the same directory

A directory whose manifest cannot be read is left alone, and one that lacks files of its manifest is
not counted among the newest: no host could load it. On a full disk there is no room for the copy;
then the files go without it, and what a kill leaves is swept like a dead export.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from batch.exporting.leftovers import unlisted
from batch.housekeeping import removed as report
from batch.housekeeping.removed import Removed
from batch.housekeeping.table import Keeping
from impressions.core.errors import CorruptData
from impressions.core.spec import DAY_MS
from impressions.formats import manifest as manifests
from impressions.formats.generation_paths import (
    MANIFEST,
    REMOVING,
    REPORT,
    cutover_of,
    is_generation,
)
from impressions.formats.manifest import Manifest
from impressions.process.failpoint import failpoint
from impressions.storage.directory import Directory, Stored, below, open_directory
from impressions.terminal.console import progress

WHERE = "generations_uri"


@dataclass(frozen=True)
class Exported:
    """A directory that is named like a generation.

    Attributes:
        files: all of them.
        manifest: None where there is none: not finished, or being removed.
        removing: what a removal that was killed has left to delete.
        readable: false: nothing is known of it.
    """

    name: str
    directory: Directory
    files: tuple[Stored, ...]
    manifest: Manifest | None = None
    removing: Manifest | None = None
    readable: bool = True

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def is_whole(self) -> bool:
        """Whether every file of its manifest is there, with its size."""
        sizes = {file.path: file.size_bytes for file in self.files}
        return self.manifest is not None and not self.manifest.lacking(sizes)


def exported(job: Keeping) -> list[Exported]:
    """What is there, newest first; says which cannot be read."""
    uri = job.context.settings.generations
    by_name: dict[str, list[Stored]] = {}
    for file in open_directory(uri).list():
        name, _, path = file.path.partition("/")
        if path and is_generation(name):
            by_name.setdefault(name, []).append(Stored(path, file.size_bytes, file.modified_ms))
    found = [_looked_at(job, below(uri, name), name, by_name[name]) for name in by_name]
    return sorted(found, key=lambda one: cutover_of(one.name), reverse=True)


def beyond(found: Collection[Exported], keep: int, on_hosts: Collection[str]) -> list[Exported]:
    """Complete ones that are older than the newest whole ones, and that no host uses. Pure.

    Args:
        found: newest first.
    """
    whole = [one.name for one in found if one.is_whole]
    if len(whole) < keep:
        return []
    oldest_ms = cutover_of(whole[keep - 1])
    return [
        one for one in found
        if one.manifest is not None and cutover_of(one.name) < oldest_ms
        and one.name not in on_hosts
    ]  # fmt: skip


def clean(job: Keeping, found: Collection[Exported], old: Collection[Exported]) -> list[Removed]:
    """Deletes `old`, finishes what a killed removal began, and sweeps the directories that stay."""
    gone = {one.name for one in old}
    begun = [one for one in found if one.manifest is None and one.removing is not None]
    swept: list[tuple[str, int]] = []
    with progress("exported generations", unit="time"):
        for one in (*old, *begun):
            if not job.dry_run:
                _remove(one)
        for one in found:
            if one.readable and one.name not in gone and one not in begun:
                swept += _swept(job, one)
    removed = [(one.name, one.size_bytes) for one in (*old, *begun)]
    return [
        report.files_removed(report.PUBLISHED, WHERE, removed),
        report.files_removed(report.EXPORTS, WHERE, swept),
    ]


def _looked_at(job: Keeping, uri: str, name: str, files: list[Stored]) -> Exported:
    directory = open_directory(uri)
    try:
        manifest, removing = (_read(directory, path) for path in (MANIFEST, REMOVING))
    except CorruptData as error:
        job.context.run.note(f"exported generation {name} is left alone: {error.message}")
        return Exported(name, directory, tuple(files), readable=False)
    return Exported(name, directory, tuple(files), manifest, removing)


def _read(directory: Directory, path: str) -> Manifest | None:
    data = directory.read(path)
    return None if data is None else manifests.decode(data, path)


def _remove(one: Exported) -> None:
    """In the order that the module says; of one that was begun, the rest."""
    at, there = one.directory, {file.path for file in one.files}
    listed = one.manifest or one.removing
    assert listed is not None
    if one.manifest is not None:
        try:
            at.replace(REMOVING, manifests.encode(one.manifest))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        failpoint("removing-marked")
        at.delete(MANIFEST)
    failpoint("removing-manifest")
    for file in listed.files:
        if file.path in there:
            at.delete(file.path)
            failpoint("removing-file")
    if REPORT in there:
        at.delete(REPORT)
    if at.read(REMOVING) is not None:
        at.delete(REMOVING)
    at.remove_empty()


def _swept(job: Keeping, one: Exported) -> Iterator[tuple[str, int]]:
    """Deletes what dead exports left in it."""
    old_ms = round(job.at.now_ms - job.context.settings.housekeeping.orphan_days * DAY_MS)
    listed: Mapping[str, object] = {f.path: f for f in one.manifest.files} if one.manifest else {}
    for file in unlisted(one.files, listed.keys(), old_ms):
        if not job.dry_run:
            one.directory.delete(file.path)
        yield f"{one.name}/{file.path}", file.size_bytes
    if one.manifest is not None and one.removing is not None and not job.dry_run:
        one.directory.delete(REMOVING)  # it was exported again, or is to stay after all
