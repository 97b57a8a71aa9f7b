"""The list of files of a RocksDB database (its MANIFEST), as another process sees it change.

A secondary reads the list first and the logs after it. Meanwhile the primary may write a log's
content into a file, add that file to the list and delete the log. Then the secondary has neither
the file nor the log, but it has the logs that were begun later: some writes are missing, and newer
ones are there. RocksDB reports no error.

The primary adds the file to the list before it deletes the log. So a reader that sees the same list
before and after has missed nothing.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple


class FileList(NamedTuple):
    """What changes with every change of a list: another list is another file, an entry more makes
    the file longer."""

    name: str
    current_inode: int
    current_mtime_ns: int
    inode: int
    size_bytes: int


def file_list(database: Path) -> FileList | None:
    """The list as it is now; None where there is none, or another one takes its place just now."""
    current = database / "CURRENT"
    with contextlib.suppress(FileNotFoundError):
        of_current, name = current.stat(), current.read_text("ascii").strip()
        of_list = (database / name).stat()
        return FileList(
            name, of_current.st_ino, of_current.st_mtime_ns, of_list.st_ino, of_list.st_size
        )
    return None
