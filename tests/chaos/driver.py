"""A process that keeps a Spark session warm and runs batch verbs in it, one at a time.

A verb by itself starts a JVM, some ten seconds; a chaos run has hundreds. `Driver` is the end that
asks; `python -m tests.chaos.driver` the one that runs. Killed like any other, driver or JVM. Its
Python has a clock of its own (tests/chaos/clocks.py); the JVM's is the machine's.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from impressions.settings import model as settings_module
from tests.chaos.clocks import SteppedClock


class DriverDied(Exception):
    """It ended before the verb did."""


class Driver:
    """The process; started when first needed, again after it has died."""

    def __init__(self, directory: Path):
        self._directory = directory
        self.clock = SteppedClock(directory / "clock" / "driver")
        self._process: subprocess.Popen[str] | None = None

    def run(self, *words: str) -> int:
        """The exit code of `impressions <words>`. Raises DriverDied."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.kill()
            raise DriverDied(" ".join(words))
        return int(line)

    def warm(self) -> None:
        self._running()

    def kill(self) -> None:
        """kill -9 of driver and JVM, as far as they live."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
            self._process = None

    def kill_python(self) -> None:
        """kill -9 of the driver's Python; the JVM is to end by itself."""
        if self._process is not None:
            self._process.kill()

    def kill_jvm(self) -> int:
        """kill -9 of the JVM below it; how many there were."""
        killed = 0
        if self._process is not None:
            for pid in _children(self._process.pid):
                if "java" in Path(f"/proc/{pid}/exe").resolve().name:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        return killed

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
                raise DriverDied("starting Spark")
        return self._process


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Verbs from standard input, exit codes to standard output, all else to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from batch.spark.session import spark_session
    from impressions.cli.main import build_app
    from impressions.process.command import main as run_app

    spark_session(settings_module.load(Path("impressions.toml"), []), "chaos")
    print("ready", file=answers)
    for line in sys.stdin:
        words = json.loads(line)
        print(f"$ impressions {' '.join(words)}", file=sys.stderr, flush=True)
        print(run_app(build_app(), words, prog="impressions"), file=answers)


if __name__ == "__main__":
    main()
