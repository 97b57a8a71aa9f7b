"""Where an import keeps its runs: a directory of this host, or beside the table for executors.

<home>/tmp/import-*    its own while it lives (batch/jobs/own_directory.py)
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from batch.importing.staging import Run
from batch.jobs.context import Context
from batch.jobs.own_directory import made, of_dead
from impressions.core.spec import DAY_MS

if TYPE_CHECKING:
    from pyiceberg.table import Table

KIND = "import"


@contextmanager
def directory_of(context: Context, raw: Table | None) -> Iterator[str]:
    """A directory of this host ends with the block; with it, those of imports that were killed."""
    if not context.runner.is_local and raw is not None:
        yield f"{raw.location()}/staging/{uuid.uuid4()}"
        return
    home = context.settings.home_dir
    for old in of_dead(home, KIND, context.clock() - DAY_MS):
        shutil.rmtree(old, ignore_errors=True)
    with made(home, KIND) as directory:
        yield str(directory)


def remove(raw: Table | None, runs: Sequence[Run]) -> None:
    """Deletes runs beside the table; those in a directory of this host go with it."""
    for run in runs:
        if raw is not None and run.location.startswith(raw.location()):
            with suppress(OSError):  # harmless: no table names it
                raw.io.delete(run.location)
