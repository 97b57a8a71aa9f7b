"""What a file is: its format, its identity, and how to notice that it changes.

A file is known by the sha256 of its bytes, `file:` and the first 16 hex digits, not by its name;
a second file with the same bytes is that file. Format by name: .parquet .pq, .csv .tsv, .jsonl
.ndjson (text also .gz .bz2), in any case; what begins with Parquet's magic is Parquet whatever its
name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, NamedTuple

from batch.files.names import printable
from impressions.core.errors import CorruptData, ImpressionsError, UsageError
from impressions.terminal.console import progress

Format = Literal["parquet", "csv", "json"]

PACKED = (".gz", ".bz2")
_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv",
    ".jsonl": "json", ".ndjson": "json",
}  # fmt: skip
_PARQUET_MAGIC = (b"PAR1", b"PARE")
_CHUNK_BYTES = 1 << 20


class Fingerprint(NamedTuple):
    """Differs when a file was written to, or replaced by another."""

    size_bytes: int
    modified_ns: int
    inode: int


@dataclass(frozen=True)
class SourceFile:
    """One file of events.

    Attributes:
        source: what its rows carry, `file:` and 16 hex digits.
        copies: other paths with the same bytes, which are not read again.
    """

    path: Path
    format: Format
    size_bytes: int
    source: str
    fingerprint: Fingerprint
    copies: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The path for people, and for tables."""
        return printable(self.path)

    def check_unchanged(self) -> None:
        """Raises CorruptData where the file is no longer what was identified."""
        try:
            found = _fingerprint(os.stat(self.path))
        except OSError as error:
            raise CorruptData(
                f"{self.name}: gone while it was read: {error.strerror}", reason="changed"
            ) from None
        if found != self.fingerprint:
            raise CorruptData(
                f"{self.name}: changed while it was read: expected {self.size_bytes:,} bytes as "
                f"identified, found {found.size_bytes:,}, or written at another time",
                hint="import files that nobody writes to any more: write elsewhere, then rename",
                reason="changed",
            )


def identify(paths: Iterable[Path]) -> list[SourceFile]:
    """Hashes the files; one with the same bytes as another becomes one of its `copies`.

    Raises:
        UsageError: a file that cannot be opened, or of an unknown format.
        CorruptData: a file that is written to at this moment.
    """
    paths = list(paths)
    files: dict[str, SourceFile] = {}
    with progress("identify files", total=sum(map(_size, paths)), unit="bytes") as bar:
        for path in paths:
            file = _identified(path, bar.advance)
            known = files.get(file.source)
            if known is None:
                files[file.source] = file
            elif known.path != path:
                files[file.source] = replace(known, copies=(*known.copies, path))
    return list(files.values())


def format_of(path: Path) -> Format:
    """By name, else by the first bytes.

    Raises:
        UsageError: neither says; reason `unreadable` where the file cannot be opened.
    """
    with opened(path) as data:
        if data.read(4) in _PARQUET_MAGIC:
            return "parquet"
    if by_name := format_by_name(path):
        return by_name
    raise UsageError(
        f"{printable(path)}: found neither Parquet nor a name that ends in "
        f"{', '.join(_SUFFIXES)} (text also {', '.join(PACKED)})",
        hint="rename it after what it is, such as events.csv",
        reason="unknown_format",
    )


def format_by_name(path: Path) -> Format | None:
    """What the suffix that counts says; None where it says nothing."""
    format_ = _SUFFIXES.get(suffix(path))
    return None if format_ == "parquet" and _is_packed(path) else format_


def suffix(path: Path) -> str:
    """The suffix that counts, in lower case: of x.TSV.gz it is `.tsv`."""
    name = path.name.lower()
    if _is_packed(path):
        name = name.rpartition(".")[0]
    return Path(name).suffix or (name if name in _SUFFIXES else "")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file for reading. UsageError where this user may not, or it is gone."""
    try:
        with path.open("rb") as data:
            yield data
    except ImpressionsError:
        raise
    except OSError as error:
        raise UsageError(
            f"{printable(path)}: cannot be read: {error.strerror or error}", reason="unreadable",
            hint="let this user read it",
        ) from None  # fmt: skip


def _identified(path: Path, advance: Callable[[float], None]) -> SourceFile:
    format_ = format_of(path)
    digest = hashlib.sha256()
    with opened(path) as data:
        before = _fingerprint(os.fstat(data.fileno()))
        while chunk := data.read(_CHUNK_BYTES):
            digest.update(chunk)
            advance(len(chunk))
    source = f"file:{digest.hexdigest()[:16]}"
    file = SourceFile(path, format_, before.size_bytes, source, before)
    file.check_unchanged()
    return file


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _fingerprint(status: os.stat_result) -> Fingerprint:
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(PACKED)
