"""The metrics of the service: names of docs/monitoring.md. No profile is a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from batch.reconciling.rotation import Rotation
from batch.reconciling.round import Round
from impressions.clock import Clock

_BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class Metrics:
    """Their own registry."""

    def __init__(self, clock: Clock, rotation: Rotation) -> None:
        self.registry = CollectorRegistry()
        self._rotation = rotation
        self._differing = Counter(
            "impressions_reconcile_differing",
            "Profiles that differ, by what the answer says of itself.",
            ["answer"],
            registry=self.registry,
        )
        for answer in ("complete", "flagged"):
            self._differing.labels(answer)
        self._profiles, self._skipped, self._events, self._failed = (
            Counter(f"impressions_reconcile_{name}", text, registry=self.registry)
            for name, text in (
                ("profiles", "Profiles compared."),
                ("skipped", "Profiles that could not be compared."),
                ("named_events", "Events named behind differences."),
                ("failed_rounds", "Rounds that ended with an error."),
            )
        )
        self._seconds = Histogram(
            "impressions_reconcile_round_seconds", "One round.", buckets=_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        age = Gauge(
            "impressions_reconcile_full_round_age_seconds",
            "Every profile was compared since so long ago; before the first time, since the start.",
            registry=self.registry,
        )
        age.set_function(lambda: (clock() - self._since_ms) / 1000)

    @property
    def _since_ms(self) -> int:
        return self._rotation.full_ms or self._rotation.begun_ms

    def done(self, round_: Round, rotation: Rotation, seconds: float) -> None:
        self._profiles.inc(round_.profiles - len(round_.skipped))
        self._skipped.inc(len(round_.skipped))
        for finding in round_.findings:
            self._differing.labels("flagged" if finding.reasons else "complete").inc()
        self._events.inc(round_.events)
        self._seconds.observe(seconds)
        self._rotation = rotation

    def failed(self) -> None:
        self._failed.inc()
