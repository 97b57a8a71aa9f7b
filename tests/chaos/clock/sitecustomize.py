"""A clock that steps, in every Python process of a service, its children included.

Python imports this file by itself, because its directory is on the service's path. The clock is
off by the seconds in the file that CHAOS_CLOCK names, read each time somebody asks; without it the
clock is right. What steps is `time.time` and `time.time_ns`; durations (monotonic) go on, as
they do when an administrator sets a clock. A process that has read a wrong time says so in a file
beside it, `<file>.seen.<pid>`: the proof that the fault was one.
"""

import os
import time
from pathlib import Path

_true_ns = time.time_ns


def _install(file: Path) -> None:
    seen = file.with_name(f"{file.name}.seen.{os.getpid()}")

    def offset_ns() -> int:
        try:
            offset = float(file.read_text())
        except FileNotFoundError:
            return 0
        if offset and not seen.exists():
            seen.touch()
        return round(offset * 1e9)

    time.time_ns = lambda: _true_ns() + offset_ns()
    time.time = lambda: (_true_ns() + offset_ns()) / 1e9


if "CHAOS_CLOCK" in os.environ:
    _install(Path(os.environ["CHAOS_CLOCK"]))
