"""What lies on this host: the pointer, the generations, loads that were left, and the locks.

Two locks, both released by the kernel when their holder dies:

    load       one load or gc at a time; whoever holds it may clear `loading/`
    pointer    short: `CURRENT`, and which directory a generation's name means

A load takes hours and a rollback must not wait for it, hence two. Whoever needs both takes `load`
first.

Ours are directories with our names. Whatever else lies in generations/ or loading/ (`strays`: a
symlink, a file, a directory of another name) is named, and otherwise as if it were not there:
it ends nothing, and nothing removes it or what it points at.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bulkload.files import is_stray, local_disk, sync_dir, tree_bytes, write_durably
from impressions.core.errors import CorruptData, NotReady
from impressions.formats import manifest as manifests
from impressions.formats import sealed
from impressions.formats.generation_paths import (
    LOADING,
    REMOVED,
    REPLACED,
    HostPaths,
    cutover_of,
    generation_id,
    is_generation,
)
from impressions.formats.manifest import Manifest
from impressions.formats.pointer import (
    Loaded,
    Pointer,
    decode_loaded,
    decode_pointer,
    encode_pointer,
)

Lock = Literal["load", "pointer"]

LOCK_WAIT_S = {"load": 1.0, "pointer": 10.0}
_POLL_S = 0.02
_OF_A_LOAD = re.compile(rf"\d+({re.escape(REPLACED)}|{re.escape(REMOVED)})?")


@dataclass(frozen=True)
class Held:
    """A loaded generation, its two records read and proved to belong together."""

    generation: str
    manifest: Manifest
    manifest_bytes: bytes
    loaded: Loaded
    rolled_back: bool


def checked(generation: str) -> str:
    """The name, if it is one. Raises UsageError: a name becomes a path."""
    return generation_id(cutover_of(generation))


class Host:
    """A data directory. Nothing is created before something is written."""

    def __init__(self, data_dir: Path):
        self.paths = HostPaths(data_dir)

    # ---- the pointer

    def pointer(self) -> Pointer | None:
        """What `CURRENT` says; None when nothing was ever activated. Raises CorruptData."""
        try:
            return decode_pointer(self.paths.current.read_bytes())
        except FileNotFoundError:
            return None

    def point(self, pointer: Pointer) -> None:
        """Swap `CURRENT`; the caller holds the pointer lock."""
        write_durably(self.paths.current, encode_pointer(pointer))

    # ---- generations

    def names(self) -> list[str]:
        """Every directory under generations/ that is named like one, oldest first."""
        return [p.name for p in _inside(self.paths.generations, follow=True) if _is_ours(p)]

    def has_loaded(self, generation: str) -> bool:
        """Whether a load of it was finished, whatever happened to it since."""
        return self.paths.loaded(generation).exists()

    def held(self, generation: str) -> Held:
        """A loaded generation.

        Raises:
            NotReady: it is not loaded.
            CorruptData: one of its records is damaged, missing, or belongs to another.
        """
        hint = f"impressions bulkload load {generation}"
        if not self.has_loaded(generation):
            raise NotReady(
                f"generation {generation} is not loaded on this host",
                hint=hint,
                reason="not_loaded",
            )
        where = self.paths.generation(generation)
        try:
            loaded = decode_loaded(self.paths.loaded(generation).read_bytes())
            data = self.paths.manifest(generation).read_bytes()
            manifest = manifests.decode(data)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise CorruptData(f"{error.filename}: not a file", hint=f"{hint} --again") from None
        except CorruptData as error:
            raise CorruptData(f"{where}: {error.message}", hint=f"{hint} --again") from None
        if (loaded.generation, manifest.generation) != (generation, generation):
            raise CorruptData(
                f"{where}: holds records of {loaded.generation} and {manifest.generation}",
                hint=f"{hint} --again",
            )
        return Held(generation, manifest, data, loaded, self.is_rolled_back(generation))

    def is_rolled_back(self, generation: str) -> bool:
        """Marked; the mark outlives the generation's files (see gc)."""
        return self.paths.rolled_back(generation).exists()

    def marked(self) -> set[str]:
        """All generations that were rolled back from on this host."""
        return {name for name in self.names() if self.is_rolled_back(name)}

    def usable(self) -> list[str]:
        """Loaded and not rolled back, oldest first."""
        return [n for n in self.names() if self.has_loaded(n) and not self.is_rolled_back(n)]

    def mark(self, generation: str, target: str, at_ms: int) -> None:
        """Mark a generation as rolled back from, in favour of `target`."""
        self.paths.generation(generation).mkdir(parents=True, exist_ok=True)
        body = {"generation": generation, "rolled_back_to": target, "rolled_back_ms": at_ms}
        write_durably(self.paths.rolled_back(generation), sealed.seal(body))

    def unmark(self, generation: str) -> None:
        self.paths.rolled_back(generation).unlink(missing_ok=True)

    # ---- work in progress

    def workdir(self, generation: str) -> Path:
        """Where this process prepares a generation."""
        return self.paths.workdir(generation, os.getpid())

    def unfinished(self) -> list[Path]:
        """Directories of loads in loading/: of one under way, or left by one that died."""
        return [path for path in _inside(self.paths.loading) if _is_ours(path)]

    def strays(self) -> list[Path]:
        """What lies where generations and loads lie and is neither."""
        places = (self.paths.generations, self.paths.loading)
        wrong = [path for path in places if os.path.lexists(path) and is_stray(path)]
        return wrong + [p for place in places for p in _inside(place) if not _is_ours(p)]

    def clear_unfinished(self) -> list[tuple[str, int]]:
        """Remove what dead loads left, and finish what they were putting back.

        The caller holds the load lock, so everything here is dead.

        Returns:
            (name, bytes) of each directory removed.
        """
        removed = []
        for path in self.unfinished():
            generation = path.name.partition(".")[0]
            home = self.paths.generation(generation)
            if path.name.endswith(REPLACED) and is_stray(home):
                if not os.path.lexists(home):  # else a stray has its place: it stays aside
                    path.rename(home)
                    sync_dir(self.paths.generations)
                continue
            size_bytes = tree_bytes(path)
            with contextlib.suppress(OSError):  # what this user may not remove, `status` names
                shutil.rmtree(path)
                removed.append((path.name, size_bytes))
        return removed

    # ---- locks

    @contextlib.contextmanager
    def lock(self, which: Lock) -> Iterator[None]:
        """Hold one of the two locks.

        Raises:
            NotReady: another process kept it.
        """
        path = self.paths.lock(which)
        with local_disk(path):
            self.paths.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            if not _taken(descriptor, LOCK_WAIT_S[which]):
                holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip()
                raise NotReady(
                    f"{path}: held by another bulkload (process {holder or 'unknown'})",
                    hint="wait until it has ended, then run the same line again",
                    reason="busy",
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_loading(self) -> bool:
        """Whether a load or gc is at work right now."""
        try:
            descriptor = os.open(self.paths.lock("load"), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _taken(descriptor, 0.0)
        finally:
            os.close(descriptor)


def _inside(directory: Path, *, follow: bool = False) -> list[Path]:
    """What lies in a directory, by name; of a symlink to one only with `follow`."""
    if not directory.is_dir() or (directory.is_symlink() and not follow):
        return []
    return sorted(directory.iterdir())


def _is_ours(path: Path) -> bool:
    """Whether this is a directory of a generation, or of a load of one."""
    name, dot, rest = path.name.partition(".")
    named = is_generation(name) and (not dot or _OF_A_LOAD.fullmatch(rest) is not None)
    return named and bool(dot) == (path.parent.name == LOADING) and not is_stray(path)


def _taken(descriptor: int, wait_s: float) -> bool:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(_POLL_S)
