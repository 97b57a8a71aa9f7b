"""The metrics of a server process.

Counted while requests run: calls by method and code, seconds of reading and of merging, unreadable
blocks. Computed only when /metrics is read, so that requests do not pay for it: which generation is
served, how old it is, what its activation compared, how stale the view of the deltas is, and for
how many shards an answer at this moment would be flagged, by reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from impressions.core.completeness import Incomplete
from impressions.formats.seam_record import SeamRecord
from serving.self_report import SelfReport

CountCode = Callable[[grpc.StatusCode], None]
"""Counts one request by the code it got."""

_READ_BUCKETS_S = (
    5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.5
)  # fmt: skip


class ServerMetrics:
    """The metrics of one server.

    Attributes:
        registry: all of them, for /metrics.
        calls: by method and gRPC code.
        store_get_s, merge_s: per profile.
        corruption: profiles that could not be answered because of damaged data.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "impressions_requests",
            "Calls answered, by method and gRPC code; one per request of a stream.",
            ["method", "code"],
            registry=self.registry,
        )
        self.store_get_s = Histogram(
            "impressions_store_get_seconds",
            "Reading and decoding what is stored of one profile: generation and deltas.",
            buckets=_READ_BUCKETS_S,
            registry=self.registry,
        )
        self.merge_s = Histogram(
            "impressions_merge_seconds",
            "Merging one profile's generation and deltas.",
            buckets=_READ_BUCKETS_S,
            registry=self.registry,
        )
        self.corruption = Counter(
            "impressions_corruption",
            "Profiles asked for whose stored data cannot be read.",
            registry=self.registry,
        )

    def counter_of(self, method: str) -> CountCode:
        """The function that counts the calls of one method."""
        known: dict[grpc.StatusCode, Counter] = {}

        def count(code: grpc.StatusCode) -> None:
            if code not in known:
                known[code] = self.calls.labels(method, code.name)
            known[code].inc()

        return count

    def describe(
        self, report: Callable[[], SelfReport], staleness_s: Callable[[], float] | None
    ) -> None:
        """Add the metrics that are computed on request; `staleness_s` is None without a stream."""
        self.registry.register(_OnRequest(report, staleness_s))


class _OnRequest(Collector):
    def __init__(self, report: Callable[[], SelfReport], staleness_s: Callable[[], float] | None):
        self._report, self._staleness_s = report, staleness_s

    def describe(self) -> list[Metric]:
        """Nothing in advance: there may be no generation yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        report = self._report()
        generation = report.generation
        if generation is not None:
            info = GaugeMetricFamily(
                "impressions_generation_info", "What is served.", labels=["id", "cutover"]
            )
            info.add_metric([generation.name, str(generation.cutover_ms)], 1)
            yield info
            yield GaugeMetricFamily(
                "impressions_batch_age_seconds",
                "Since the cutover of what is served.",
                value=(report.at_ms - generation.cutover_ms) / 1000,
            )
            if generation.seam is not None:
                yield _compared(generation.seam)
        incomplete = GaugeMetricFamily(
            "impressions_incomplete",
            "Shards of which an answer for now is flagged, by reason.",
            labels=["reason"],
        )
        flagged = [reason for shard in report.shards.values() for reason in shard.reasons]
        for reason in Incomplete:
            incomplete.add_metric([reason.value], flagged.count(reason))
        yield incomplete
        if self._staleness_s is not None:
            yield GaugeMetricFamily(
                "impressions_secondary_staleness_seconds",
                "Since this process last saw what the follower has written.",
                value=self._staleness_s(),
            )


def _compared(seam: SeamRecord) -> Metric:
    """What the activation of the served generation found (impressions/formats/seam_record.py)."""
    profiles = GaugeMetricFamily(
        "impressions_seam_profiles",
        "Profiles that activate compared between what is served and the generation before.",
        labels=["outcome"],
    )
    profiles.add_metric(["alike"], seam.compared - seam.differing)
    profiles.add_metric(["differing"], seam.differing)
    profiles.add_metric(["not_compared"], seam.planned - seam.compared)
    return profiles
