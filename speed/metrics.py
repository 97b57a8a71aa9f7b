"""The worker's metrics for Prometheus: names and units of docs/monitoring.md.

Lag is in seconds of ingest time as well as in offsets; a partition that stands still shows in
`progress_offset` beside `end_offset`, though the process is up. No profile or title is a label.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from impressions.formats.heartbeat import Heartbeat
from speed.applying.flush import Flush

_OUTCOMES = ("applied", "duplicate", "rejected")


class Metrics:
    """The worker's own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._make_counters(self.registry)
        self._make_gauges(self.registry)
        self._make_histograms(self.registry)

    def _make_counters(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "impressions_events",
            "Impressions by what became of them; they add up to those read.",
            ["layer", "outcome"],
            registry=registry,
        )
        self._rejected = Counter(
            "impressions_rejected", "Rejected impressions.", ["reason"], registry=registry
        )
        self._replayed = Counter(
            "impressions_replayed", "Impressions read again and skipped.", registry=registry
        )
        self._republished = Counter(
            "impressions_older_blocks",
            "Blocks of a former owner that were overwritten.",
            registry=registry,
        )
        self._passed_over = Counter(
            "impressions_passed_over_records",
            "Records without the broker's time that --accept-loss passed over.",
            registry=registry,
        )
        for outcome in _OUTCOMES:
            self._events.labels("speed", outcome)

    def _make_gauges(self, registry: CollectorRegistry) -> None:
        self._lag = Gauge(
            "impressions_speed_watermark_lag_seconds",
            "Now less the ingest time up to which everything is published.",
            ["partition"],
            registry=registry,
        )
        self._offset = Gauge(
            "impressions_progress_offset",
            "Last source offset applied.",
            ["partition"],
            registry=registry,
        )
        self._end = Gauge(
            "impressions_source_end_offset",
            "Offset after the last record of the source.",
            ["partition"],
            registry=registry,
        )

    def _make_histograms(self, registry: CollectorRegistry) -> None:
        self._flush = Histogram(
            "impressions_flush_seconds", "Applying and publishing one batch.", registry=registry
        )
        self._delay = Histogram(
            "impressions_speed_delay_seconds",
            "From a record's append to its block's publication.",
            registry=registry,
        )

    def assigned(self, partitions: Iterable[int]) -> None:
        """Forget the partitions of others."""
        for gauge in (self._lag, self._offset, self._end):
            gauge.clear()

    def flushed(self, partition: int, flush: Flush, seconds: float, delay_ms: int) -> None:
        for outcome in _OUTCOMES:
            self._events.labels("speed", outcome).inc(flush.counts[outcome])
        self._replayed.inc(flush.counts["replayed"])
        for reason, count in flush.rejected.items():
            self._rejected.labels(reason).inc(count)
        self._offset.labels(partition).set(flush.heartbeat.offset)
        self._flush.observe(seconds)
        self._delay.observe(max(0, delay_ms) / 1000)

    def seen(self, partition: int, heartbeat: Heartbeat, end_offset: int, now_ms: int) -> None:
        self._lag.labels(partition).set(max(0, now_ms - max(heartbeat.through_ms, 0)) / 1000)
        self._offset.labels(partition).set(heartbeat.offset)
        self._end.labels(partition).set(end_offset)

    def passed_over(self, records: int) -> None:
        self._passed_over.inc(records)

    def republished(self) -> None:
        self._republished.inc()
