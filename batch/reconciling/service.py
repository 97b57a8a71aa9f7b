"""Rounds for ever: the next profiles by shard and key, at a stated cost, until asked to stop.

A round that fails (a server or a broker that is away) is a line in the log and a count; the next
one tries the same profiles again. A profile that differs is a line, a count and an alert, one that
cannot be compared a line and a count; the service goes on.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from batch.reconciling import rotation
from batch.reconciling.choosing import Chosen, Place, next_in_turn
from batch.reconciling.landed import LandedTable
from batch.reconciling.metrics import Metrics
from batch.reconciling.round import Choose, Round
from impressions.clock import Clock, monotonic_s
from impressions.core.errors import ImpressionsError
from impressions.process import metrics, registry
from impressions.process.catalog_errors import as_catalog_error
from impressions.process.passes import passes
from impressions.process.stop_signal import stopping_on
from impressions.settings.model import Settings
from impressions.terminal import log


def serve(
    settings: Settings, clock: Clock, every_s: float, n: int, one_round: Callable[[Choose], Round],
    started: Callable[[str], object],
) -> None:  # fmt: skip
    """Rounds of n profiles until SIGTERM, which finishes the one under way.

    Args:
        one_round: compares and reports.   started: gets the address of the metrics.
    """
    log.configure(process="reconcile")
    own = Metrics(clock, rotation.read(settings, clock()))
    with (
        stopping_on(signal.SIGTERM, signal.SIGINT) as stopping,
        metrics.serve(own.registry, settings.reconcile.metrics_listen) as address,
        registry.registered(settings, "reconcile", metrics=address),
        passes(settings, "reconcile") as recorder,
    ):
        started(address)
        one_round = recorder.each(one_round)
        while not stopping.is_set():
            began_s = monotonic_s()
            next_round(settings, clock, n, one_round, own)
            stopping.wait(max(0.0, began_s + every_s - monotonic_s()))


def next_round(
    settings: Settings, clock: Clock, n: int, one_round: Callable[[Choose], Round], own: Metrics
) -> Round | None:
    """One round and the state after it; None where it failed."""
    before, began_s = rotation.read(settings, clock()), monotonic_s()
    turn = _Turn(before.place, n)
    try:
        done = one_round(turn.choose)
    except Exception as error:  # a known one is of this round; the next may succeed
        known = error if isinstance(error, ImpressionsError) else as_catalog_error(error)
        if known is None:
            raise
        own.failed()
        log.warning("round-failed", reason=known.reason, error=known.message)
        return None
    after = before.after(done.profiles, turn.next, clock())
    rotation.write(settings, after)
    own.done(done, after, monotonic_s() - began_s)
    for finding in done.findings:
        log.warning("differs", profile=finding.profile_id, shard=finding.shard,
                    events=sum(len(d.events) for d in finding.differences))  # fmt: skip
    for one in done.skipped:
        log.warning("skipped", profile=one.profile_id, reason=one.reason, error=one.message)
    return done


class _Turn:
    """Chooses from a place on, and remembers where the next round begins."""

    def __init__(self, place: Place, n: int):
        self._place, self._n = place, n
        self.next: Place | None = place

    def choose(self, raw: LandedTable, shards: Sequence[int]) -> Chosen:
        chosen, self.next = next_in_turn(raw, shards, self._place, self._n)
        return chosen
