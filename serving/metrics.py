"""The metrics of a server process.

Counted while requests run: calls by method and code, seconds of reading and of merging, unreadable
blocks. Computed only when /metrics is read, so that requests do not pay for it: which generation is
served, how old it is, what its activation compared, how stale the view of the deltas is, and for
how many shards an answer at this moment would be flagged, by reason.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

import grpc
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from impressions.core.completeness import Incomplete
from impressions.formats.seam_record import SeamRecord
from serving.self_report import SelfReport

CountCode = Callable[[grpc.StatusCode], None]
"""Counts one request by the code it got."""

_READ_BUCKETS_S = (
    5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.5
)  # fmt: skip


class Seconds:
    """How long something took, counted by bucket: a histogram that one thread at a time adds to,
    without a lock, for a tenth of the cost of prometheus' own."""

    def __init__(self) -> None:
        self.counts, self.sum_s = [0] * (len(_READ_BUCKETS_S) + 1), 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_READ_BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


class ReadTimes:
    """What one thread at a time counts of its reads: getting what is stored, and merging."""

    def __init__(self) -> None:
        self.get, self.merge = Seconds(), Seconds()

    def add(self, get_s: float, merge_s: float) -> None:
        """Count one profile."""
        self.get.add(get_s)
        self.merge.add(merge_s)


class ServerMetrics:
    """The metrics of one server.

    Attributes:
        registry: all of them, for /metrics.
        calls: by method and gRPC code.
        corruption: profiles that could not be answered because of damaged data.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._read_times: list[ReadTimes] = []
        self.registry.register(_Reads(self._read_times))
        self.calls = Counter(
            "impressions_requests",
            "Calls answered, by method and gRPC code; one per request of a stream.",
            ["method", "code"],
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

    def read_times(self) -> ReadTimes:
        """For a thread of its own to count in; /metrics shows the sum of all."""
        self._read_times.append(ReadTimes())
        return self._read_times[-1]

    def describe(
        self, report: Callable[[], SelfReport], staleness_s: Callable[[], float] | None
    ) -> None:
        """Add the metrics that are computed on request; `staleness_s` is None without a stream."""
        self.registry.register(_OnRequest(report, staleness_s))


class _Reads(Collector):
    """The histograms of all threads that read."""

    def __init__(self, times: list[ReadTimes]):
        self._times = times

    def collect(self) -> Iterator[Metric]:
        yield _histogram(
            "impressions_store_get_seconds",
            "Reading and decoding what is stored of one profile: generation and deltas.",
            [times.get for times in self._times],
        )
        yield _histogram(
            "impressions_merge_seconds",
            "Merging one profile's generation and deltas; by compiled code, answering too.",
            [times.merge for times in self._times],
        )


def _histogram(name: str, help_text: str, parts: list[Seconds]) -> Metric:
    counts = [sum(column) for column in zip(*(part.counts for part in parts), strict=True)]
    bounds = (*map(floatToGoString, _READ_BUCKETS_S), "+Inf")
    buckets = zip(bounds, accumulate(counts or [0] * len(bounds)), strict=True)
    metric = HistogramMetricFamily(name, help_text)
    metric.add_metric([], list(buckets), sum(part.sum_s for part in parts))
    return metric


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
