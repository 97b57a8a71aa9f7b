"""A small real system for the browser: broker, worker, server, imported days, a generation.

    with System(home, bootstrap) as system:
        system.console("--show-profile-ids")     the address of a console process

Days of events are imported to the end of yesterday, with one fault, so that quality has a finding.
The generation is made of events of the oracle's kind, so that what is drawn can be compared. Then
live events go through the topic to the answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from impressions.clock import now_ms
from impressions.core.spec import DAY_MS
from impressions.local.dev import Dev
from impressions.producer import Impression, Log, Producer
from impressions.settings.model import Settings
from tests.generations import random_events
from tests.lake.rows import bring_in
from tests.quality import faults
from tests.quality.lake import MAPPING, files_in
from tests.quality.traffic import FIRST_DAY
from tests.serving.support import install

SEED, DAYS, FAULT_DAYS_AGO = 7, 31, 4
PROFILE = 7
LIVE = ((9, 4), (3, 2))
"""(title, impressions) of what is sent live, for `PROFILE`."""


class System:
    """Ends with its block: every process of it, too."""

    def __init__(self, home: Path, bootstrap: str, **kafka: str):
        self.settings = Settings(
            home=home,
            partitions=8,
            kafka={"bootstrap": bootstrap, **kafka},
            host={"reserve_bytes": 0},
            quality={"min_impressions": 100},
            serving={"listen": "127.0.0.1:0", "max_stream_lag_s": 8},
            console={"environment": "staging eu-1"},
        )
        self.cutover_ms = now_ms() // DAY_MS * DAY_MS
        self.events = random_events(SEED, self.cutover_ms)
        self.sent: list[tuple[int, dict[str, Any], int]] = []
        self._dev, self._ends = Dev(self.settings), contextlib.ExitStack()

    def __enter__(self) -> System:
        self._import_days()
        install(self.settings, self.cutover_ms, self.events)
        self._ends.callback(self._dev.down)
        self.parts = {part.name: part for part in self._dev.up()}
        self._send_live()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    @property
    def server(self) -> str:
        return self.parts["server"].address or ""

    def kill_worker(self) -> None:
        os.kill(self.parts["worker"].pid or 0, signal.SIGKILL)

    def run(self, *words: str) -> int:
        """A command of the product; its exit code."""
        return subprocess.run(
            [*self._command(), *words, "--json"], stdout=subprocess.DEVNULL
        ).returncode

    def _command(self) -> list[str]:
        return [
            sys.executable, "-m", "impressions.cli.main", "--config", str(self._dev.settings_file),
        ]  # fmt: skip

    def console(self, *words: str) -> str:
        """The URL of a console of its own, by the command line."""
        command = [*self._command(), "console", "--listen", "127.0.0.1:0", "--json", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._ends.callback(_end, process)
        assert process.stdout is not None
        url: str = json.loads(process.stdout.readline())["url"]
        return url

    def _import_days(self) -> None:
        last = self.cutover_ms // DAY_MS - 1 - FIRST_DAY
        files = self.settings.home_dir.parent / "files"
        files.mkdir(parents=True)
        days = range(last - DAYS + 1, last + 1)
        bad = {last - FAULT_DAYS_AGO: faults.dwell_times(6)}
        bring_in(self.settings, *files_in(files, days, bad), flags=MAPPING)

    def _send_live(self) -> None:
        at_ms = now_ms()
        with Producer(self.settings) as producer:
            for n, (title, times) in enumerate(LIVE):
                seen = [Impression(title_id=title, event_time_ms=at_ms, location=0)] * times
                producer.send(Log(profile_id=PROFILE, log_id=n + 1, impressions=seen))
        for title, times in LIVE:
            event = {"title": title, "location": 0, "event_ms": at_ms, "played": 0, "dwell_s": 0.0}
            self.sent += [(PROFILE, event, at_ms)] * times


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(30)
    if process.stdout is not None:
        process.stdout.close()
