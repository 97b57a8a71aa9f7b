"""The follower of a serving host: `python -m impressions.deltas.process`, started by its server.

One process per host directory writes the copy of the deltas: the one that holds RocksDB's lock.
Another server on the same directory starts a follower too: it stands by, and takes over when the
first one is gone. Readers see no difference.

    python -m impressions.deltas.process             a child (impressions/process/child.py)
    python -m impressions.deltas --set ...           the same on its own, until SIGTERM

A copy that turns out to be damaged is deleted and made again from the topic: it holds nothing of
its own. Every pass over expired slots reads all of it.

Ends with an error if waiting does not help (another P, another spec) or if the store must be opened
again (a full disk); its parent starts it again, after growing pauses.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from impressions.clock import now_ms
from impressions.core.errors import CorruptData, ImpressionsError, Refused
from impressions.deltas.follower import Follower
from impressions.deltas.news import tell_all
from impressions.deltas.store import DeltaStore, news_dir, open_primary, store_dir
from impressions.formats import heartbeat
from impressions.process import child, lifetime, metrics
from impressions.process import registry as running
from impressions.process.command import report
from impressions.process.stop_signal import END, stopping_on
from impressions.settings.model import Settings
from impressions.terminal import log

_POLL_S = 0.1
_STANDBY_S = 0.5


def main() -> int:
    """The exit code of a child."""
    with stopping_on(*END) as stopping:
        message = child.received()
        if message is None:
            return 0
        child.stop_with_parent(stopping)
        log.configure(process="follower")
        try:
            follow(Settings(**message["settings"]), stopping, message["metrics_listen"])
        except ImpressionsError as error:
            return report(error, as_json=False)
    return 0


def follow(settings: Settings, stopping: threading.Event, metrics_listen: str) -> None:
    """Keep this host's copy of the deltas, or stand by, until `stopping` is set.

    Raises:
        Refused, NotReady, ServiceError: see the module's docstring.
    """
    path = store_dir(settings)
    while not stopping.is_set():
        try:
            store = _open(path, stopping)
            if store is not None:
                _follow_with(store, settings, stopping, metrics_listen)
        except CorruptData as error:
            log.warning("copy-damaged", because=error.message, cause=error.__cause__)
            shutil.rmtree(_set_aside(path), ignore_errors=True)


def _follow_with(
    store: DeltaStore, settings: Settings, stopping: threading.Event, metrics_listen: str
) -> None:
    follower: Follower | None = None
    try:
        follower = Follower(settings, store, settings.host_shards, now_ms)
        counted = FollowerMetrics(follower)
        with (
            metrics.serve(counted.registry, metrics_listen) as address,
            running.registered(settings, "follower", metrics=address),
        ):
            while not stopping.is_set():
                records = follower.poll(_POLL_S)
                if records:
                    tell_all(news_dir(settings))
                counted.records.inc(records)
    finally:
        if follower is not None:
            follower.close()
        store.close()


def _open(path: Path, stopping: threading.Event) -> DeltaStore | None:
    """The store, once no other process writes it; None if asked to stop before."""
    standing_by = False
    while not stopping.is_set():
        try:
            return open_primary(path)
        except Refused:
            if not standing_by:
                standing_by = True
                log.info("standby", store=path)
            stopping.wait(_STANDBY_S)
    return None


def _set_aside(path: Path) -> Path:
    """Rename the copy; readers see that it is gone, and then another one. Returns its new path."""
    aside = path.with_name(f"{path.name}.damaged.{os.getpid()}")
    path.rename(aside)
    return aside


class FollowerMetrics(metrics.OnDemand):
    """How far the copy has come, partition by partition; computed when asked for."""

    def __init__(self, follower: Follower):
        self._follower = follower
        self.registry = CollectorRegistry()
        self.records = Counter(
            "impressions_follower_records",
            "Records of the delta topic read.",
            registry=self.registry,
        )
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        lag, offset, restoring = (
            GaugeMetricFamily(f"impressions_follower_{name}", text, labels=["partition"])
            for name, text in (
                ("lag_seconds", "Now minus the ingest time that the copy is complete through."),
                ("next_offset", "The next record of the delta topic to read."),
                ("restoring", "1 while the copy has not reached its first end."),
            )
        )
        now = now_ms()
        for partition, state in self._follower.states.items():
            label = [str(partition)]
            offset.add_metric(label, state.next_offset)
            restoring.add_metric(label, state.restoring)
            if state.heartbeat is not None:
                through_ms = heartbeat.decode(state.heartbeat, self._follower.spec).through_ms
                lag.add_metric(label, (now - through_ms) / 1000)
        yield from (lag, offset, restoring)


if __name__ == "__main__":
    lifetime.begin(service=True)
    lifetime.leave(main())
