"""Where an import keeps its runs: a directory of this host, or beside the table for executors.

    <home>/tmp/import-*    locked by its import for as long as it lives

A directory is of a dead import if nobody holds its lock; no clock decides that alone. It is left
for a day all the same, for disks that several hosts share without sharing locks.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batch.importing.staging import Run
from batch.jobs.context import Context
from impressions.core.spec import DAY_MS

if TYPE_CHECKING:
    from pyiceberg.table import Table


@contextmanager
def directory_of(context: Context, raw: Table | None) -> Iterator[str]:
    """A directory of this host ends with the block; with it, those of imports that were killed."""
    if not context.runner.is_local and raw is not None:
        yield f"{raw.location()}/staging/{uuid.uuid4()}"
        return
    parent = context.settings.home_dir / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    for old in of_dead(context.settings.home_dir, context.clock() - DAY_MS):
        shutil.rmtree(old, ignore_errors=True)
    made = tempfile.TemporaryDirectory(prefix="import-", dir=parent)
    with made as directory, _locked(Path(directory)):
        yield directory


def of_dead(home: Path, until_ms: int) -> list[Path]:
    """Directories of imports that were killed, in which nothing was written after `until_ms`."""
    found = sorted((home / "tmp").glob("import-*"))
    return [path for path in found if _is_free(path) and newest_ms(path) <= until_ms]


def newest_ms(directory: Path) -> int:
    """When something in it was changed last."""
    return max((said.st_mtime_ns // 1_000_000 for said in stats(directory)), default=0)


def stats(directory: Path) -> Iterator[os.stat_result]:
    """Of it and of all that is in it; without what just went."""
    for at, names, files in os.walk(directory):
        for name in ("", *names, *files):
            with suppress(FileNotFoundError):
                yield os.lstat(os.path.join(at, name) if name else at)


@contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Holds its lock, if nobody else does. The system ends it with the process."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held, or a disk without locks
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _is_free(directory: Path) -> bool:
    try:
        with _locked(directory) as is_free:
            return is_free
    except OSError:  # it just went, or is no directory of ours
        return False


def remove(raw: Table | None, runs: Sequence[Run]) -> None:
    """Deletes runs beside the table; those in a directory of this host go with it."""
    for run in runs:
        if raw is not None and run.location.startswith(raw.location()):
            with suppress(OSError):  # harmless: no table names it
                raw.io.delete(run.location)
