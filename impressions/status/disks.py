"""What is free on the disks of this machine that Impressions writes to."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from impressions.settings.model import Settings
from impressions.status.questions import Absent


@dataclass(frozen=True)
class Disk:
    """A place and the disk it lies on."""

    place: str
    path: str
    free_bytes: int
    size_bytes: int

    @property
    def free_share(self) -> float:
        return self.free_bytes / self.size_bytes if self.size_bytes else 0.0


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
            usage = shutil.disk_usage(path)
            # As for `df`: what only root may write is not free, and no part of the whole.
            found.append(Disk(place, path, usage.free, usage.used + usage.free))
    if not found:
        raise Absent("nothing was written yet")
    return tuple(found)
