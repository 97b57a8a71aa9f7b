"""The history of runs: a small file for each, in a directory or an object store.

    <uri>/<job>/<started, UTC>-<run id>-<exit code>.json
    history/close/20261115T000000123Z-5f0c2a9b1d3e-0.json

A file is written once, complete or not at all, and never changed: readers keep what they have read,
and writers on any number of hosts cannot conflict. Names sort by start, and carry the exit code, so
the last success is found without opening the failures. After each append the oldest files of that
job beyond `keep` are deleted: only files with exactly such a name, and never its newest success.
Runs that began after the one that was added do not count as newer ones: a clock that was ahead once
would otherwise delete what every other clock writes. Readers leave them out by `until_ms`.

A file that does not decode, or holds another run than its name says, is skipped and listed in
`damaged`; what cannot be reached raises.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from impressions.core.errors import CorruptData
from impressions.history.run_record import MAX_BYTES, RunRecord, decode, encode

if TYPE_CHECKING:
    from impressions.storage.directory import Directory, Stored

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
        self._listing: list[Stored] | None = None

    def as_now(self) -> RunHistory:
        """The same as it is at this moment, listed once for all that is asked of it: an object
        store takes a tenth of a second for each listing."""
        view = copy.copy(self)
        view._listing = self._directory.list()
        return view

    def append(self, record: RunRecord) -> None:
        """Adds a run; deletes the oldest ones of its job that are too many."""
        if not _JOB.fullmatch(record.job):
            raise ValueError(f"job {record.job!r}, expected a word such as close")
        self._directory.replace(f"{record.job}/{name_of(record)}", encode(record))
        for old in superseded(self._files(record.job, record.started_ms), self._keep):
            with contextlib.suppress(FileNotFoundError):  # another host was first
                self._directory.delete(old.path)

    def runs(
        self, job: str | None = None, newest: int = KEEP, until_ms: int | None = None
    ) -> tuple[RunRecord, ...]:
        """The newest runs, of one job or of all; the newest first.

        Args:
            until_ms: runs that began later are left out.
        """
        return tuple(self._records(self._files(job, until_ms)[:newest]))

    def count_after(self, job: str, at_ms: int) -> int:
        """How many runs of a job say that they began later."""
        return sum(file.name[: len(_stamp(0))] > _stamp(at_ms) for file in self._files(job))

    def runs_of_all(self) -> tuple[RunRecord, ...]:
        """Every run that is kept, of all jobs; the newest first."""
        return tuple(self._records(self._files(None)))

    def last_success(self, job: str, until_ms: int | None = None) -> RunRecord | None:
        """The newest run of a job that ended well; None where no record is of one."""
        well = (file for file in self._files(job, until_ms) if file.succeeded)
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

    def _files(self, job: str | None, until_ms: int | None = None) -> list[_File]:
        """Newest first; of runs that began by `until_ms`."""
        found = []
        listing = self._listing
        for stored in self._directory.list(job or "") if listing is None else listing:
            folder, _, name = stored.path.rpartition("/")
            if job is not None and folder != job:
                continue
            if _JOB.fullmatch(folder) and _NAME.fullmatch(name):
                found.append(_File(name, folder, stored.size_bytes))
        known = self._read.keys() | self.damaged
        gone = {path for path in known if not job or path.startswith(f"{job}/")}
        for path in gone - {file.path for file in found}:
            self._read.pop(path, None)
            self.damaged.discard(path)
        last = None if until_ms is None else _stamp(until_ms)
        within = [file for file in found if last is None or file.name[: len(last)] <= last]
        return sorted(within, reverse=True)

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
            record = decode(data, file.path)
            if (record.job, name_of(record)) != (
                file.job,
                file.name,
            ):  # the name decides what is read
                raise CorruptData(f"{file.path}: holds {record.job}/{name_of(record)}")
        except (CorruptData, ValueError):
            self.damaged.add(file.path)
        else:
            self._read[file.path] = record


def name_of(record: RunRecord) -> str:
    """The name of its file."""
    name = f"{_stamp(record.started_ms)}-{record.run_id}-{record.exit_code}.json"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name}: expected letters and digits as run id, 0..999 as exit code")
    return name


def _stamp(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y%m%dT%H%M%S}{at_ms % 1000:03d}Z"


def superseded(files: list[_File], keep: int) -> list[_File]:
    """Of files, newest first, those beyond `keep`, without the newest success."""
    last = next((file for file in files if file.succeeded), None)
    return [file for file in files[keep:] if file != last]
