"""The history of runs: a small file for each, in a directory or an object store.

    <uri>/<job>/<started, UTC>-<run id>-<exit code>.json
    history/close/20261115T000000123Z-5f0c2a9b1d3e-0.json

A file is written once, complete or not at all, and never changed: readers keep what they have read,
and writers on any number of hosts cannot conflict. Names sort by start, and carry the exit code, so
the last success is found without opening the failures. After each append the oldest files of that
job beyond `keep` are deleted: only files with exactly such a name, and never its newest success.

A file that does not decode is skipped and listed in `damaged`; what cannot be reached raises.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from impressions.core.errors import CorruptData
from impressions.history.run_record import MAX_BYTES, RunRecord, decode, encode

if TYPE_CHECKING:
    from impressions.storage.directory import Directory

KEEP = 400
_NAME = re.compile(r"(\d{8}T\d{9}Z)-([0-9a-zA-Z_]{1,64})-(\d{1,3})\.json")
_JOB = re.compile(r"[a-z][a-z_-]{0,40}")
_AT_ONCE = 16


@dataclass(frozen=True, order=True)
class _File:
    """A run that is there, by its name alone; ordered by start."""

    name: str
    job: str
    size_bytes: int

    @property
    def succeeded(self) -> bool:
        return self.name.endswith("-0.json")

    @property
    def path(self) -> str:
        return f"{self.job}/{self.name}"


class RunHistory:
    """All runs below a path or a URI. One object per reader: it keeps what it has read.

    Attributes:
        damaged: files (`<job>/<name>`) that were skipped, as they hold no record.

    Every method raises OSError, or pyarrow's ArrowException, where the place cannot be reached.
    """

    def __init__(self, uri: str, keep: int = KEEP):
        self.uri = uri
        self.damaged: set[str] = set()
        self._keep = keep
        self._read: dict[str, RunRecord] = {}
        self._opened: Directory | None = None

    def append(self, record: RunRecord) -> None:
        """Adds a run; deletes the oldest ones of its job that are too many."""
        if not _JOB.fullmatch(record.job):
            raise ValueError(f"job {record.job!r}, expected a word such as close")
        self._directory.replace(f"{record.job}/{name_of(record)}", encode(record))
        for old in superseded(self._files(record.job), self._keep):
            with contextlib.suppress(FileNotFoundError):  # another host was first
                self._directory.delete(old.path)

    def runs(self, job: str | None = None, newest: int = KEEP) -> tuple[RunRecord, ...]:
        """The newest runs, of one job or of all; the newest first."""
        return tuple(self._records(self._files(job)[:newest]))

    def runs_of_all(self) -> tuple[RunRecord, ...]:
        """Every run that is kept, of all jobs; the newest first."""
        return tuple(self._records(self._files(None)))

    def last_success(self, job: str) -> RunRecord | None:
        """The newest run of a job that ended well; None where no record is of one."""
        well = (file for file in self._files(job) if file.succeeded)
        return next((run for file in well for run in self._records([file])), None)

    def first(self, job: str) -> RunRecord | None:
        """The oldest run of a job that is kept."""
        return next((run for f in reversed(self._files(job)) for run in self._records([f])), None)

    @property
    def _directory(self) -> Directory:
        from impressions.storage.directory import open_directory

        if self._opened is None:
            self._opened = open_directory(self.uri)
        return self._opened

    def _files(self, job: str | None) -> list[_File]:
        """Newest first."""
        found = []
        for stored in self._directory.list(job or ""):
            folder, _, name = stored.path.rpartition("/")
            if _JOB.fullmatch(folder) and _NAME.fullmatch(name):
                found.append(_File(name, folder, stored.size_bytes))
        known = self._read.keys() | self.damaged
        gone = {path for path in known if not job or path.startswith(f"{job}/")}
        for path in gone - {file.path for file in found}:
            self._read.pop(path, None)
            self.damaged.discard(path)
        return sorted(found, reverse=True)

    def _records(self, files: Iterable[_File]) -> Iterator[RunRecord]:
        wanted = list(files)
        known = self._read.keys() | self.damaged
        unread = [file for file in wanted if file.path not in known]
        if len(unread) > 1:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._load, unread))
        elif unread:
            self._load(unread[0])
        for file in wanted:
            if (record := self._read.get(file.path)) is not None:
                yield record

    def _load(self, file: _File) -> None:
        if file.size_bytes > MAX_BYTES:
            self.damaged.add(file.path)
            return
        data = self._directory.read(file.path)
        if data is None:
            return  # deleted since it was listed
        try:
            self._read[file.path] = decode(data, file.path)
        except CorruptData:
            self.damaged.add(file.path)


def name_of(record: RunRecord) -> str:
    """The name of its file."""
    started = datetime.fromtimestamp(record.started_ms / 1000, UTC)
    stamp = f"{started:%Y%m%dT%H%M%S}{record.started_ms % 1000:03d}Z"
    name = f"{stamp}-{record.run_id}-{record.exit_code}.json"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name}: expected letters and digits as run id, 0..999 as exit code")
    return name


def superseded(files: list[_File], keep: int) -> list[_File]:
    """Of files, newest first, those beyond `keep`, without the newest success."""
    last = next((file for file in files if file.succeeded), None)
    return [file for file in files[keep:] if file != last]
