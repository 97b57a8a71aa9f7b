"""Generations, from the table to this host, and what each server answers from. Pure.

One row for each generation that is known anywhere; what a part says of it stands in that part's
column, and a part that could not be asked has "not known" there, which is something else than none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impressions.console.answers import Answer
from impressions.console.masking import Masking
from impressions.console.words import ago, number, size, time
from impressions.core.completeness import WORDS
from impressions.status.facts import GenerationStatus, HostStatus, Listed, Published
from impressions.status.questions import Unknown
from impressions.status.serving import Served, Server

NOT_KNOWN, NONE = "not known", "-"


@dataclass(frozen=True)
class GenerationRow:
    """A generation in words. `exact_until` and `seam` are this host's."""

    name: str
    cutover: str
    age: str
    in_table: str
    exported: str
    on_host: str
    active: bool
    exact_until: str
    past_horizon: bool
    seam: str
    problems: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class ServerRow:
    """A server in words; `state` as of a stage."""

    address: str
    state: str
    generation: str
    cutover: str
    through: str
    says: str


@dataclass(frozen=True)
class HostView:
    """This host; empty where it could not be asked."""

    data_dir: str
    free: str
    shards: str
    activated: str
    unfinished: tuple[str, ...]
    problems: tuple[tuple[str, str | None], ...]


def rows(answers: Mapping[str, Answer], at_ms: int, masking: Masking) -> tuple[GenerationRow, ...]:
    """The newest cutover first, from the answers `lake`, `published` and `host`."""
    lake, listed, host = (answers[name].value for name in ("lake", "published", "host"))
    in_table = _by_name(() if isinstance(lake, Unknown) else lake.generations)
    exported = _by_name(() if isinstance(listed, Unknown) else listed)
    here = _by_name(() if isinstance(host, Unknown) else host.generations)
    names = {*in_table, *exported, *here}
    cutover_ms = {
        name: next(of[name].cutover_ms for of in (in_table, exported, here) if name in of)
        for name in names
    }
    return tuple(
        GenerationRow(
            name,
            time(cutover_ms[name]),
            ago(at_ms, cutover_ms[name]),
            _missing(lake) if name not in in_table else _in_table(in_table[name]),
            _missing(listed) if name not in exported else _exported(exported[name]),
            _missing(host) if name not in here else _on_host(here[name]),
            name in here and here[name].active,
            time(here[name].exact_until_ms) if name in here else NONE,
            name in here and here[name].past_horizon,
            _seam(here[name], masking) if name in here else NONE,
            _problems(in_table.get(name), exported.get(name), here.get(name)),
        )
        for name in sorted(names, key=lambda name: -cutover_ms[name])
    )


def servers(found: Sequence[Server] | Unknown, at_ms: int) -> tuple[ServerRow, ...]:
    if isinstance(found, Unknown):
        return ()
    return tuple(_server(one, at_ms) for one in found)


def host_view(host: HostStatus | Unknown, at_ms: int) -> HostView | None:
    if isinstance(host, Unknown):
        return None
    shards = f"{len(host.shards)} shards" if len(host.shards) != 1 else f"shard {host.shards[0]}"
    return HostView(
        host.data_dir,
        size(host.free_bytes),
        shards,
        ago(at_ms, host.activated_ms),
        tuple(
            f"{one.name} ({size(one.size_bytes)}, {'running' if one.running else 'not running'})"
            for one in host.unfinished
        ),
        host.problems,
    )


def _by_name(several: Sequence[Any]) -> dict[str, Any]:
    return {one.generation: one for one in several}


def _missing(answer: Any) -> str:
    return NOT_KNOWN if isinstance(answer, Unknown) and not answer.absent else NONE


def _in_table(one: Published) -> str:
    return f"{'main' if one.is_main else 'tag'}, {number(one.entries)} entries"


def _exported(one: Listed) -> str:
    profiles = "" if one.profiles is None else f", {number(one.profiles)} profiles"
    return f"{one.state}{profiles}, {size(one.size_bytes)}"


def _on_host(one: GenerationStatus) -> str:
    words = [one.state]
    words += ["active"] if one.active else []
    words += ["the one before"] if one.previous else []
    words += ["rolled back"] if one.rolled_back else []
    return f"{', '.join(words)}, {size(one.size_bytes)}"


def _seam(one: GenerationStatus, masking: Masking) -> str:
    return NONE if one.seam is None else masking.text(str(one.seam))


def _problems(
    in_table: Published | None, exported: Listed | None, here: GenerationStatus | None
) -> tuple[tuple[str, str | None], ...]:
    found: list[tuple[str, str | None]] = []
    if in_table is not None and in_table.lacks:
        lacks = f"lacks {number(in_table.lacks)} rows that arrived after it"
        found.append((lacks, "the next generation has them: impressions compact"))
    if exported is not None and exported.problem:
        found.append((exported.problem, None))
    if here is not None and here.problem:
        found.append((here.problem, here.hint))
    return tuple(found)


def _server(one: Server, at_ms: int) -> ServerRow:
    said = one.said
    if not isinstance(said, Served):
        return ServerRow(one.address, "bad", NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, said.because)
    reasons = "; ".join(WORDS.get(reason, reason) for reason in said.reasons)
    return ServerRow(
        one.address,
        "ok" if said.complete else "bad",
        said.generation or "none",
        time(said.cutover_ms),
        "no live stream" if said.stream_through_ms is None else ago(at_ms, said.stream_through_ms),
        "complete" if said.complete else f"incomplete: {reasons}",
    )
