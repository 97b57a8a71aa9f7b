"""A look at everything every minute, and what it found at /metrics, until asked to stop.

A scrape asks nobody: it shows the last look, with ages of now. A question that hangs is not asked a
second time before it has ended, so that a broker that is away costs one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from impressions.clock import Clock, monotonic_s
from impressions.exporter.events import EventCounts
from impressions.exporter.families import families
from impressions.process import metrics, registry
from impressions.process.stop_signal import END, stopping_on
from impressions.settings.model import Settings
from impressions.status.jobs import history_of
from impressions.status.questions import Unknown, ask_all
from impressions.status.report import TIMEOUT_S, Status, look
from impressions.terminal import log


class Exporter(metrics.OnDemand):
    """The last look, and the registry that shows it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.registry = CollectorRegistry()
        self.status: Status | None = None
        self.events = EventCounts()
        self._settings, self._clock = settings, clock
        self._unfinished: dict[str, threading.Thread] = {}
        self.registry.register(self)

    def look(self, timeout_s: float = TIMEOUT_S) -> Status:
        """Asks everything again; what is bad now, or no more, is a line in the log."""
        before = _bad(self.status)
        status = look(self._settings, self._clock, timeout_s, self._unfinished)
        runs = ask_all(
            {"runs": history_of(self._settings).runs_of_all}, timeout_s, self._unfinished
        )["runs"]
        if not isinstance(runs, Unknown):
            self.events.add(runs)
        self.status = status
        after = _bad(status)
        for name in sorted(after.keys() - before.keys()):
            log.warning("stage-bad", stage=name, why=after[name])
        for name in sorted(before.keys() - after.keys()):
            log.info("stage-well", stage=name)
        return status

    def collect(self) -> Iterator[Metric]:
        if self.status is not None:
            yield from families(self.status, self._settings, self.events.by_kind, self._clock())


def serve(settings: Settings, clock: Clock, started: Callable[[str], object]) -> None:
    """Until SIGTERM or Ctrl-C. `started` gets the address, after the first look."""
    log.configure(process="exporter")
    own = Exporter(settings, clock)
    own.look()
    with (
        stopping_on(*END) as stopping,
        metrics.serve(own.registry, settings.exporter.metrics_listen) as address,
        registry.registered(settings, "exporter", metrics=address),
    ):
        started(address)
        began_s = monotonic_s()
        while not stopping.wait(max(0.0, began_s + settings.exporter.every_s - monotonic_s())):
            began_s = monotonic_s()
            own.look()


def _bad(status: Status | None) -> dict[str, str]:
    """Stage -> the first thing that is wrong with it."""
    stages = () if status is None else status.stages
    return {
        stage.name: stage.problems[0][0] if stage.problems else stage.line
        for stage in stages if stage.state == "bad"
    }  # fmt: skip
