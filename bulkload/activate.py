"""Which generation answers: future, current, backup.

    loaded, newer      future
    CURRENT            current
    CURRENT.previous   backup, what a rollback returns to

`activate` and `rollback` change one file, `CURRENT`, by a rename; servers follow it without a
restart. A rollback first marks what it leaves, then points: killed in between, the bad generation
still answers but nothing promotes it again by itself ("latest" leaves marked ones out).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bulkload.host import Held, Host, checked
from impressions.clock import Clock, now_ms
from impressions.core.errors import CorruptData, NotReady, Refused, UsageError
from impressions.formats import profile_block
from impressions.formats.manifest import check_fits
from impressions.formats.pointer import Pointer
from impressions.process.descriptors import exhausted
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings

if TYPE_CHECKING:
    from impressions.rocksdb.generation_store import GenerationStore

LATEST = "latest"

Action = Literal["activated", "already_active", "rolled_back", "would_activate", "would_roll_back"]


@dataclass(frozen=True)
class Swap:
    """What a swap did, or would do: from `old` to `generation`, with `previous` as the new backup.

    Attributes:
        marked: generations that are now marked as rolled back.
    """

    action: Action
    generation: str
    old: str | None
    previous: str | None
    marked: tuple[str, ...] = field(default=())


def activate(
    settings: Settings,
    generation: str,
    *,
    even_if_rolled_back: bool = False,
    dry_run: bool = False,
    clock: Clock = now_ms,
) -> Swap:
    """Point `CURRENT` at a loaded generation; "latest" is the newest not rolled back. With
    `even_if_rolled_back` the mark is taken off.

    Raises:
        NotReady: not loaded, or not with all shards of this host.
        Refused: `rolled_back`, or it does not fit this host's settings.
        CorruptData: it is damaged.
    """
    host = Host(settings.host_dir)
    generation = checked(_latest(host) if generation == LATEST else generation)
    host.held(generation)  # before the lock: what is not loaded leaves no lock file
    with host.lock("pointer"):
        held = host.held(generation)
        if held.rolled_back and not even_if_rolled_back:
            raise _was_rolled_back(generation)
        check_fits(held.manifest, settings.spec, settings.partitions)
        pointer = _pointer_or_none(host)
        old = pointer.generation if pointer else None
        if pointer and old == generation:
            if not dry_run:
                host.unmark(generation)
            return Swap("already_active", generation, old, pointer.previous)
        _prove_ready(host, held, settings)
        if dry_run:
            return Swap("would_activate", generation, old, old)
        failpoint("before-pointer")
        host.point(Pointer(generation, old, clock()))
        failpoint("after-pointer")
        host.unmark(generation)
    return Swap("activated", generation, old, old)


def rollback(
    settings: Settings,
    to: str | None = None,
    *,
    dry_run: bool = False,
    clock: Clock = now_ms,
) -> Swap:
    """Point `CURRENT` back, and mark what is left behind.

    Without `to` the target is the backup, or else the next older usable generation, so that going
    back twice goes back by two. With `to`, whatever lies between is marked as well: it was passed
    over.

    Raises:
        NotReady: nothing is active, or there is nothing to go back to.
        UsageError: `to` is the active generation.
        Refused: `to` was itself rolled back from.
        CorruptData: `CURRENT` or the target is damaged.
    """
    host = Host(settings.host_dir)
    _active(host)  # before the lock, whose file a host without data does not need
    with host.lock("pointer"):
        pointer = _active(host)
        target = checked(to) if to else _backup(host, pointer)
        _check_target(host, target, pointer.generation)
        _prove_ready(host, host.held(target), settings)
        marked = _left_behind(host, target, pointer.generation)
        backup = _next_older(host, target)
        if dry_run:
            return Swap("would_roll_back", target, pointer.generation, backup, marked)
        for generation in marked:
            host.mark(generation, target, clock())
        failpoint("after-mark")
        host.point(Pointer(target, backup, clock()))
    return Swap("rolled_back", target, pointer.generation, backup, marked)


def _latest(host: Host) -> str:
    if usable := host.usable():
        return usable[-1]
    raise NotReady(
        "no usable generation is loaded on this host",
        hint="impressions bulkload load latest",
        reason="not_loaded",
    )


def _active(host: Host) -> Pointer:
    if pointer := host.pointer():
        return pointer
    raise NotReady(
        "no generation is active, so there is nothing to roll back from",
        hint="impressions bulkload activate <generation>",
        reason="nothing_active",
    )


def _was_rolled_back(generation: str) -> Refused:
    return Refused(
        f"generation {generation} was rolled back from on this host",
        hint=f"impressions bulkload activate {generation} --even-if-rolled-back",
        reason="rolled_back",
    )


def _pointer_or_none(host: Host) -> Pointer | None:
    """The pointer; a damaged one counts as none, because activating is what repairs it."""
    try:
        return host.pointer()
    except CorruptData:
        return None


def _backup(host: Host, pointer: Pointer) -> str:
    """Where a rollback without a name goes."""
    if pointer.previous in host.usable():
        return pointer.previous
    if older := _next_older(host, pointer.generation):
        return older
    raise NotReady(
        f"generation {pointer.generation}: no older usable generation is loaded on this host",
        hint="impressions bulkload list; load an older one, then rollback --to it",
        reason="no_backup",
    )


def _next_older(host: Host, generation: str) -> str | None:
    older = [name for name in host.usable() if name < generation]
    return older[-1] if older else None


def _check_target(host: Host, target: str, active: str) -> None:
    if target == active:
        raise UsageError(f"generation {target} is the active one: expected another to go back to")
    if host.is_rolled_back(target):
        raise _was_rolled_back(target)


def _left_behind(host: Host, target: str, active: str) -> tuple[str, ...]:
    """The active generation, and usable ones between it and the target."""
    between = (name for name in host.usable() if target < name < active)
    return tuple(sorted({active, *between}))


def _prove_ready(host: Host, held: Held, settings: Settings) -> None:
    """Refuse to point at what would not answer; reads a few profiles, which also warms them."""
    check_fits(held.manifest, settings.spec, settings.partitions)
    if absent := sorted(set(settings.host_shards) - set(held.loaded.shards)):
        raise NotReady(
            f"generation {held.generation}: loaded without shards {absent}, which this host owns",
            hint=f"impressions bulkload load {held.generation}",
            reason="missing_shards",
        )
    from impressions.rocksdb import generation_store

    store, again = host.paths.store(held.generation), f"load {held.generation} --again"
    try:
        db = generation_store.open_read_only(store, held.loaded.shards)
    except CorruptData as error:
        raise _damaged(error.message, again) from error
    try:
        for file in held.manifest.of_shards(held.loaded.shards):
            for key in {file.min_key, file.max_key}:
                _read_one(db, file.shard, held, key, settings, again)
    finally:
        db.close()


def _read_one(
    db: GenerationStore, shard: int, held: Held, key: str, settings: Settings, again: str
) -> None:
    try:
        value = db.get(shard, bytes.fromhex(key))
    except Exception as error:  # rocksdict raises bare Exceptions
        if (full := exhausted(error)) is not None:
            raise full from error
        raise _damaged(f"generation {held.generation}: key {key}: {error}", again) from error
    if value is None:
        raise _damaged(f"generation {held.generation}: key {key} is missing", again)
    try:
        profile_block.decode(value, settings.spec)
    except CorruptData as error:
        raise _damaged(f"generation {held.generation}: key {key}: {error.message}", again) from None


def _damaged(message: str, again: str) -> CorruptData:
    return CorruptData(message, hint=f"impressions bulkload {again}")
