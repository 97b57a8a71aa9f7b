"""Through when a partition is complete, by two clocks: the worker's own and the broker's.

Answers, and the deleting of old slots, follow what is claimed here. So no time is claimed that only
one clock has seen, and what was claimed beyond both is taken back:

    records       through the newest ingest time, which is the broker's, once the own clock is there
    drained       nothing is left to apply, replicated or not (impressions/kafka/unreplicated.py):
                  through what both clocks show, less a margin for what the clocks of several
                  brokers differ by

The broker's clock is known from its stamps (speed/partitions/leader_clock.py). While it is not,
nothing is claimed beyond the records.
"""

from __future__ import annotations

_BELIEVED_MS = 10_000
"""What was claimed stays where a clock is set back by no more: it was right a moment ago."""


def next_through_ms(claimed_ms: int, newest_ms: int, own_ms: int) -> int:
    """After records whose newest ingest time is `newest_ms`.

    Args:
        claimed_ms: what was claimed before.
        own_ms: this worker's clock.
    """
    return _kept(claimed_ms, min(newest_ms, own_ms), own_ms)


def drained_through_ms(
    claimed_ms: int, newest_ms: int, own_ms: int, broker_ms: int | None, margin_ms: int
) -> int:
    """The same of a partition that had nothing left after both clocks were read.

    Args:
        broker_ms: the broker's clock; None: not known.
    """
    seen_ms = min(newest_ms, own_ms)
    if broker_ms is None:
        return _kept(claimed_ms, seen_ms, own_ms)
    both_ms = min(own_ms, broker_ms)
    return _kept(claimed_ms, max(seen_ms, both_ms - margin_ms), max(both_ms, seen_ms))


def _kept(claimed_ms: int, proven_ms: int, clocks_ms: int) -> int:
    """What was claimed, if it is not later than the clocks show, else what is proven: less is
    always true."""
    if claimed_ms <= clocks_ms + _BELIEVED_MS:
        return max(claimed_ms, proven_ms)
    return proven_ms
