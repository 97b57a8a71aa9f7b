"""The files that lie below a table's location, named by its metadata or not; and their deletion."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.lake.needed_files import key_of
from impressions.process.failpoint import failpoint

if TYPE_CHECKING:
    from pyiceberg.table import Table

_AT_ONCE = 8


@dataclass(frozen=True)
class StoredFile:
    """A file of the store.

    Attributes:
        key: as `key_of` makes it.
        modified_ms: by the store's clock; None where it does not say.
    """

    location: str
    key: str
    size_bytes: int
    modified_ms: int | None


def listed(table: Table) -> list[StoredFile] | None:
    """All of them, by key; None for a FileIO that cannot list."""
    from pyarrow.fs import FileSelector, FileType
    from pyiceberg.io.pyarrow import PyArrowFileIO

    if not isinstance(table.io, PyArrowFileIO):
        return None
    location = table.location().rstrip("/")
    scheme, host, path = table.io.parse_location(location, table.io.properties)
    found = table.io.fs_by_scheme(scheme, host).get_file_info(
        FileSelector(path, recursive=True, allow_not_found=True)
    )
    files = []
    for info in found:
        if info.type == FileType.File:
            below = location + info.path[len(path) :]
            modified_ms = None if info.mtime_ns is None else info.mtime_ns // 1_000_000
            files.append(StoredFile(below, key_of(below), info.size, modified_ms))
    return sorted(files, key=lambda file: file.key)


def delete(table: Table, files: Iterable[StoredFile]) -> dict[StoredFile, str]:
    """Deletes them; one that is gone already is no error. Those that could not be, and why."""

    def failure(file: StoredFile) -> tuple[StoredFile, str]:
        failpoint("delete-file")
        try:
            table.io.delete(file.location)
        except FileNotFoundError:  # another run was faster
            pass
        except Exception as error:  # of any store: the others go all the same
            return file, f"{type(error).__name__}: {error}"
        return file, ""

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {file: why for file, why in pool.map(failure, files) if why}
