"""What dead processes left in this home: directories of imports.

Nobody holds their lock, and nothing was written in them for `orphan_days`. What cannot be deleted
is said, and does not count. Spark's event logs go by themselves: batch/spark/event_logs.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from stat import S_ISREG

from batch.housekeeping import removed as report
from batch.housekeeping.removed import Removed
from batch.housekeeping.table import Keeping
from batch.jobs.own_directory import of_dead, stats
from impressions.core.spec import DAY_MS


def imports(job: Keeping) -> Removed:
    """Directories of imports that were killed."""
    settings = job.context.settings
    old_ms = round(job.at.now_ms - settings.housekeeping.orphan_days * DAY_MS)
    gone = [
        (str(path), size_bytes)
        for path in of_dead(settings.home_dir, "import", old_ms)
        for size_bytes in [sum(s.st_size for s in stats(path) if S_ISREG(s.st_mode))]
        if job.dry_run or _is_deleted(job, path)
    ]
    return report.files_removed(report.IMPORTS, "home", gone)


def _is_deleted(job: Keeping, path: Path) -> bool:
    failures: list[str] = []
    shutil.rmtree(path, onerror=lambda _, at, error: failures.append(f"{at}: {error[1]}"))
    if path.exists():
        why = failures[0] if failures else "something was written in it meanwhile"
        job.context.run.note(f"{path} could not be deleted ({why}); the next run tries again")
    return not path.exists()
