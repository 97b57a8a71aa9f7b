"""This host's data directory: its pointer, generations, unfinished loads and locks.

`CURRENT` (the pointer) names the generation that answers; servers follow it.
"""

from __future__ import annotations

from pathlib import Path

from bulkload.files import write_durably
from bulkload.host_locks import HostLocks
from bulkload.loaded_generations import LoadedGenerations
from bulkload.unfinished_loads import UnfinishedLoads
from impressions.core.errors import CorruptData
from impressions.formats.generation_paths import HostPaths
from impressions.formats.pointer import Pointer


class Host:
    """A data directory. Nothing is created before something is written.

    Attributes:
        paths, generations, unfinished, locks: its parts.
    """

    def __init__(self, data_dir: Path):
        self.paths = HostPaths(data_dir)
        self.generations = LoadedGenerations(self.paths)
        self.unfinished = UnfinishedLoads(self.paths)
        self.locks = HostLocks(self.paths)

    def pointer(self) -> Pointer | None:
        """The content of `CURRENT`; None if nothing was ever activated. Raises CorruptData."""
        try:
            return Pointer.decode(self.paths.current.read_bytes())
        except FileNotFoundError:
            return None

    def whole_pointer(self) -> Pointer | None:
        """The same; None also where it is damaged: activating writes it again."""
        try:
            return self.pointer()
        except CorruptData:
            return None

    def point(self, pointer: Pointer) -> None:
        """Replace `CURRENT`; the caller holds the pointer lock."""
        write_durably(self.paths.current, pointer.encode())
