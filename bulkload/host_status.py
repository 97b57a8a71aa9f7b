"""Status: which generation is active, which are loaded, which loads were left unfinished.

It only reads, and damage is no error here: a damaged pointer or generation is part of the status,
with the command that repairs it.
"""

from __future__ import annotations

from bulkload.files import free_bytes, tree_bytes
from bulkload.host import Host
from bulkload.own_directories import strays
from impressions.clock import Clock, now_ms
from impressions.core.completeness import reasons as incomplete_reasons
from impressions.core.errors import ImpressionsError, NotReady
from impressions.core.window import horizon_ms
from impressions.formats.generation_paths import REPLACED, cutover_of
from impressions.formats.seam_record import SeamRecord
from impressions.settings.model import Settings
from impressions.status.facts import GenerationStatus, HostStatus, Unfinished
from impressions.terminal.console import human_age

NOT_OURS = "not made by bulkload: it is ignored"


def status(settings: Settings, clock: Clock = now_ms) -> HostStatus:
    """The state of this host."""
    host = Host(settings.host_dir)
    problems: list[tuple[str, str | None]] = []
    pointer, damaged = None, False
    try:
        pointer = host.pointer()
    except ImpressionsError as error:
        damaged = True
        problems.append((f"{host.paths.current}: {error.message}", error.hint))
    active = pointer.generation if pointer else None
    previous = pointer.previous if pointer else None
    generations = tuple(
        _generation(host, name, active, previous, settings, clock())
        for name in host.generations.names()
    )
    problems += _pointer_problems(host, active)
    problems += [(g.problem, g.hint) for g in generations if g.problem]
    problems += _seam_problems(host)
    problems += [(f"{path}: {NOT_OURS}", "move it away") for path in strays(host.paths)]
    unfinished = _unfinished(host)
    if stopped := [item.name for item in unfinished if not item.running]:
        left = f"left by a load that was stopped: {', '.join(stopped)}"
        problems.append((left, "impressions bulkload gc"))
    return HostStatus(
        data_dir=str(settings.host_dir),
        free_bytes=free_bytes(settings.host_dir),
        active=active,
        previous=previous,
        activated_ms=pointer.activated_ms if pointer else None,
        shards=settings.host_shards,
        generations=generations,
        unfinished=unfinished,
        problems=tuple(problems),
        damaged=damaged or any(g.state == "damaged" for g in generations),
    )


def _unfinished(host: Host) -> tuple[Unfinished, ...]:
    """The directories in loading/. A load clears it first, so while one runs, they are its own."""
    running = host.locks.is_loading()
    return tuple(
        Unfinished(path.name, tree_bytes(path), running and not path.name.endswith(REPLACED))
        for path in host.unfinished.directories()
    )


def _pointer_problems(host: Host, active: str | None) -> list[tuple[str, str | None]]:
    """A pointer that is valid, but names a generation that is not loaded or was rolled back."""
    if active is None:
        return []
    if not host.generations.is_loaded(active):
        return [
            (
                f"CURRENT names {active}, which is not loaded on this host",
                f"impressions bulkload load {active}, or activate another",
            )
        ]
    if host.generations.is_rolled_back(active):
        return [
            (
                f"{active} is active and marked as rolled back: a rollback was stopped half way",
                "impressions bulkload rollback",
            )
        ]
    return []


def _generation(
    host: Host,
    name: str,
    active: str | None,
    previous: str | None,
    settings: Settings,
    at_ms: int,
) -> GenerationStatus:
    cutover_ms = cutover_of(name)
    loaded, problem, hint = None, None, None
    try:
        loaded = host.generations.read(name)
        state = "loaded"
    except NotReady:
        marked_only = host.generations.is_rolled_back(name) and not host.paths.store(name).exists()
        state = "removed" if marked_only else "unfinished"
    except ImpressionsError as error:
        state, problem, hint = "damaged", error.message, error.hint
    return GenerationStatus(
        generation=name,
        state=state,
        active=name == active,
        previous=name == previous,
        rolled_back=host.generations.is_rolled_back(name),
        cutover_ms=cutover_ms,
        age=human_age((at_ms - cutover_ms) / 1000),
        exact_until_ms=horizon_ms(cutover_ms, settings.spec),
        past_horizon=bool(incomplete_reasons(at_ms, cutover_ms, settings.spec)),
        size_bytes=tree_bytes(host.paths.generation(name)),
        shards=loaded.record.shards if loaded else (),
        profiles=loaded.record.rows if loaded else 0,
        loaded_ms=loaded.record.loaded_ms if loaded else None,
        problem=problem,
        hint=hint,
        seam=_seam(host, name),
    )


def _seam(host: Host, name: str) -> SeamRecord | None:
    try:
        return host.generations.seam(name)
    except ImpressionsError:  # `_seam_problems` says so
        return None


def _seam_problems(host: Host) -> list[tuple[str, str | None]]:
    """Records of activations that cannot be read. They decide nothing, so they are no damage."""
    problems: list[tuple[str, str | None]] = []
    for name in host.generations.names():
        try:
            host.generations.seam(name)
        except ImpressionsError as error:
            problems.append((error.message, error.hint))
    return problems
