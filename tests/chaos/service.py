"""One process of the system: started again when it ends, killed and paused by its own pid.

What it prints goes to a file. `Keeper` is what systemd or Kubernetes would be: whoever ends while
it should run is started again after a moment, and how it ended is remembered.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.clocks import SteppedClock

_LOOK_S = 0.05
_PAUSE_S = 0.3


@dataclass
class Service:
    """`impressions <words>` in `directory`, with a clock of its own."""

    name: str
    words: tuple[str, ...]
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    wanted: bool = False

    def start(self) -> None:
        """Start it; `environment` is that of this start and all after it."""
        log = self.directory / "logs" / f"{self.name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "impressions.cli.main", *self.words],
                cwd=self.directory,
                env={**os.environ, **self.clock.environment, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.wanted = True

    @property
    def clock(self) -> SteppedClock:
        return SteppedClock(self.directory / "clock" / self.name)

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """kill -9, and see it dead; the keeper starts it again."""
        self.process.kill()
        self.process.wait(20)

    def hold_down(self) -> None:
        """kill -9, and not started again before `start`."""
        self.wanted = False
        self.kill()

    def stop(self, within_s: float = 40) -> int:
        """SIGTERM, and how it ended; not started again before `start`."""
        self.wanted = False
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Keeper:
    """Starts services again that have ended."""

    def __init__(self) -> None:
        self.services: list[Service] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def add(self, service: Service) -> Service:
        service.start()
        self.services.append(service)
        return service

    def close(self) -> dict[str, int]:
        """Stop everything, the last first; how each ended."""
        self._stop.set()
        self._thread.join()
        return {service.name: service.stop() for service in reversed(self.services)}

    def _keep(self) -> None:
        while not self._stop.wait(_LOOK_S):
            for service in self.services:
                if service.wanted and (code := service.process.poll()) is not None:
                    service.ends.append(code)
                    time.sleep(_PAUSE_S)
                    if service.wanted:
                        service.start()
