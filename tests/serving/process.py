"""Server processes under test: `python -m serving`, its log, its end."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time


class Process:
    """`python -m serving` on a host's data; logs into a file, at debug unless asked otherwise."""

    def __init__(
        self, settings, tmp_path, *flags: str, debug: bool = True, descriptors: int | None = None
    ):
        """`descriptors`: how many it and its children may have; None = as this process."""
        self.log_path = tmp_path / f"log.{time.monotonic_ns()}"
        arguments = [f"home={settings.home}", "serving.poll_s=0.05", "serving.grace_s=5"]
        sets = [text for pair in arguments for text in ("--set", pair)]
        limited = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"] if descriptors else []
        with self.log_path.open("wb") as log:
            self.popen = subprocess.Popen(
                [*limited, sys.executable, "-m", "serving", "--json", *sets, *flags],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "IMPRESSIONS_DEBUG": "1" if debug else ""},
            )
        line = self.popen.stdout.readline()
        self.address = json.loads(line).get("address") if line else None

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def worker_pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"\d+", re.search(r'pids="(.*?)"', self.log)[1])]

    def stop(self, signum=signal.SIGTERM) -> int:
        self.popen.send_signal(signum)
        return self.popen.wait(60)


def end(process: Process) -> None:
    if process.popen.poll() is None:
        process.popen.terminate()
        process.popen.wait(60)
    process.popen.stdout.close()


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False
