"""Where compiled code is kept: one directory for each state of what it was made from and for.

numba keeps code by the path and the time of the function's file and by the processor, and makes it
anew when one of them changes, without a word; though not when a file changes whose functions or
constants were compiled into it. So the directory is named after all of them:

    $XDG_CACHE_HOME/impressions/compiled/<digest>       by default in ~/.cache

and whatever is in it fits: a second clone on the same machine has a directory of its own.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import impressions
from impressions.shell import log
from impressions.shell.paths import cache_dir

_PACKAGE = Path(impressions.__file__).parent
_SOURCES = (
    "columns.py", "decay.py", "delta_block.py", "item.py", "profile_block.py", "spec.py",
    "compiled/merge.py", "compiled/runs.py", "compiled/table.py", "compiled/wanted.py",
)  # fmt: skip


def directory() -> Path:
    """The directory for what is here; one that will not last where none can be made."""
    path = cache_dir() / "compiled" / digest(_PACKAGE)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("not-cached", path=path, because=error.strerror)
        return Path(tempfile.mkdtemp(prefix="impressions-compiled-"))
    return path


def digest(package: Path) -> str:
    """Of all that decides whether compiled code of this package can be used again."""
    hashed = hashlib.sha256()
    for part in _origin(package):
        hashed.update(hashlib.sha256(part).digest())
    return hashed.hexdigest()[:16]


def _origin(package: Path) -> Iterator[bytes]:
    from llvmlite import binding  # an optional package, as numba is

    yield f"{version('numba')} {binding.get_host_cpu_name()} {package.resolve()}".encode()
    for name in _SOURCES:
        yield str((package / name).stat().st_mtime_ns).encode()
        yield (package / name).read_bytes()


def is_filled() -> bool:
    """Whether this machine has compiled these sources, from this place, before."""
    return any(directory().rglob("*.nbi"))
