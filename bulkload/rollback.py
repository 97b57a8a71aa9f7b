"""Rollback: point `CURRENT` back to an older generation, and mark the one that is left.

The mark is written first. If the rollback is killed in between, the bad generation still answers,
but "latest" never selects it again.
"""

from __future__ import annotations

from bulkload.host import Host
from bulkload.loaded_generations import checked_name
from bulkload.readiness import prove_ready
from bulkload.swap import Swap, was_rolled_back
from impressions.clock import Clock, now_ms
from impressions.core.errors import NotReady, UsageError
from impressions.formats.pointer import Pointer
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings


def rollback(
    settings: Settings,
    to: str | None = None,
    *,
    dry_run: bool = False,
    clock: Clock = now_ms,
) -> Swap:
    """Point `CURRENT` back, and mark the generation that is left.

    Without `to` the target is the backup, or else the next older usable generation, so two
    rollbacks go back by two. With `to`, the generations between are marked as well, because they
    were skipped.

    Raises:
        NotReady: nothing is active, or there is no older usable generation.
        UsageError: `to` is the active generation.
        Refused: `to` was itself rolled back from.
        CorruptData: `CURRENT` or the target is damaged.
    """
    host = Host(settings.host_dir)
    _active(host)  # before the lock, so that a host without data gets no lock file
    with host.locks.hold("pointer"):
        pointer = _active(host)
        target = checked_name(to) if to else _backup(host, pointer)
        _check_target(host, target, pointer.generation)
        prove_ready(host, host.generations.read(target), settings)
        marked = _to_mark(host, target, pointer.generation)
        backup = _next_older(host, target)
        if dry_run:
            return Swap("would_roll_back", target, pointer.generation, backup, marked)
        for generation in marked:
            host.generations.mark_rolled_back(generation, target, clock())
        failpoint("after-mark")
        host.point(Pointer(target, backup, clock()))
    return Swap("rolled_back", target, pointer.generation, backup, marked)


def _active(host: Host) -> Pointer:
    if pointer := host.pointer():
        return pointer
    raise NotReady(
        "no generation is active, so there is nothing to roll back from",
        hint="impressions bulkload activate <generation>",
        reason="nothing_active",
    )


def _backup(host: Host, pointer: Pointer) -> str:
    """The target of a rollback without `to`."""
    if pointer.previous in host.generations.usable():
        return pointer.previous
    if older := _next_older(host, pointer.generation):
        return older
    raise NotReady(
        f"generation {pointer.generation}: no older usable generation is loaded on this host",
        hint="impressions bulkload list; load an older one, then rollback --to it",
        reason="no_backup",
    )


def _next_older(host: Host, generation: str) -> str | None:
    older = [name for name in host.generations.usable() if name < generation]
    return older[-1] if older else None


def _check_target(host: Host, target: str, active: str) -> None:
    if target == active:
        raise UsageError(f"generation {target} is the active one: expected another to go back to")
    if host.generations.is_rolled_back(target):
        raise was_rolled_back(target)


def _to_mark(host: Host, target: str, active: str) -> tuple[str, ...]:
    """The active generation, and the usable ones between it and the target."""
    between = (name for name in host.generations.usable() if target < name < active)
    return tuple(sorted({active, *between}))
