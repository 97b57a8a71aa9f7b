"""Where compiled code is kept: one directory for each state of the sources it was made from.

numba keeps code beside the file of the function and makes it anew when that file changes, though
not when a file does whose functions or constants were compiled into it. So the directory is named
after the bytes of all of them:

    $XDG_CACHE_HOME/impressions/compiled/<digest>       by default ~/.cache
    $IMPRESSIONS_COMPILED_DIR/<digest>                  an image that was warmed when it was built
"""

from __future__ import annotations

import hashlib
import os
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
    home = os.environ.get("IMPRESSIONS_COMPILED_DIR")
    digest = hashlib.sha256(sources).hexdigest()[:16]
    path = (Path(home) if home else cache_dir() / "compiled") / digest
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("not-cached", path=path, because=error.strerror)
        return Path(tempfile.mkdtemp(prefix="impressions-compiled-"))
    return path
