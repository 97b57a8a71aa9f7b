"""Which processes run: each says so in a file of `<home>/run`, and anybody may read them.

    <home>/run/<kind>-<pid>.json    {kind, pid, address, metrics, started_ms, birth, host}

A process that ends removes its file; one that is killed leaves it. Readers know that by the pid and
the moment at which that pid was born, which the kernel tells. What a killed one left stands until
the next of its kind starts on this machine: so it is seen that something ran here, died, and was
not started again. Of files of other machines, in a home that several share, nothing is known here.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from impressions.clock import now_ms
from impressions.settings.model import Settings
from impressions.storage import local_files


@dataclass(frozen=True)
class Running:
    """A process.

    Attributes:
        kind: serve, serve-worker, follower, speed, ...
        address: host:port that callers use; None if there is none.
        metrics: host:port of /metrics; None if there is none.
        birth: when the kernel started this pid, in its own unit: tells a pid that came again.
        host: the machine.
    """

    kind: str
    pid: int
    address: str | None
    metrics: str | None
    started_ms: int
    birth: str
    host: str = ""


@contextlib.contextmanager
def registered(
    settings: Settings, kind: str, *, address: str | None = None, metrics: str | None = None
) -> Iterator[None]:
    """Say that this process runs, until the end of the block."""
    pid = os.getpid()
    entry = Running(kind, pid, address, metrics, now_ms(), birth_of(pid) or "", platform.node())
    path = settings.run_dir / f"{kind}-{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    forget(settings, kind)
    local_files.replace(path, json.dumps(asdict(entry)).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running(settings: Settings) -> list[Running]:
    """Every process of this machine that runs now, by kind and age."""
    return [entry for entry in _entries(settings) if _lives(entry)]


def died(settings: Settings) -> list[Running]:
    """Processes of this machine that are gone and did not end by themselves, in whose place none of
    their kind was started since; by kind and age."""
    return [entry for entry in _entries(settings) if not _lives(entry)]


def forget(settings: Settings, *kinds: str) -> None:
    """Processes of these kinds that died: others took their place, or none is to run any more."""
    for gone in died(settings):
        if gone.kind in kinds:
            (settings.run_dir / f"{gone.kind}-{gone.pid}.json").unlink(missing_ok=True)


def _entries(settings: Settings) -> list[Running]:
    """Those of this machine."""
    entries = filter(None, map(_read, settings.run_dir.glob("*.json")))
    mine = [entry for entry in entries if entry.host in ("", platform.node())]
    return sorted(mine, key=lambda entry: (entry.kind, entry.started_ms, entry.pid))


def _lives(entry: Running) -> bool:
    return birth_of(entry.pid) == entry.birth


def birth_of(pid: int) -> str | None:
    """When this pid was born; None if nobody has it. Where there is no /proc: only whether it
    lives."""
    try:
        # Field 22; the second one, the name in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"


def _read(path: Path) -> Running | None:
    """None for what is no entry, or cannot be read now, which says nothing about a process."""
    try:
        said = json.loads(path.read_text())
        return Running(
            **{field.name: said[field.name] for field in fields(Running) if field.name in said}
        )
    except (OSError, ValueError, TypeError):
        return None
