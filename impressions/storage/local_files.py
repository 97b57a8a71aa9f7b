"""Small files of this machine, replaced whole: readers see the old one or the new one.

A temporary file beside it, fsync, a rename, fsync of the directory: so also after a power cut.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, data: bytes, mode: int = 0o666, temporary: Path | None = None) -> None:
    """Write a file into a directory that exists.

    Args:
        mode: of the file, less the umask.
        temporary: by default `<name>.tmp`, for one writer at a time: what a kill leaves of it goes
            with the next write.

    Raises:
        OSError: such as a full disk; nothing of the new file stays.
    """
    temporary = temporary or path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # a symlink there would be written through
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"
        ) as file:
            file.write(data)
            file.flush()
            os.fsync(file)
        temporary.rename(path)
    except BaseException:  # nothing half written stays, also after Ctrl-C
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
