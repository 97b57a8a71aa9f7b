"""Where compiled code is kept: one directory for each state of the sources it was made from.

numba keeps code beside the file of the function and makes it anew when that file changes, though
not when a file does whose functions or constants were compiled into it. So the directory is named
after the bytes of all of them:

    $XDG_CACHE_HOME/impressions/compiled/<digest>       by default in ~/.cache
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import impressions
from impressions.shell import log
from impressions.shell.paths import cache_dir

_PACKAGE = Path(impressions.__file__).parent
_SOURCES = (
    "columns.py", "decay.py", "delta_block.py", "item.py", "profile_block.py", "spec.py",
    "compiled/merge.py", "compiled/runs.py", "compiled/table.py",
)  # fmt: skip


def directory() -> Path:
    """The directory for the sources as they are; one that will not last where none can be made."""
    sources = b"".join((_PACKAGE / name).read_bytes() for name in _SOURCES)
    path = cache_dir() / "compiled" / hashlib.sha256(sources).hexdigest()[:16]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("not-cached", path=path, because=error.strerror)
        return Path(tempfile.mkdtemp(prefix="impressions-compiled-"))
    return path


def is_filled() -> bool:
    """Whether this machine has compiled these sources before."""
    return any(directory().rglob("*.nbi"))
