"""Which files are meant by paths, directories and globs.

    a path that exists    that file, or every data file below that directory
    anything else         a glob, whose matches are taken likewise

In a directory, links followed, a file is

    data        by its suffix in any case (.parquet .pq; .csv .tsv .jsonl .ndjson, also .gz .bz2)
                or by Parquet's magic; also with a leading `_` or `.`
    nothing     an empty companion that writers leave: _SUCCESS, *.crc, _metadata, .DS_Store, ...
    left out    anything else, and what lies in the directory of a job that has not finished; it is
                returned with the reason, since a caller must not claim to have read everything

A directory that is a table of another format is refused: which of its files count is known to its
log only.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batch.files.identify import SourceFile, format_by_name, format_of, identify
from batch.files.names import printable
from impressions.core.errors import UsageError

_COMPANIONS = (
    "_SUCCESS", "*.crc", "_committed_*", "_started_*", "_metadata", "_common_metadata",
    ".DS_Store", "._*", "Thumbs.db", "desktop.ini", ".gitkeep", ".gitignore", "_SUCCESS.*",
    ".nfs*", ".keep",
)  # fmt: skip
_UNFINISHED = (
    "_temporary", ".spark-staging*", ".sparkStaging*", ".hive-staging*", "_impala_insert_staging*",
)  # fmt: skip
_NOT_DATA = (".git", "__MACOSX", ".ipynb_checkpoints", ".Trash*", "@eaDir")
_LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi", "_spark_metadata": "Spark streaming"}


@dataclass(frozen=True)
class LeftOut:
    """A file or directory that was not asked for by name and is not read."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.why}"


@dataclass(frozen=True)
class Found:
    """Files in the order asked for, each path once."""

    files: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]


@dataclass
class _Finding:
    files: dict[Path, None] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)


def find_files(patterns: Sequence[str]) -> Found:
    """Every file under the paths, directories and globs, each once.

    Raises:
        UsageError: nothing there, a file of an unknown format that was asked for by name, a
            directory that cannot be read or is a table of another format.
    """
    finding = _Finding()
    for pattern in patterns:
        mine = _Finding()
        _find(pattern, mine)
        finding.files.update(mine.files)
        finding.left_out.update(mine.left_out)
        if not mine.files:
            raise _nothing(pattern, mine)
    left_out = (LeftOut(p, why) for p, why in finding.left_out.items() if p not in finding.files)
    return Found(tuple(finding.files), tuple(left_out))


def files_under(patterns: Sequence[str]) -> tuple[list[SourceFile], list[str], int]:
    """The same files by their content; what a person should know of others and of copies; and how
    many were left out. Raises CorruptData too: a file that is written to."""
    found = find_files(patterns)
    files = identify(found.files)
    notes = [f"left out: {left}" for left in found.left_out]
    for file in files:
        notes += [
            f"{printable(at)}: the same bytes as {file.name}, read once" for at in file.copies
        ]
    return files, notes, len(found.left_out)


def _find(pattern: str, finding: _Finding) -> None:
    if not pattern or "\0" in pattern:
        return
    for path in (Path(pattern), Path(os.path.expanduser(pattern))):
        if os.path.lexists(path):
            if path.is_dir():
                _take_directory(path, finding)
            else:
                _take_named(path, finding)
            return
    for name in sorted(glob.glob(os.path.expanduser(pattern), recursive=True)):
        path = Path(name)
        if path.is_dir():
            _take_directory(path, finding)
        else:
            _take_if_data(path, finding)


def _take_named(path: Path, finding: _Finding) -> None:
    if not path.is_file():
        what = "a link to nothing" if not path.exists() else "no regular file"
        raise UsageError(
            f"{printable(path)}: {what}, expected a file", reason="no_files",
            hint="name files, directories or globs that this machine can read",
        )  # fmt: skip
    format_of(path)
    finding.files[_absolute(path)] = None


def _take_directory(root: Path, finding: _Finding) -> None:
    for directory in (_absolute(root), *_absolute(root).parents):
        _refuse_tables(directory)
    for directory, names in _walk(root, finding):
        for name in names:
            _take_if_data(directory / name, finding)


def _walk(root: Path, finding: _Finding) -> Iterator[tuple[Path, list[str]]]:
    """(directory, names of what is not one), sorted; each directory once, links or not."""

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"{printable(error.filename or root)}: {error.strerror}", reason="unreadable",
            hint="let this user read it",
        )  # fmt: skip

    seen: set[tuple[int, int]] = set()
    for here, directories, names in os.walk(root, followlinks=True, onerror=refuse):
        path = Path(here)
        status = path.stat()
        if (status.st_dev, status.st_ino) in seen:
            directories.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        _refuse_tables(path)
        for name in sorted(directories):
            if why := _why_not_walked(name):
                finding.left_out[_absolute(path / name)] = why
        directories[:] = sorted(name for name in directories if not _why_not_walked(name))
        yield path, sorted(names)


def _why_not_walked(name: str) -> str | None:
    if _matches(name, _UNFINISHED):
        return "of a job that has not finished"
    return "a directory of another tool" if _matches(name, _NOT_DATA) else None


def _take_if_data(path: Path, finding: _Finding) -> None:
    if _matches(path.name, _COMPANIONS):
        return
    absolute = _absolute(path)
    if not path.is_file():
        finding.left_out[absolute] = "a link to nothing" if path.is_symlink() else "no regular file"
        return
    try:
        format_of(path)
    except UsageError as refusal:
        if format_by_name(path) is not None:
            raise
        finding.left_out[absolute] = refusal.message.partition(": ")[2]
        return
    finding.files[absolute] = None


def _refuse_tables(directory: Path) -> None:
    kind = next((kind for name, kind in _LOGS.items() if (directory / name).is_dir()), None)
    metadata = directory / "metadata"
    if kind is None and any(glob.iglob("*.metadata.json", root_dir=metadata)):
        kind = "Iceberg"
    if kind:
        raise UsageError(
            f"{printable(directory)}: a {kind} table, whose live files are known to its log only",
            hint="export what it holds as Parquet files into a directory of their own",
            reason="table",
        )


def _nothing(pattern: str, finding: _Finding) -> UsageError:
    there = bool(finding.left_out) or os.path.isdir(pattern)
    what = "holds no Parquet, CSV or JSON lines file" if there else "no such file"
    left = next(iter(finding.left_out.items()), None)
    more = f"; left out: {printable(left[0])}: {left[1]}" if left else ""
    return UsageError(
        f"{printable(pattern)}: {what}{more}",
        hint="name files, directories or globs that this machine can read",
        reason="no_files",
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))
