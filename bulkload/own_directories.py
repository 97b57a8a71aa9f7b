"""Which directories below a host's data directory are ours, and which entries are strays.

Ours are directories with the name of a generation (in generations/) or of a load (in loading/).
Everything else there is a stray: a symlink, a file, a directory with another name. Strays are
reported and otherwise ignored. No command stops because of one, and none removes it or the target
of its symlink.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from impressions.formats.generation_paths import (
    LOADING,
    REMOVED,
    REPLACED,
    HostPaths,
    is_generation,
)

_OF_A_LOAD = re.compile(rf"\d+({re.escape(REPLACED)}|{re.escape(REMOVED)})?")


def is_ours(path: Path) -> bool:
    """Whether this is a directory of a generation, or of a load of one."""
    name, dot, rest = path.name.partition(".")
    named = is_generation(name) and (not dot or _OF_A_LOAD.fullmatch(rest) is not None)
    return named and bool(dot) == (path.parent.name == LOADING) and not is_stray(path)


def is_stray(path: Path) -> bool:
    """Whether this is a symlink or anything else than a directory."""
    return path.is_symlink() or not path.is_dir()


def entries(directory: Path, *, follow: bool = False) -> list[Path]:
    """The entries of a directory, by name. Those of a symlink to one only with `follow`."""
    if not directory.is_dir() or (directory.is_symlink() and not follow):
        return []
    return sorted(directory.iterdir())


def strays(paths: HostPaths) -> list[Path]:
    """All strays of a host; a wrong generations/ or loading/ is one itself."""
    parents = (paths.generations, paths.loading)
    wrong = [path for path in parents if os.path.lexists(path) and is_stray(path)]
    return wrong + [path for parent in parents for path in entries(parent) if not is_ours(path)]
