"""Where this user's machine keeps what can be made again, and where a path with `~` leads."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from impressions.core.errors import SettingsError


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/impressions`, by default in ~/.cache; not made here.

    A user without a home, or with one that cannot be written (a container's uid without a name, a
    read-only root), gets a directory of its own below the system's temporary one; `why_elsewhere`
    says so.
    """
    usual, _ = _usual(os.environ)
    return usual or temporary_dir()


def why_elsewhere() -> str | None:
    """Why `cache_dir` is not where one would look for it; None where it is."""
    return _usual(os.environ)[1]


def expanded(path: Path) -> Path:
    """An absolute path, `~` replaced.

    Raises:
        SettingsError: it begins with a home directory that nobody knows.
    """
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise SettingsError(
            f"{path}: no home directory is known for it, expected a user that has one",
            hint="write the path out, or set HOME",
        ) from None


def _usual(environ: Mapping[str, str]) -> tuple[Path | None, str | None]:
    """The usual place, or why it cannot be used. One that is there is used, written or not: an
    image may bring it filled."""
    try:
        home = Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:
        return None, "this user has no home directory: expected HOME or XDG_CACHE_HOME"
    path = parent = home / "impressions"
    if os.path.isdir(path):  # False, not an error, for what may not be looked at
        return path, None
    while not os.path.exists(parent) and parent != parent.parent:
        parent = parent.parent
    if os.access(parent, os.W_OK | os.X_OK):
        return path, None
    return None, f"{parent} cannot be written: expected XDG_CACHE_HOME to name what can"


@cache
def temporary_dir() -> Path:
    """The same for every process of this user. One that others could have filled is not trusted:
    code is loaded from it."""
    path = Path(tempfile.gettempdir()) / f"impressions-cache-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return path
    return Path(tempfile.mkdtemp(prefix="impressions-cache-"))
