"""Through when a partition is whole, by two clocks: the worker's own and the broker's.

Whatever is claimed, sweeping and answers follow it. So no time is claimed that only one clock has
seen, and what was claimed beyond both is taken back:

    records       through the newest ingest time, which is the broker's, once the own clock is there
    drained       nothing is left to apply, shown or not (impressions/kafka/unreplicated.py): through what
                  both clocks show, less a margin for what the clocks of several brokers differ by

The broker's clock is known from its acknowledgements: it stamps the records of the delta topic, and
each beat is one. So a worker that has published nothing yet knows one clock only, and claims
nothing beyond its records.
"""

from __future__ import annotations

from impressions.clock import monotonic_s

_BELIEVED_MS = 10_000
"""What was said stays where a clock is set back by no more: it was right a moment ago."""
_FRESH_S = 5.0


class BrokerTimes:
    """The clocks of the brokers that lead the partitions, known from their stamps."""

    def __init__(self) -> None:
        self._stamps: dict[int, tuple[int, float]] = {}

    def stamped(self, partition: int, stamp_ms: int) -> None:
        """A record was stamped just now."""
        self._stamps[partition] = stamp_ms, monotonic_s()

    def now_ms(self, partition: int) -> int | None:
        """What the broker's clock shows now; None where it said nothing for seconds."""
        stamp_ms, at_s = self._stamps.get(partition, (0, float("-inf")))
        passed_s = monotonic_s() - at_s
        return stamp_ms + int(passed_s * 1000) if passed_s < _FRESH_S else None


def next_through_ms(said_ms: int, newest_ms: int, own_ms: int) -> int:
    """Behind records whose newest ingest time is `newest_ms`.

    Args:
        said_ms: what was claimed before.
        own_ms: this worker's clock.
    """
    return _kept(said_ms, min(newest_ms, own_ms), own_ms)


def drained_through_ms(
    said_ms: int, newest_ms: int, own_ms: int, broker_ms: int | None, margin_ms: int
) -> int:
    """The same of a partition that had nothing left after both clocks were read.

    Args:
        broker_ms: the broker's clock; None: not known.
    """
    seen_ms = min(newest_ms, own_ms)
    if broker_ms is None:
        return _kept(said_ms, seen_ms, own_ms)
    both_ms = min(own_ms, broker_ms)
    return _kept(said_ms, max(seen_ms, both_ms - margin_ms), max(both_ms, seen_ms))


def _kept(said_ms: int, found_ms: int, reached_ms: int) -> int:
    """What was said and is not more than `reached_ms`, else what is found: less is always true."""
    return max(said_ms, found_ms) if said_ms <= reached_ms + _BELIEVED_MS else found_ms
