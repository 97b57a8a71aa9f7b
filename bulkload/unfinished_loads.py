"""Work in progress: the directories in loading/, of a load under way or left by one that died."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from bulkload.files import tree_bytes
from bulkload.own_directories import entries, is_ours, is_stray
from impressions.formats.generation_paths import REPLACED, HostPaths
from impressions.storage.local_files import sync_directory


class UnfinishedLoads:
    """loading/ of one data directory."""

    def __init__(self, paths: HostPaths):
        self._paths = paths

    def workdir(self, generation: str) -> Path:
        """The directory in which this process prepares a generation."""
        return self._paths.workdir(generation, os.getpid())

    def directories(self) -> list[Path]:
        """All directories of loads, by name."""
        return [path for path in entries(self._paths.loading) if is_ours(path)]

    def clear(self) -> list[tuple[str, int]]:
        """Remove what dead loads left, and undo a replacement that was stopped half way.

        The caller holds the load lock, so no load is under way.

        Returns:
            (name, bytes) of each directory removed.
        """
        removed = []
        for path in self.directories():
            generation = path.name.partition(".")[0]
            home = self._paths.generation(generation)
            if path.name.endswith(REPLACED) and is_stray(home):
                if not os.path.lexists(home):  # else a stray has its name: it stays in loading/
                    path.rename(home)
                    sync_directory(self._paths.generations)
                continue
            size_bytes = tree_bytes(path)
            with contextlib.suppress(OSError):  # `status` names what this user may not remove
                shutil.rmtree(path)
                removed.append((path.name, size_bytes))
        return removed
