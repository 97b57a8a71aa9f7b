"""Which processes run: each says so in a file of `<home>/run`, and anybody may read them.

    <home>/run/<kind>-<pid>.json    {kind, pid, address, metrics, started_ms, birth}

A process that is killed leaves its file; readers know it by the pid and the moment that pid was
born, which the kernel tells, and remove it. Nothing else depends on these files.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from impressions.clock import now_ms
from impressions.settings.model import Settings


@dataclass(frozen=True)
class Running:
    """A process.

    Attributes:
        kind: serve, serve-worker, follower, speed, ...
        address: host:port that callers use; None if there is none.
        metrics: host:port of /metrics; None if there is none.
        birth: when the kernel started this pid, in its own unit: tells a pid that came again.
    """

    kind: str
    pid: int
    address: str | None
    metrics: str | None
    started_ms: int
    birth: str


@contextlib.contextmanager
def registered(
    settings: Settings, kind: str, *, address: str | None = None, metrics: str | None = None
) -> Iterator[None]:
    """Say that this process runs, until the end of the block."""
    pid = os.getpid()
    entry = Running(kind, pid, address, metrics, now_ms(), birth_of(pid) or "")
    path = settings.run_dir / f"{kind}-{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".tmp")
    new.write_text(json.dumps(asdict(entry)))
    new.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running(settings: Settings) -> list[Running]:
    """Every process that runs now, by kind and age; files of dead ones are removed."""
    found = []
    for path in settings.run_dir.glob("*.json"):
        entry = _read(path)
        if entry is not None and birth_of(entry.pid) == entry.birth:
            found.append(entry)
        else:
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda entry: (entry.kind, entry.started_ms, entry.pid))


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
    try:
        return Running(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
