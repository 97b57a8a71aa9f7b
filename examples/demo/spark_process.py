"""A process that keeps one Spark session and runs batch verbs in it, one at a time.

A verb by itself starts a JVM, which takes ten seconds and runs cold. A scheduler that submits to a
cluster does not pay for that each time, and neither does the demo: `SparkProcess` is the end that
asks, `python -m <this module>` in the demo's directory the one that runs. It starts while Kafka
does. The verbs are the same, with the same command lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_END_S = 30


class SparkProcess:
    """Starts at once; `run` waits until Spark is there."""

    def __init__(self, directory: Path, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            )

    def run(self, words: tuple[str, ...], out: Path, err: Path) -> int | None:
        """The exit code of `impressions <words>`; None if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([words, str(out), str(err)]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self._process.stdout.readline()
        return int(line) if line else None

    def stop(self) -> None:
        """Ends it and its JVM."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)


def main() -> None:
    """Verbs from standard input, exit codes to standard output, all else to files."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from batch.spark.session import spark_session
    from impressions.cli.main import build_app
    from impressions.process.command import main as run_app
    from impressions.settings.model import load

    spark = spark_session(load(Path("impressions.toml"), []), "demo")
    for line in sys.stdin:
        words, out, err = json.loads(line)
        for path, descriptor in ((out, 1), (err, 2)):
            with open(path, "wb") as file:
                os.dup2(file.fileno(), descriptor)
        code = run_app(build_app(), words, prog="impressions")
        sys.stdout.flush()
        sys.stderr.flush()
        print(code, file=answers)
    spark.stop()


if __name__ == "__main__":
    main()
