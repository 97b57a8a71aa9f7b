"""Activate: let a loaded generation answer, by one rename of `CURRENT`.

    a loaded generation newer than the active one     future
    CURRENT                                           current
    `previous` in CURRENT                             backup, the target of a rollback

Before that, both are asked for the same profiles with this host's deltas, and must answer alike
(bulkload/seam_gate.py). Servers follow `CURRENT` without a restart.
"""

from __future__ import annotations

from bulkload.host import Host
from bulkload.loaded_generations import LATEST, checked_name
from bulkload.readiness import prove_ready
from bulkload.seam_gate import checked_reason, pass_seam, write_record
from bulkload.swap import Swap, was_rolled_back
from impressions.clock import Clock, now_ms
from impressions.core.errors import NotReady
from impressions.formats.manifest import check_fits
from impressions.formats.pointer import Pointer
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings


def activate(
    settings: Settings,
    generation: str,
    *,
    even_if_rolled_back: bool = False,
    accept_difference: str | None = None,
    dry_run: bool = False,
    clock: Clock = now_ms,
) -> Swap:
    """Point `CURRENT` at a loaded generation; "latest" is the newest not rolled back. With
    `even_if_rolled_back` the mark is removed.

    Args:
        accept_difference: why it may answer other than the active one.

    Raises:
        NotReady: not loaded, or not with all shards of this host.
        Refused: `rolled_back`, `seam_differs`, or it does not fit this host's settings.
        CorruptData: it is damaged.
        UsageError: `accept_difference` is no text.
    """
    host = Host(settings.host_dir)
    accept = checked_reason(accept_difference)
    generation = checked_name(_latest(host) if generation == LATEST else generation)
    host.generations.read(generation)  # before the lock: a refusal leaves no lock file
    with host.locks.hold("pointer"):
        loaded = host.generations.read(generation)
        if loaded.rolled_back and not even_if_rolled_back:
            raise was_rolled_back(generation)
        check_fits(loaded.manifest, settings.spec, settings.partitions)
        pointer = host.whole_pointer()
        old = pointer.generation if pointer else None
        if pointer and old == generation:
            if not dry_run:
                host.generations.unmark(generation)
            return Swap("already_active", generation, old, pointer.previous)
        prove_ready(host, loaded, settings)
        at_ms = clock()
        seam = pass_seam(host, old, loaded, settings, at_ms, accept)
        if dry_run:
            return Swap("would_activate", generation, old, old, seam=seam)
        write_record(host, seam, at_ms)
        failpoint("before-pointer")
        host.point(Pointer(generation, old, clock()))
        failpoint("after-pointer")
        host.generations.unmark(generation)
    return Swap("activated", generation, old, old, seam=seam)


def _latest(host: Host) -> str:
    if usable := host.generations.usable():
        return usable[-1]
    raise NotReady(
        "no usable generation is loaded on this host",
        hint="impressions bulkload load latest",
        reason="not_loaded",
    )
