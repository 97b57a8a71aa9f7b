"""A process that has everything imported and runs batch verbs, one at a time.

A verb by itself takes seconds to start; a chaos run has hundreds. `Driver` is the end that asks;
`python -m tests.chaos.driver` the one that runs. Killed like any other. It has a clock of its own
(tests/chaos/clocks.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.chaos.clocks import SteppedClock


class DriverDied(Exception):
    """It ended before the verb did."""


class Driver:
    """The process; started when first needed, again after it has died."""

    def __init__(self, directory: Path):
        self._directory = directory
        self.clock = SteppedClock(directory / "clock" / "driver")
        self._process: subprocess.Popen[str] | None = None
        self._verb: str | None = None

    def run(self, *words: str) -> int:
        """The exit code of `impressions <words>`. Raises DriverDied."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        self._verb = words[0]
        try:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        self._verb = None
        if not line:
            self.kill()
            raise DriverDied(" ".join(words))
        return int(line)

    def warm(self) -> None:
        self._running()

    def kill(self) -> str | None:
        """kill -9; the verb that was under way."""
        verb, process = self._verb, self._process
        if process is not None:
            process.kill()
            process.wait(20)
        return verb

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            with (self._directory / "logs" / "driver.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.chaos.driver"],
                    cwd=self._directory,
                    env={**os.environ, **self.clock.environment},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
            assert self._process.stdout is not None
            if self._process.stdout.readline() != "ready\n":
                self.kill()
                raise DriverDied("starting")
        return self._process


def main() -> None:
    """Verbs from standard input, exit codes to standard output, all else to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import batch.compact  # noqa: F401 (what takes long to import)
    from impressions.cli.main import build_app
    from impressions.process.command import main as run_app

    print("ready", file=answers)
    for line in sys.stdin:
        words = json.loads(line)
        print(f"$ impressions {' '.join(words)}", file=sys.stderr, flush=True)
        print(run_app(build_app(), words, prog="impressions"), file=answers)


if __name__ == "__main__":
    main()
