"""What is free on the disks of this machine that Impressions writes to."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from impressions.settings.model import Settings
from impressions.status.questions import Absent


@dataclass(frozen=True)
class Disk:
    """A place and the disk it lies on.

    Attributes:
        free_files_share: of the files that the disk can hold; 1 where it does not count them.
    """

    place: str
    path: str
    free_bytes: int
    size_bytes: int
    free_files_share: float = 1.0

    @property
    def free_share(self) -> float:
        """Of bytes or of files, whichever ends first: a disk without either is full."""
        of_bytes = self.free_bytes / self.size_bytes if self.size_bytes else 0.0
        return min(of_bytes, self.free_files_share)

    @property
    def lacks_files(self) -> bool:
        return self.free_share == self.free_files_share < 1


def read_disks(settings: Settings) -> tuple[Disk, ...]:
    """Home, host, and warehouse, generations and history where they are local; those that exist.

    Raises:
        Absent: nothing was made yet.
    """
    places = {
        "home": str(settings.home_dir),
        "warehouse": settings.warehouse_uri,
        "generations": settings.generations,
        "history": settings.history_uri,
        "host": str(settings.host_dir),
    }
    found = []
    for place, uri in places.items():
        path = uri.removeprefix("file://")
        if "://" not in path and Path(path).exists():
            usage, files = shutil.disk_usage(path), os.statvfs(path)
            share = files.f_favail / files.f_files if files.f_files else 1.0
            # As for `df`: what only root may write is not free, and no part of the whole.
            found.append(Disk(place, path, usage.free, usage.used + usage.free, share))
    if not found:
        raise Absent("nothing was written yet")
    return tuple(found)
