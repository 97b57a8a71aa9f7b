"""Writes on this host that survive a crash, and their errors.

write_durably    the old file or the new one, also after a power cut
sync_tree        makes everything below a directory durable
local_disk       a full or failing disk becomes an error with a hint
chunks_of        the bytes of a stream, piece by piece in one buffer
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impressions.core.errors import ImpressionsError, Refused
from impressions.process.descriptors import exhausted
from impressions.storage import local_files
from impressions.storage.local_files import sync_directory

CHUNK_BYTES = 4 << 20
"""How much of a file is read at a time; an object store is asked once for each."""


def write_durably(path: Path, data: bytes) -> None:
    """Replace `path` by a file with these bytes. One writer at a time (bulkload/host_locks.py)."""
    with local_disk(path):
        local_files.replace(path, data)


def sync_tree(directory: Path) -> None:
    """Make every file and name below a directory durable, and its own names."""
    for root, _, names in os.walk(directory, topdown=False):
        for name in names:
            descriptor = os.open(os.path.join(root, name), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(root))


def tree_bytes(directory: Path) -> int:
    """Bytes of all files below a directory; a file that is removed meanwhile counts 0."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total


def free_bytes(directory: Path) -> int:
    """Free bytes on the disk of `directory`, which need not exist yet."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return shutil.disk_usage(existing).free


@contextlib.contextmanager
def local_disk(path: Path) -> Iterator[None]:
    """Turn an OSError of this host's disk into ours.

    Raises:
        Refused: reason `disk_full`.
        TooManyFiles: no descriptor is left.
        ImpressionsError: reason `disk`, any other failure.
    """
    try:
        yield
    except OSError as error:
        if (full := exhausted(error)) is not None:
            raise full from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(
                f"{path}: the disk is full, {free_bytes(path.parent)} bytes are free",
                hint="impressions bulkload gc, or free space; then run the same line again",
                reason="disk_full",
            ) from error
        raise ImpressionsError(
            f"{path}: {error.strerror or error}",
            hint="check host.data_dir: it must be a directory this user can write",
            reason="disk",
        ) from error


def chunks_of(stream: Any) -> Iterator[memoryview]:
    """The bytes of a binary stream in pieces of one buffer: each is good until the next is asked
    for."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while size_bytes := stream.readinto(buffer):
        yield buffer[:size_bytes]
