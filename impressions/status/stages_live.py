"""The live path, stage by stage, from what was found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from impressions.settings.model import Settings
from impressions.status.questions import Unknown
from impressions.status.serving import Served, Server
from impressions.status.stage import (
    Found,
    Problem,
    Stage,
    State,
    age_s,
    ago,
    deaths,
    future,
    plural,
    unknown,
)
from impressions.terminal.console import human_age

_NO_GENERATION = "impressions bulkload load latest && impressions bulkload activate latest"
_MAKE_ONE = f"impressions land, close, compact and export make one; then {_NO_GENERATION}"


def topic(found: Found) -> Stage:
    stream = found.stream
    if isinstance(stream, Unknown):
        return unknown("topic", stream)
    parts = stream.partitions.values()
    records = sum(p.end - p.first for p in parts)
    newest_ms = max((p.newest_ms for p in parts if p.newest_ms is not None), default=None)
    newest = "nothing in it yet" if newest_ms is None else f"newest {ago(stream.at_ms, newest_ms)}"
    facts = {
        "bootstrap": stream.bootstrap,
        "topic": stream.topic,
        "topic_id": stream.topic_id,
        "partitions": len(stream.partitions),
        "records": records,
        "newest_ms": newest_ms,
        "newest_age_s": age_s(stream.at_ms, newest_ms),
    }
    line = f"{stream.topic}: {len(stream.partitions)} partitions, {records:,} records, {newest}"
    known_ms = () if newest_ms is None else (newest_ms,)
    ahead = future(stream.at_ms, known_ms, "the newest stamp")
    wrong = ahead if stream.fault is None else [stream.fault, *ahead]
    state: State = "bad" if stream.fault is not None else "look" if ahead else "ok"
    return Stage("topic", state, line, tuple(wrong), facts)


def worker(found: Found, settings: Settings) -> Stage:
    stream, dead = found.stream, deaths(found, "speed")
    if isinstance(stream, Unknown):
        state: State = "bad" if dead or not stream.absent else "none"
        return Stage("worker", state, "not known without the topic", tuple(dead))
    if not stream.beats:
        line = "no worker has worked on this topic: impressions speed"
        return Stage("worker", "bad" if dead else "none", line, tuple(dead))
    behind = {
        p: max(0, source.end - 1 - stream.beats[p].offset)
        for p, source in stream.partitions.items()
        if p in stream.beats
    }
    times = {p: beat.through_ms for p, beat in stream.beats.items()}
    facts = {"records_behind": sum(behind.values()), **_lag_facts(stream.at_ms, times)}
    line = f"{sum(behind.values()):,} records behind, {_lag_line(stream.at_ms, times)}"
    missing = [p for p in stream.partitions if p not in stream.beats]
    runs = any(process.kind == "speed" for process in found.processes)
    hint = None if runs else "no worker runs on this machine: impressions speed"
    late = _late(stream.at_ms, times, settings, hint)
    if late and not missing and _is_new(found, settings):
        return Stage("worker", "look", f"it has just started; {line}", tuple(late), facts)
    problems = [*dead, *late]
    problems += future(stream.at_ms, times.values(), "what the worker calls complete")
    if missing:
        problems.append((f"no word of {_names(missing)}", "impressions speed"))
    return Stage("worker", "bad" if problems else "ok", line, tuple(problems), facts)


def deltas(found: Found, settings: Settings) -> Stage:
    copy = found.copy
    dead = deaths(found, "follower")
    if isinstance(copy, Unknown):
        return unknown("deltas", copy)
    held = {p: state for p, state in copy.shards.items() if state is not None}
    if not held:
        return Stage("deltas", "none", "this host's copy of the deltas is empty")
    times = {p: s.through_ms for p, s in held.items() if s.through_ms is not None}
    restoring = [p for p, state in held.items() if state.restoring]
    missing = [p for p in copy.shards if p not in times]
    facts = {"restoring": restoring, "missing": missing, **_lag_facts(copy.at_ms, times)}
    line = _lag_line(copy.at_ms, times) if times else "nothing known yet"
    if not any(process.kind == "follower" for process in found.processes):
        state: State = "bad" if dead else "none"
        return Stage("deltas", state, f"{line}; no follower runs here", tuple(dead), facts)
    problems = [*dead, *_late(copy.at_ms, times, settings)]
    problems += future(copy.at_ms, times.values(), "what the copy calls complete")
    if restoring:
        problems.append((f"{_names(restoring)}: still being filled", None))
    if missing:
        problems.append((f"nothing known of {_names(missing)}", None))
    return Stage("deltas", "bad" if problems else "ok", line, tuple(problems), facts)


def serving(found: Found) -> Stage:
    servers, dead = found.servers, deaths(found, "serve")
    if isinstance(servers, Unknown):
        return (
            Stage("serving", "bad", servers.because, tuple(dead))
            if dead
            else unknown("serving", servers)
        )
    problems: list[Problem] = []
    for server in servers:
        if isinstance(server.said, Unknown):
            problems.append((f"{server.address}: {server.said.because}", server.said.hint))
        elif not server.said.complete:
            because = ", ".join(server.said.reasons)
            hint = _NO_GENERATION if "no_generation" in server.said.reasons else None
            problems.append((f"{server.address}: answers are incomplete: {because}", hint))
    facts = {"servers": [_server_facts(server) for server in servers]}
    if problems and not dead and _none_made_yet(found) and all(map(_is_live_alone, servers)):
        what = "no generation was made yet: only what the live stream holds is counted"
        line = f"{len(servers)} {plural('server', servers)}: {what}"
        return Stage("serving", "look", line, ((what, _MAKE_ONE),), facts)
    well = len(servers) - len(problems)
    problems += dead
    line = f"{well} of {len(servers)} {plural('server', servers)} answer completely"
    return Stage("serving", "bad" if problems else "ok", line, tuple(problems), facts)


def _none_made_yet(found: Found) -> bool:
    """Whether no generation is known anywhere, and nowhere could one be unseen."""
    lake, listed, host = found.lake, found.published, found.host
    return (
        (lake.absent if isinstance(lake, Unknown) else not lake.generations)
        and (listed.absent if isinstance(listed, Unknown) else not listed)
        and (host.absent if isinstance(host, Unknown) else not host.generations)
    )


def _is_live_alone(server: Server) -> bool:
    """Whether it lacks a generation and nothing else. One without a stream answers nothing."""
    said = server.said
    return (
        isinstance(said, Served)
        and said.stream_through_ms is not None
        and set(said.reasons) <= {"no_generation"}
    )


def _server_facts(server: Server) -> dict[str, Any]:
    facts: dict[str, Any] = {"pid": server.pid, "address": server.address}
    if isinstance(server.said, Served):
        return facts | vars(server.said)
    return facts | {"complete": False, "because": server.said.because}


def _is_new(found: Found, settings: Settings) -> bool:
    """Whether a worker of this machine had no time yet to say how far it is."""
    allowed_ms = settings.serving.max_stream_lag_s * 1000
    return any(
        process.kind == "speed" and 0 <= found.at_ms - process.started_ms < allowed_ms
        for process in found.processes
    )


def _late(
    at_ms: int, times: Mapping[int, int], settings: Settings, hint: str | None = None
) -> list[Problem]:
    """Partitions that are further behind than serving allows."""
    bound_s = settings.serving.max_stream_lag_s
    late = [p for p, ms in times.items() if (at_ms - ms) / 1000 > bound_s]
    if not late:
        return []
    return [
        (f"{_names(late)}: more than {human_age(bound_s)} behind (serving.max_stream_lag_s)", hint)
    ]


def _lag_facts(at_ms: int, times: Mapping[int, int]) -> dict[str, Any]:
    oldest_ms = min(times.values(), default=None)
    return {"through_ms": oldest_ms, "age_s": age_s(at_ms, oldest_ms)}


def _lag_line(at_ms: int, times: Mapping[int, int]) -> str:
    return f"complete through {ago(at_ms, min(times.values()))} in every partition"


def _names(partitions: Sequence[int]) -> str:
    return f"{plural('partition', partitions)} {', '.join(map(str, sorted(partitions)))}"
