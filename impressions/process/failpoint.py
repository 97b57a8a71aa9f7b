"""Failpoints: places where a test can make a process fail, so that recovery is tested.

    IMPRESSIONS_FAILPOINT=<name>:<kill|raise>:<times>:<path>

`failpoint(name)` does nothing unless the variable names it. Then it fails the first `times` that
any process passes it: `kill` ends the process with SIGKILL, `raise` raises. Each time is claimed by
creating `<path>.<n>`, which only one process can do, and which proves to the test that it fired.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

VARIABLE = "IMPRESSIONS_FAILPOINT"


class InjectedFailure(Exception):
    """What a failpoint raises; no error of ours, so that nothing handles it."""


def failpoint(name: str) -> None:
    """Fails here if the environment says so."""
    if switch := os.environ.get(VARIABLE):
        chosen, action, times, path = switch.split(":", 3)
        if chosen == name and _claim(Path(path), int(times)):
            _fail(name, action)


def hits(path: Path) -> int:
    """How many times the failpoint with this path has fired."""
    return len(list(path.parent.glob(f"{path.name}.*")))


def _claim(path: Path, times: int) -> bool:
    for n in range(times):
        try:
            path.with_name(f"{path.name}.{n}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _fail(name: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise InjectedFailure(f"failpoint {name}")
