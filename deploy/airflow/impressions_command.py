"""Runs one `impressions` command for a scheduler, and says whether a failure may be tried again.

In: the words of a command line. Out: its exit code and the JSON document that it printed. Needs
nothing but the standard library: the command is a process of its own, with the Python and the
packages of Impressions, so what the scheduler has installed does not matter.

Every command may be run again after a kill or a failure (it finishes the work or starts it
cleanly), so a retry needs no clean-up.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

RETRIED = {
    1: "unexpected",
    5: "too early",
    8: "the server's answer",
    130: "interrupted",
    137: "killed",
    143: "terminated",
    255: "ssh could not connect",
}
FINAL = {
    2: "usage",
    3: "something to install",
    4: "corrupt data",
    6: "audit failed",
    7: "refused",
    126: "the command cannot be executed",
    127: "no such command",
}
_DOWNLOAD = "jar_download"  # the one reason of exit code 3 that time may mend
_NOT_PASSED_ON = ("AIRFLOW", "_AIRFLOW", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code; negative: the signal that killed it.
        document: what it printed with --json; of a failure `reason`, `message`, `hint`. Empty if it
            printed none.
    """

    code: int
    document: dict[str, Any]

    @property
    def is_retried(self) -> bool:
        """Whether the same command may succeed later without anybody's help. A code that nobody
        knows is no proof of anything: it is not retried."""
        if self.code < 0 or self.code in RETRIED:
            return True
        return self.code == 3 and self.document.get("reason") == _DOWNLOAD

    def __str__(self) -> str:
        """One line: code, meaning, and what the command said about it."""
        meaning = "signal" if self.code < 0 else (RETRIED | FINAL).get(self.code, "unknown")
        said = [self.document[key] for key in ("message", "hint") if self.document.get(key)]
        return "; ".join([f"exit code {self.code} ({meaning})", *map(str, said)])


class Running:
    """A command that can be stopped from another place while `wait` reads what it says."""

    def __init__(self, words: Sequence[str], directory: str | None) -> None:
        """Starts it. Raises OSError where there is no such program or directory."""
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 (wait closes it)
        self._process = subprocess.Popen(
            list(words),
            cwd=directory,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )

    def wait(self, say: Callable[[str], None]) -> Ended:
        """Passes each line of stderr to `say` as it comes; returns when the command has ended."""
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                say(line.rstrip())
        code = self._process.wait()
        with self._printed as printed:
            printed.seek(0)
            return Ended(code, _document(printed.read()))

    def stop(self) -> None:
        """SIGTERM to the command and all that it started, a JVM too."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)


def _environment() -> dict[str, str]:
    """The scheduler's, less what would lead the command to other packages or show it secrets."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_NOT_PASSED_ON)}


def _document(printed: bytes) -> dict[str, Any]:
    """The last line that is a JSON object; {} if there is none."""
    for line in reversed(printed.decode("utf-8", "replace").splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}
