"""One file, hashed while it is copied (or only read).

RocksDB's ingest does not verify checksums, so they are verified here: the length first, because
that is cheap, then the SHA-256 of every byte that is copied. If a stream ends early although the
file is long enough, the storage failed and the read is retried; a file that is too short is refused
at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from bulkload.files import chunks_of, local_disk
from bulkload.published_generations import PublishedGenerations
from bulkload.retry import retrying
from impressions.core.errors import Refused
from impressions.formats.manifest import SstFile

_HINT = "copy it again, or write it once more: impressions export --force; nothing was changed here"


def check_size(published: PublishedGenerations, generation: str, file: SstFile) -> None:
    """Refuse a file that is absent, truncated or too long.

    Raises:
        Refused: `missing_file` or `wrong_size`, with both sizes.
    """
    name = published.name(generation, file.path)
    size_bytes = published.size_bytes(generation, file.path)
    if size_bytes is None:
        raise Refused(f"{name}: not found", hint=_HINT, reason="missing_file")
    if size_bytes != file.size_bytes:
        fault = "truncated" if size_bytes < file.size_bytes else "too long"
        raise Refused(
            f"{name}: {fault}, {size_bytes} bytes, expected {file.size_bytes}",
            hint=_HINT,
            reason="wrong_size",
        )


def copy_verified(
    published: PublishedGenerations,
    generation: str,
    file: SstFile,
    target: Path | None,
    advance: Callable[[int], None],
) -> None:
    """Copy one file to `target` (None: only read it) and prove that it is the file of the manifest.

    Args:
        advance: gets the bytes copied; before a retry, it gets those of the failed attempt negated.

    Raises:
        Refused: `missing_file`, `wrong_size` or `wrong_checksum`; `disk_full` for the target.
        ServiceError: the storage kept failing.
    """
    check_size(published, generation, file)
    name = published.name(generation, file.path)
    try:
        sha256 = retrying(
            f"reading {name}", lambda: _copy_once(published, generation, file, target, advance)
        )
    except FileNotFoundError:
        raise Refused(f"{name}: not found", hint=_HINT, reason="missing_file") from None
    if sha256 != file.sha256:
        raise Refused(
            f"{name}: sha256 {sha256}, expected {file.sha256}: the file was damaged or exchanged",
            hint=_HINT,
            reason="wrong_checksum",
        )


def _copy_once(
    published: PublishedGenerations,
    generation: str,
    file: SstFile,
    target: Path | None,
    advance: Callable[[int], None],
) -> str:
    """Hex SHA-256 of the copied bytes. Raises OSError if the stream is not as long as the file."""
    sha256, done_bytes, finished = hashlib.sha256(), 0, False
    sink = _Sink(target)
    try:
        with published.open(generation, file.path) as stream:
            for chunk in chunks_of(stream):
                sha256.update(chunk)
                sink.write(chunk)
                done_bytes += len(chunk)
                advance(len(chunk))
        if done_bytes != file.size_bytes:
            raise OSError(f"the stream ended after {done_bytes} of {file.size_bytes} bytes")
        sink.sync()
        finished = True
    finally:
        sink.close()
        if not finished:
            advance(-done_bytes)
    return sha256.hexdigest()


class _Sink:
    """The target file, if there is one. Its errors are errors of this host and never retried.

    Unbuffered, so `close` writes nothing and cannot fail because the disk is full.
    """

    def __init__(self, target: Path | None):
        self._file = None
        if target is not None:
            with local_disk(target):
                self._file = target.open("wb", buffering=0)
        self._target = target

    def write(self, rest: memoryview) -> None:
        if self._file is None or self._target is None:
            return
        with local_disk(self._target):
            while rest:
                rest = rest[self._file.write(rest) :]

    def sync(self) -> None:
        if self._file is not None and self._target is not None:
            with local_disk(self._target):
                os.fsync(self._file)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
