"""A clock that is stepped, of one process and its children, while it runs.

tests/chaos/clock/sitecustomize.py is what makes it wrong. By how much it may be: a minute is a bad
time server, an hour a wrong time zone, days to a year a host whose battery is empty.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SITE = Path(__file__).with_name("clock")
_DAY_S = 86_400
STEPS_S = (60, 3_600, _DAY_S, 3 * _DAY_S, 30 * _DAY_S, 365 * _DAY_S)


@dataclass(frozen=True)
class SteppedClock:
    """Whoever is started with `environment` reads the time of `file`; right while there is none."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        self.file.parent.mkdir(exist_ok=True)
        path = os.pathsep.join([str(_SITE), os.environ.get("PYTHONPATH", "")])
        return {"PYTHONPATH": path, "CHAOS_CLOCK": str(self.file)}

    @contextlib.contextmanager
    def wrong_by(self, seconds: int) -> Iterator[None]:
        """Off by so much inside, right again after it."""
        for old in self.file.parent.glob(f"{self.file.name}.seen.*"):
            old.unlink()
        self._step(seconds)
        try:
            yield
        finally:
            self._step(0)

    def has_been_read(self) -> bool:
        """Whether a process has read the wrong time: the proof that it was one."""
        return any(self.file.parent.glob(f"{self.file.name}.seen.*"))

    def _step(self, seconds: int) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.file)


def drawn_step_s(pick: random.Random) -> int:
    """How wrong, in seconds, ahead or back."""
    return pick.choice(STEPS_S) * pick.choice((-1, 1))


def spelled(seconds: int) -> str:
    """As a person reads it: `+30 d`, `-60 s`."""
    return f"{seconds // _DAY_S:+} d" if abs(seconds) >= _DAY_S else f"{seconds:+} s"
