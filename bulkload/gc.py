"""What may be removed from this host, and its removal.

Kept: the active generation, its backup, and everything that is not older than the `keep`-th newest
usable one (loaded, not rolled back). So a newer one that waits for its activation is kept too, and
so are all strays (bulkload/own_directories.py). Removed: older generations, directories that no
load finished, and what dead loads left; never the target of a symlink. Of a generation that was
rolled back the mark stays, a few bytes, so that "latest" never selects it again.

A generation is first renamed into loading/, under the pointer lock; its files are removed after
that. If a gc is killed, the next one finishes it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from bulkload.files import local_disk, tree_bytes
from bulkload.host import Host
from bulkload.loaded_generations import checked_name
from bulkload.own_directories import is_stray
from impressions.core.errors import Refused, UsageError
from impressions.formats.generation_paths import REMOVED
from impressions.process.failpoint import failpoint
from impressions.settings.model import Settings
from impressions.storage.local_files import sync_directory

_LEFT = "left by a load that was stopped"


@dataclass(frozen=True)
class Removal:
    """One directory, and why it is removed."""

    name: str
    size_bytes: int
    why: str


@dataclass(frozen=True)
class GcReport:
    """What was removed (or would be), and what stays."""

    dry_run: bool
    removed: tuple[Removal, ...]
    kept: tuple[str, ...]
    size_bytes: int


def gc(
    settings: Settings,
    keep: int | None = None,
    *,
    generation: str | None = None,
    dry_run: bool = False,
) -> GcReport:
    """Remove what is no longer needed.

    Args:
        keep: how many usable generations stay; default `settings.host.keep`.
        generation: remove this one instead of old ones; refused for the active one and its backup.

    Raises:
        CorruptData: `CURRENT` is damaged, so the active generation is unknown.
        Refused: `in_use`.
        NotReady: a load is running.
    """
    keep = settings.host.keep if keep is None else keep
    if keep < 1:
        raise UsageError(f"--keep {keep}: expected at least 1")
    host = Host(settings.host_dir)
    if not settings.host_dir.exists():
        return GcReport(dry_run, (), (), 0)
    if dry_run:
        removals = _left_by_dead_loads(host) + _unwanted(host, keep, generation)
    else:
        removals = _remove(host, keep, generation)
    gone = {removal.name for removal in removals}
    loaded = filter(host.generations.is_loaded, host.generations.names())
    kept = tuple(name for name in loaded if name not in gone)
    return GcReport(dry_run, tuple(removals), kept, sum(r.size_bytes for r in removals))


def _remove(host: Host, keep: int, generation: str | None) -> list[Removal]:
    with host.locks.hold("load"):
        left = host.unfinished.clear()
        with host.locks.hold("pointer"):
            unwanted = _unwanted(host, keep, generation)
            for removal in unwanted:
                _put_aside(host, removal.name)
        host.unfinished.clear()
    return [Removal(name, size_bytes, _LEFT) for name, size_bytes in left] + unwanted


def _left_by_dead_loads(host: Host) -> list[Removal]:
    if host.locks.is_loading():
        return []
    return [Removal(path.name, tree_bytes(path), _LEFT) for path in host.unfinished.directories()]


def _unwanted(host: Host, keep: int, generation: str | None) -> list[Removal]:
    if host.paths.generations.is_symlink():
        return []
    pointer = host.pointer()
    in_use = {pointer.generation, pointer.previous} if pointer else set()
    if generation is not None:
        generation = checked_name(generation)
        if generation in in_use:
            raise Refused(
                f"generation {generation} is the active one or its backup: not removed",
                hint="activate another generation first",
                reason="in_use",
            )
        names = {generation: "asked for"} if generation in host.generations.names() else {}
    else:
        names = _beyond(host, keep)
    return [
        Removal(name, tree_bytes(host.paths.generation(name)), why)
        for name, why in names.items()
        if name not in in_use and not _is_mark_only(host, name)
    ]


def _beyond(host: Host, keep: int) -> dict[str, str]:
    """Generations to remove, oldest first, each with the reason."""
    usable = host.generations.usable()
    oldest_kept = usable[-keep] if len(usable) >= keep else ""
    unwanted = {}
    for name in host.generations.names():
        if not host.generations.is_loaded(name):
            unwanted[name] = "no load finished it"
        elif name < oldest_kept:
            unwanted[name] = f"older than the {keep} newest"
    return unwanted


def _is_mark_only(host: Host, name: str) -> bool:
    paths = host.paths
    records = (paths.manifest(name), paths.loaded(name))
    has_more = any(map(os.path.lexists, records)) or not is_stray(paths.store(name))
    return host.generations.is_rolled_back(name) and not has_more


def _put_aside(host: Host, name: str) -> None:
    """Rename a generation into loading/; of a marked one, everything but the mark.

    Then `loaded.json` goes first: if gc is killed in between, no load has finished the rest.
    """
    aside = host.paths.workdir(name, os.getpid(), REMOVED)
    home = host.paths.generation(name)
    with local_disk(home):
        host.paths.loading.mkdir(exist_ok=True)
        if host.generations.is_rolled_back(name):
            host.paths.loaded(name).unlink(missing_ok=True)
            host.paths.manifest(name).unlink(missing_ok=True)
            host.paths.seam(name).unlink(missing_ok=True)
            host.paths.checked(name).unlink(missing_ok=True)
            home = host.paths.store(name)
        if not is_stray(home):
            home.rename(aside)
        sync_directory(host.paths.generations)
    failpoint("put-aside")
