"""The whole system left running on one machine, for somebody who wants to play.

    up      broker -> topics -> worker -> server (with its follower) -> lander, if asked for
    down    lander -> server -> worker -> broker: readers before what they read

    <home>/dev/settings.toml    the settings that all of them were started with
    <home>/dev/<name>.pid,.log  each process (impressions/local/detached.py)
    <home>/dev/broker           pid of the broker, if it was started here

`up` starts what does not run, so a second one changes nothing and one after a crash starts again
what died. `down` stops what `up` started and nothing else: a broker that was there before stays.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from impressions.clock import monotonic_s
from impressions.core.errors import ImpressionsError, NotReady, ServiceError
from impressions.kafka import topics
from impressions.local.broker import Broker
from impressions.local.detached import Detached, last_line
from impressions.local.pid_file import AlreadyRuns, PidFile, write_pid
from impressions.local.settings_file import without_settings, write_settings
from impressions.process.registry import forget, running
from impressions.settings.model import Settings
from impressions.status.serving import describe

State = Literal[
    "started", "started again", "already runs", "stopped", "killed", "had died", "does not run"
]

_POLL_S = 0.1


@dataclass(frozen=True)
class Part:
    """One process after `up` or `down`.

    Attributes:
        last_line: of the log of one that died since the last `up`; else None.
    """

    name: str
    state: State
    pid: int | None = None
    address: str | None = None
    metrics: str | None = None
    log: str | None = None
    last_line: str | None = None


@dataclass(frozen=True)
class Program:
    """What a process is.

    Attributes:
        kind: its name in the list of running processes, where it appears once it works.
        start_s, stop_s: how long that may take; a lander finishes its round.
    """

    name: str
    module: str
    kind: str
    start_s: float
    stop_s: float


WORKER = Program("worker", "speed", "speed", 60, 30)
SERVER = Program("server", "serving", "serve", 60, 30)
LANDER = Program("lander", "batch.land", "land", 180, 180)


class Dev:
    """The processes of one `home`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dir = settings.home_dir / "dev"
        self.settings_file = self.dir / "settings.toml"
        self._broker = Broker(settings)
        self._broker_mark = self.dir / "broker"

    def up(self, land_every: str | None = None) -> list[Part]:
        """Starts what does not run and waits until each works.

        Raises:
            ServiceError: one ended or did not come up in time; the message holds its last line.
                The others are left running.
        """
        with self._alone():
            parts = [self._broker_up()]
            topics.create(self.settings)
            write_settings(self.settings, self.settings_file)
            parts.append(self._start(WORKER))
            parts.append(self._start(SERVER, answers=self._answers))
            if land_every is not None or self._place(LANDER).pid:
                parts.append(self._start(LANDER, "--every", land_every or ""))
            elif died := self._place(LANDER).died():  # how often it ran is not known any more
                parts.append(Part(LANDER.name, "had died", last_line=died))
            return parts

    def down(self) -> list[Part]:
        """Stops what `up` started, by force where it does not end in time. Data stay."""
        with self._alone():
            programs = (LANDER, SERVER, WORKER)
            parts = [self._stop(program) for program in programs]
            forget(self.settings, *(program.kind for program in programs), "follower")
            parts.append(self._broker_down())
            return [p for p in parts if p.name != LANDER.name or p.state != "does not run"]

    def _place(self, program: Program) -> Detached:
        return Detached(self.dir, program.name)

    def _start(
        self, program: Program, *words: str, answers: Callable[[str], bool] = lambda _: True
    ) -> Part:
        place = self._place(program)
        died, pid = place.died(), place.pid
        state: State = "already runs" if pid else "started again" if died else "started"
        if not pid:
            config = ("--config", str(self.settings_file), "--json")
            command = [sys.executable, "-m", program.module, *config, *words]
            pid = place.start(command, without_settings(os.environ))
        part = Part(program.name, state, pid, log=str(place.log_file), last_line=died)
        return self._await(part, program, answers)

    def _await(self, part: Part, program: Program, answers: Callable[[str], bool]) -> Part:
        """The part with its addresses, once it is in the list of running processes and answers."""
        deadline_s, place = monotonic_s() + program.start_s, self._place(program)
        while True:
            ended = place.pid != part.pid
            listed = [
                e for e in running(self.settings) if (e.pid, e.kind) == (part.pid, program.kind)
            ]
            if listed and not ended and answers(listed[0].address or ""):
                return replace(part, address=listed[0].address, metrics=listed[0].metrics)
            if ended or monotonic_s() > deadline_s:
                what = "ended at its start" if ended else f"is not up after {program.start_s:.0f} s"
                raise ServiceError(
                    f"{program.name} {what}: {last_line(place.log_file)}",
                    hint=f"all it said is in {place.log_file}; impressions dev down stops the rest",
                    reason="dev_start",
                )
            time.sleep(_POLL_S)

    def _answers(self, address: str) -> bool:
        """Whether the server answers and the stream has reached it in every shard."""
        with contextlib.suppress(ImpressionsError):
            described = describe(self.settings, address, timeout_s=1)
            return described.stream_through_ms is not None or self.settings.serving.deltas == "off"
        return False

    def _stop(self, program: Program) -> Part:
        place = self._place(program)
        pid, died = place.pid, place.died()
        part = Part(program.name, "does not run", pid, log=str(place.log_file), last_line=died)
        if died is not None:
            place.forget()
            return replace(part, state="had died")
        if pid is None:
            return part
        return replace(part, state="stopped" if place.stop(program.stop_s) else "killed")

    def _broker_up(self) -> Part:
        """A broker that is configured is somebody else's: neither started nor stopped here."""
        configured = self.settings.kafka.bootstrap
        if configured:
            return Part("broker", "already runs", address=configured)
        died = self._broker_died()
        found, started = self._broker.start()
        if started:
            self.dir.mkdir(parents=True, exist_ok=True)
            self._broker_mark.write_text(f"{found.pid}\n")
        return Part(
            "broker",
            "already runs" if not started else "started again" if died else "started",
            found.pid,
            found.bootstrap,
            log=str(self._broker.log_file),
            last_line=died,
        )

    def _broker_down(self) -> Part:
        found, died = self._broker.running(), self._broker_died()
        part = Part("broker", "does not run", log=str(self._broker.log_file), last_line=died)
        if found is not None and found.pid == self._marked():
            self._broker.stop()
            part = replace(part, state="stopped", pid=found.pid)
        elif found is not None:
            return replace(part, state="already runs", pid=found.pid, address=found.bootstrap)
        elif died is not None:
            part = replace(part, state="had died")
            self._broker.stop()  # takes back the address it left
        self._broker_mark.unlink(missing_ok=True)
        return part

    def _broker_died(self) -> str | None:
        """The last line of one started here that runs no more."""
        if self._marked() is None or self._broker.running() is not None:
            return None
        return last_line(self._broker.log_file)

    def _marked(self) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(self._broker_mark.read_text())
        return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One `up` or `down` at a time."""
        try:
            claim = PidFile(self.dir / "lock").claim()
        except AlreadyRuns:
            raise NotReady(
                f"another `impressions dev` is at work in {self.dir}",
                hint="wait for it",
                reason="busy",
            ) from None
        with claim:
            write_pid(claim, os.getpid())
            yield
