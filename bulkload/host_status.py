"""What a person asks about this host: what answers, what could, what was left half done.

Reads only and never raises for what it finds: a damaged pointer or generation is part of the
answer, with the line that repairs it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bulkload.files import free_bytes, tree_bytes
from bulkload.host import Host
from impressions.clock import Clock, now_ms
from impressions.core.completeness import reasons as incomplete_reasons
from impressions.core.errors import ImpressionsError, NotReady
from impressions.core.window import horizon_ms
from impressions.formats.generation_paths import REPLACED, cutover_of
from impressions.settings.model import Settings
from impressions.terminal.console import human_age

NO_LOAD = "no load brought it: left alone"


@dataclass(frozen=True)
class GenerationStatus:
    """One directory under generations/.

    Attributes:
        state: loaded, damaged, unfinished (no load ended here), or removed (only its mark is left).
        age: cutover to now, in words.   exact_until_ms: from here on answers are flagged.
        problem: what is wrong with it, and `hint` what to do.
    """

    generation: str
    state: str
    active: bool
    previous: bool
    rolled_back: bool
    cutover_ms: int
    age: str
    exact_until_ms: int
    past_horizon: bool
    size_bytes: int
    shards: tuple[int, ...]
    profiles: int
    loaded_ms: int | None
    problem: str | None
    hint: str | None


@dataclass(frozen=True)
class Unfinished:
    """A directory under loading/."""

    name: str
    size_bytes: int
    running: bool


@dataclass(frozen=True)
class HostStatus:
    """The host.

    Attributes:
        problems: (message, hint) pairs, the pointer's first.
        damaged: bytes are not what they should be: the pointer, or a generation's records.
    """

    data_dir: str
    free_bytes: int
    active: str | None
    previous: str | None
    activated_ms: int | None
    shards: tuple[int, ...]
    generations: tuple[GenerationStatus, ...]
    unfinished: tuple[Unfinished, ...]
    problems: tuple[tuple[str, str | None], ...]
    damaged: bool


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
        _generation(host, name, active, previous, settings, clock()) for name in host.names()
    )
    problems += _pointer_problems(host, active)
    problems += [(g.problem, g.hint) for g in generations if g.problem]
    problems += [(f"{path}: {NO_LOAD}", "move it away") for path in host.strays()]
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
    """What lies in loading/. A load clears it before it begins: while one runs, it is its own."""
    running = host.is_loading()
    return tuple(
        Unfinished(path.name, tree_bytes(path), running and not path.name.endswith(REPLACED))
        for path in host.unfinished()
    )


def _pointer_problems(host: Host, active: str | None) -> list[tuple[str, str | None]]:
    """A pointer that can be read and yet points at nothing good."""
    if active is None:
        return []
    if not host.has_loaded(active):
        return [
            (
                f"CURRENT names {active}, which is not loaded on this host",
                f"impressions bulkload load {active}, or activate another",
            )
        ]
    if host.is_rolled_back(active):
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
    held, problem, hint = None, None, None
    try:
        held = host.held(name)
        state = "loaded"
    except NotReady:
        marked_only = host.is_rolled_back(name) and not host.paths.store(name).exists()
        state = "removed" if marked_only else "unfinished"
    except ImpressionsError as error:
        state, problem, hint = "damaged", error.message, error.hint
    return GenerationStatus(
        generation=name,
        state=state,
        active=name == active,
        previous=name == previous,
        rolled_back=host.is_rolled_back(name),
        cutover_ms=cutover_ms,
        age=human_age((at_ms - cutover_ms) / 1000),
        exact_until_ms=horizon_ms(cutover_ms, settings.spec),
        past_horizon=bool(incomplete_reasons(at_ms, cutover_ms, settings.spec)),
        size_bytes=tree_bytes(host.paths.generation(name)),
        shards=held.loaded.shards if held else (),
        profiles=held.loaded.rows if held else 0,
        loaded_ms=held.loaded.loaded_ms if held else None,
        problem=problem,
        hint=hint,
    )
