"""Where caches, state and generations are kept, and what is free. Nothing is created."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from impressions.cli.checks.check import needs
from impressions.core.errors import CorruptData, NotReady
from impressions.settings.model import Settings
from impressions.settings.paths import cache_dir, why_elsewhere
from impressions.terminal.console import human_bytes


def cache() -> str:
    """Of jars and compiled code. Where there is no lasting place, every start makes them again."""
    if (why := why_elsewhere()) is not None:
        raise NotReady(
            f"{cache_dir()}, because {why}",
            hint="export XDG_CACHE_HOME=<a directory of yours that lasts>",
        )
    return str(cache_dir())


def writable(directory: Path, key: str) -> str:
    parent = _existing(directory)
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise NotReady(
            f"{parent} cannot be written: {error.strerror}",
            hint=f"--set {key}=<a directory of yours>",
        ) from None
    return str(directory) if parent == directory else f"{directory} (made at the first use)"


def free_disk(settings: Settings) -> str:
    free = shutil.disk_usage(_existing(settings.host_dir)).free
    reserve = settings.host.reserve_bytes
    if free < reserve:
        raise NotReady(
            f"found {human_bytes(free)} free for {settings.host_dir}, "
            f"expected more than host.reserve_bytes = {human_bytes(reserve)}",
            hint="impressions bulkload gc, or --set host.data_dir=<a larger disk>",
        )
    return f"{human_bytes(free)} free, {human_bytes(reserve)} stay free"


def generations(settings: Settings) -> str:
    where = settings.generations
    if "://" not in where:
        return writable(Path(where), "generations_uri")
    needs("pyarrow", "bulkload")
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(where)
        kind = filesystem.get_file_info(path).type
    except Exception as error:  # each file system raises its own: a finding, with its text
        raise NotReady(
            f"{where}: {type(error).__name__}: {error}",
            hint="check generations_uri, and the credentials in the environment",
        ) from error
    if kind == fs.FileType.File:
        raise CorruptData(f"{where} is a file, expected a directory", hint="set generations_uri")
    return f"{where} ({'empty' if kind == fs.FileType.NotFound else 'reachable'})"


def _existing(path: Path) -> Path:
    """The path itself or the nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
