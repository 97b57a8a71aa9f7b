"""What dead processes left in this home: directories of imports."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from batch.housekeeping import removed as report
from batch.housekeeping.removed import Removed
from batch.housekeeping.table import Keeping
from impressions.core.spec import DAY_MS


def imports(job: Keeping) -> Removed:
    """Directories in which nothing was written for `orphan_days`."""
    settings = job.context.settings
    old_ms = job.at.now_ms - settings.housekeeping.orphan_days * DAY_MS
    found = (settings.home_dir / "tmp").glob("import-*")
    return _removed(job, report.IMPORTS, [p for p in found if _newest_ms(p) <= old_ms])


def _removed(job: Keeping, rule: str, paths: list[Path]) -> Removed:
    sizes = [(str(path), _size_bytes(path)) for path in paths]
    for path in () if job.dry_run else paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return report.files_removed(rule, "home", sizes)


def _newest_ms(path: Path) -> int:
    return max((_stat(one)[0] for one in _all(path)), default=0)


def _size_bytes(path: Path) -> int:
    return sum(_stat(one)[1] for one in _all(path) if not one.is_dir())


def _all(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from path.rglob("*")


def _stat(path: Path) -> tuple[int, int]:
    """When it was changed, in ms, and its bytes; of one that just went, nothing."""
    try:
        said = path.lstat()
    except FileNotFoundError:
        return 0, 0
    return said.st_mtime_ns // 1_000_000, said.st_size
