"""Where an import keeps its runs: a directory of this host, or beside the table for executors."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from batch.importing.staging import Run
from batch.jobs.context import Context

if TYPE_CHECKING:
    from pyiceberg.table import Table

_OLD_S = 86_400


@contextmanager
def directory_of(context: Context, raw: Table | None) -> Iterator[str]:
    """A directory of this host ends with the block; with it, those of imports that were killed."""
    if not context.runner.is_local and raw is not None:
        yield f"{raw.location()}/staging/{uuid.uuid4()}"
        return
    parent = context.settings.home_dir / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    now_s = context.clock() / 1000
    for old in parent.glob("import-*"):
        if now_s - old.stat().st_mtime > _OLD_S:  # of an import that was killed
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="import-", dir=parent) as directory:
        yield directory


def remove(raw: Table | None, runs: Sequence[Run]) -> None:
    """Deletes runs beside the table; those in a directory of this host go with it."""
    for run in runs:
        if raw is not None and run.location.startswith(raw.location()):
            with suppress(OSError):  # harmless: no table names it
                raw.io.delete(run.location)
