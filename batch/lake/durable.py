"""Nothing on a local warehouse is called written before the disk has it.

`DurableFileIO` is pyiceberg's own FileIO; on a local path a file it creates is forced to the disk,
with the directories that lead to it, when it is closed. So manifests, manifest lists and table
metadata are there before the catalog names them. Data files are many and are written first, so
`sync` forces them together, several at a time, before the commit: a disk joins such requests.

Object stores acknowledge an upload when it is durable; there both do nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT, Properties

from batch.lake.locations import local_path

_SYNCS = 8
_UP = 4  # directories that writing a data file may have made: partition fields, data, table


class DurableFileIO(PyArrowFileIO):
    """See the module. The catalog names it (batch/lake/catalog.py)."""

    @staticmethod
    def parse_location(location: str, properties: Properties = EMPTY_DICT) -> tuple[str, str, str]:
        """(scheme, host, path); pyiceberg's own cuts a local path at `#` and `?`."""
        path = local_path(location)
        if path is None:
            return PyArrowFileIO.parse_location(location, properties)
        return "file", "", str(path)

    def new_output(self, location: str) -> PyArrowFile:
        output = super().new_output(location)
        if local_path(location) is None:
            return output
        return _LocalFile(location, output._path, output._filesystem)


class _LocalFile(PyArrowFile):
    def create(self, overwrite: bool = False) -> OutputStream:
        path = Path(self._path)
        make_directories(path.parent)
        return _SyncedWriter(io.FileIO(path, "w" if overwrite else "x"))


class _SyncedWriter(io.BufferedWriter):
    """A file that is on the disk once it is closed."""

    def close(self) -> None:
        if self.closed:
            return
        self.flush()
        os.fsync(self.fileno())
        name: Any = self.name
        super().close()
        _sync_directory(Path(name).parent)


def sync(locations: Iterable[str]) -> None:
    """Force files that were written without it, and their directories, to the disk."""
    paths = [path for path in map(local_path, locations) if path is not None]
    with ThreadPoolExecutor(_SYNCS) as pool:
        list(pool.map(_sync_file, paths))
        list(pool.map(_sync_directory, {up for path in paths for up in list(path.parents)[:_UP]}))


def make_directories(directory: Path) -> None:
    """The directory and those above it, each on the disk."""
    missing = [p for p in (directory, *directory.parents) if not p.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_directory(made.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
