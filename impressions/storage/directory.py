"""A directory on any filesystem pyarrow knows: of a generation that is written, of the run history.

A plain path is local; anything with a scheme (s3://, gs://, hdfs://) is opened by pyarrow, with the
credentials that its client finds by itself. Paths given to `Directory` are relative to it.

    put        copies a local file and returns its sha256, computed on the way
    replace    small files: readers see the old or the new one, never a part. Locally by temp, fsync
               and rename; on an object store an upload appears complete or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impressions.storage import local_files

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class Stored:
    """One file that is there: path relative to the directory, length, age where known."""

    path: str
    size_bytes: int
    modified_ms: int | None


@dataclass(frozen=True)
class Directory:
    """A directory on a filesystem; see the module."""

    files: FileSystem
    root: str

    def put(self, local: Path, path: str) -> str:
        """Copy a local file to `path`; returns the sha256, in hex, of the bytes that went out."""
        digest = hashlib.sha256()
        self._make_parent(path)
        with local.open("rb") as source, self.files.open_output_stream(self._full(path)) as target:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                target.write(chunk)
        return digest.hexdigest()

    def read(self, path: str) -> bytes | None:
        """The bytes of a small file; None if there is none."""
        try:
            with self.files.open_input_stream(self._full(path)) as source:
                data: bytes = source.read()
                return data
        except FileNotFoundError:
            return None

    def replace(self, path: str, data: bytes) -> None:
        """Write a small file so that no reader ever sees a part of it."""
        self._make_parent(path)
        if self.files.type_name == "local":
            at = Path(self._full(path))
            own = at.with_name(f".{at.name}.{os.getpid()}")  # several processes may write it
            return local_files.replace(at, data, temporary=own)
        with self.files.open_output_stream(self._full(path)) as target:
            target.write(data)
        return None

    def list(self, below: str = "") -> list[Stored]:
        """Every file below the directory, or below one folder of it, by path."""
        from pyarrow.fs import FileSelector, FileType

        folder = self._full(below) if below else self.root
        chosen = FileSelector(folder, recursive=True, allow_not_found=True)
        return sorted(
            (
                Stored(
                    info.path[len(self.root) :].lstrip("/"),
                    info.size,
                    None if info.mtime_ns is None else info.mtime_ns // 1_000_000,
                )
                for info in self.files.get_file_info(chosen)
                if info.type == FileType.File
            ),
            key=lambda stored: stored.path,
        )

    def delete(self, path: str) -> None:
        self.files.delete_file(self._full(path))

    def remove_empty(self) -> None:
        """Removes directories without a file, this one too; an object store has none."""
        if self.files.type_name == "local":
            for directory, _, _ in os.walk(self.root, topdown=False):
                with contextlib.suppress(OSError):  # not empty, or somebody just writes there
                    os.rmdir(directory)

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}"

    def _make_parent(self, path: str) -> None:
        # An object store needs no directories, and would make an empty object for each.
        if self.files.type_name in ("local", "hdfs"):
            self.files.create_dir(self._full(path).rpartition("/")[0], recursive=True)


def below(uri: str, name: str) -> str:
    """The path or URI of `name` in a directory; the options after a `?` stay at the end."""
    if "://" not in uri:
        return f"{uri}/{name}"
    path, mark, options = uri.partition("?")
    return f"{path}/{name}{mark}{options}"


def shown(uri: str) -> str:
    """A path or URI for messages and reports: without options and credentials."""
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.partition('?')[0].rpartition('@')[2]}" if mark else uri


def open_directory(uri: str) -> Directory:
    """The directory at an absolute path or a URI; nothing is created before the first write."""
    from pyarrow.fs import FileSystem, LocalFileSystem

    if "://" not in uri:
        return Directory(LocalFileSystem(), uri.rstrip("/"))
    files, root = FileSystem.from_uri(uri)
    return Directory(files, root.rstrip("/"))
