"""`python -m tests.chaos.stepped <name> <words>`: `impressions <words>` with a clock that steps.

The clock is off by the number of seconds in the file `clock/<name>`, read anew each time somebody
asks; without that file it is right. What is stepped is `time.time` and `time.time_ns` of this
process, whoever asks, Faust and gRPC's Python included; durations (monotonic) go on as they do when
an administrator sets a clock.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

_true_ns = time.time_ns


def step(directory: Path, name: str, seconds: float) -> None:
    """From now on the clock of this service is off by so much."""
    file = directory / "clock" / name
    file.parent.mkdir(exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)


def _install(file: Path) -> None:
    def offset_ns() -> int:
        try:
            return round(float(file.read_text()) * 1e9)
        except FileNotFoundError:
            return 0

    time.time_ns = lambda: _true_ns() + offset_ns()
    time.time = lambda: (_true_ns() + offset_ns()) / 1e9


if __name__ == "__main__":
    _, name, *words = sys.argv
    _install(Path("clock") / name)
    from cli.main import build_app
    from impressions.shell.command import main

    sys.exit(main(build_app(), words, prog="impressions"))
