"""Where compiled code is kept: one directory for each state of what it was made from and for.

numba keeps code by the path and the time of the function's file and by the processor, and makes it
again when one of them changes, without a word; though not when a file changes whose functions or
constants were compiled into it. So the directory is named after all of them:

    $XDG_CACHE_HOME/impressions/compiled/<digest>       by default in ~/.cache

and whatever is in it fits: a second clone on the same machine has a directory of its own.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import impressions
from impressions.settings.paths import cache_dir, temporary_dir
from impressions.terminal import log

_PACKAGE = Path(impressions.__file__).parent
_SOURCES = (
    "core/decay.py", "core/event.py", "core/item.py", "core/rows.py", "core/shard.py",
    "core/spec.py", "formats/columns.py", "formats/delta_block.py", "formats/flush_framing.py",
    "formats/impression_columns.py", "formats/profile_block.py", "compiled/answer.py",
    "compiled/answer_message.py", "compiled/block_kernels.py", "compiled/chosen_rows.py",
    "compiled/column_kernels.py", "compiled/columns_added.py", "compiled/flush_kernels.py",
    "compiled/little_endian.py", "compiled/of_spec.py", "compiled/part_kernels.py",
    "compiled/profile_kernels.py", "compiled/request.py", "compiled/runs.py",
    "compiled/shift_kernels.py", "compiled/sound_kernel.py", "compiled/stored_parts.py",
    "compiled/sum_kernels.py", "compiled/table.py", "compiled/wanted.py", "compiled/wire.py",
    "v1/impressions_service_pb2.py",
)  # fmt: skip


def directory() -> Path:
    """The directory for what is here; one that may not last where none can be made or written.

    That one is the same for all processes of this user: workers find what their parent compiled.
    """
    for root in (cache_dir(), temporary_dir()):
        path = root / "compiled" / digest(_PACKAGE)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(
                dir=path
            ):  # as numba asks: it reads only where it may write
                return path
        except OSError as error:
            log.once("not-cached", path=path, because=error.strerror)
    return _passing()


@functools.cache
def _passing() -> Path:
    """A directory for this process alone; gone when it ends."""
    path = tempfile.mkdtemp(prefix="impressions-compiled-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def kept(signature: Any) -> Any:
    """A decorator: compiled for `signature` when it is defined, or loaded from the cache.

    Files that cannot be read are thrown away and made once more. Where code cannot be kept (no
    room, no place that may be written), it is compiled each time.
    """
    from numba import njit  # an optional package

    def compiled(function: Any) -> Any:
        options: Any = {"nogil": True, "error_model": "numpy"}
        for last in (False, True):
            try:
                return njit(signature, cache=True, **options)(function)
            except Exception as error:  # numba stumbles over files in many ways; no server may
                if last or not _thrown_away(function, error):
                    log.once("not-cached", because=repr(error))
                    break
        return njit(signature, **options)(function)

    return compiled


def _thrown_away(function: Any, error: Exception) -> bool:
    """Whether this function had files, and they are gone now."""
    module = function.__module__.rpartition(".")[2]
    kept_files = list(directory().rglob(f"{module}.{function.__name__}-*"))
    try:
        for path in kept_files:
            path.unlink(missing_ok=True)
    except OSError as unremovable:
        log.once("not-cached", path=unremovable.filename, because=unremovable.strerror)
        return False
    if kept_files:
        log.warning("compiled-again", function=function.__name__, because=repr(error))
    return bool(kept_files)


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


def is_filled(function: str) -> bool:
    """Whether this machine has compiled this function of `kept`, from this place, before."""
    return any(directory().rglob(f"*.{function}-*.nbi"))
