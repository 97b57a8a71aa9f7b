"""A real server process on one core under load; peers: the plain front, and the code of before;
limits: echoes of the same bytes, by grpcio, by our own front, and by grpc-go.

Three measures, five half-lives. Servers under comparison run at the same time and are asked in
turns (benchmarks/contest.py). CPU time per request is the server process's own and is the steadiest
figure on a busy machine, so it comes first and the goals are about it. Latencies are of an open
loop at 70 % of the rate that ours was found to do; the echo gets the same rate. The plain front is
this server with `serving.front = "grpc"`; before is that with answers from protobuf and numpy. The
echo of the front is our thread and queue with nothing behind them, so the rest of ours is the read;
the one in Go shows what gRPC itself can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks import server as servers
from benchmarks.contest import OURS, Asked, Found, contest
from benchmarks.frame import Goal, Row, row
from benchmarks.load_client import Client, Latency
from benchmarks.peers.installed import PeerMissing
from benchmarks.world import QUERY_MS, World, check
from impressions.client import ProfileResult, response_messages
from impressions.client.requests import projection_of
from impressions.client.result import result_of
from impressions.terminal.console import say
from impressions.v1 import impressions_service_pb2 as pb
from serving.grpc_server import full_name

_OPEN_RUNS, _OPEN_S = 3, 2.5
_REQUESTS, _BATCH, _MANY_CALLERS = 128, 100, 16
_SHARDS = 64
_BUSY, _ZIPF = 0.7, 1.2
_LATENCIES = {"p50_ms": "ms", "p99_ms": "ms", "p999_ms": "ms", "refused_percent": "%"}
_PLAIN, _BEFORE = "plain front", "code of before"
_ECHO, _LOOP, _NATIVE = "grpcio echo", "the front's echo", "grpc-go echo"

Servers = Mapping[str, servers.Server]
Latencies = dict[str, list[Latency]]


@dataclass(frozen=True)
class Case:
    """What is asked, and what it must reach in CPU time of the server.

    Attributes:
        titles: how many titles are chosen; None asks for the full profile.
        of_echo: at most so many times what the echo takes.
        of_before: at most so many times what the code of before takes.
        live: ask the servers that join deltas.
    """

    name: str
    titles: int | None
    of_echo: float
    of_before: float
    live: bool = False


CASES = (
    Case("200 titles, no deltas", 200, 1 / 0.85, 0.28),
    Case("200 titles, 7 deltas", 200, 1 / 0.55, 0.35, live=True),
    Case("full, no deltas", None, 1 / 0.75, 0.28),
    Case("full, 7 deltas", None, 1 / 0.55, 0.35, live=True),
)


def run(world: World) -> Iterator[Row]:
    """Every case, then many callers, popular profiles, batches, and 64 shards."""
    with ExitStack() as stack:
        forms = {
            OURS: stack.enter_context(servers.real(world)),
            _PLAIN: stack.enter_context(servers.real(world, "grpc")),
            _BEFORE: stack.enter_context(servers.before(world)),
        }
        for case in CASES:
            if not case.live:
                yield from _case(world, case, forms)
        yield from _saturated(world, forms)
        yield from _batch(world, forms)
        yield _shards(world, forms)
    with ExitStack() as stack:
        forms = {
            OURS: stack.enter_context(servers.live(world)),
            _PLAIN: stack.enter_context(servers.live(world, "grpc")),
            _BEFORE: stack.enter_context(servers.live(world, "before")),
        }
        for case in CASES:
            if case.live:
                yield from _case(world, case, forms)


def _case(world: World, case: Case, forms: Servers) -> Iterator[Row]:
    ids = np.random.default_rng(world.seed).choice(world.profile_ids, _REQUESTS).tolist()
    requests = [_request(world, i, case).SerializeToString() for i in ids]
    with ExitStack() as stack:
        asked = _asked(stack, forms, "GetProfile", requests)
        replies = _alike(asked, requests)
        _check(world, case, ids[0], replies[0])
        asked |= _echoes(stack, world, "GetProfile", requests, replies[0])
        found = contest(asked)
        name = f"{case.name} ({len(replies[0]) / 1e3:.0f} KB)"
        yield from _cpu_rows(name, found, case)
        yield row("read", f"{name}; peer: {_BEFORE}, limit: {_ECHO}", found.per_s[OURS],
                  "requests/s", peer=found.per_s[_BEFORE], limit=found.per_s[_ECHO])  # fmt: skip
        seen = _open(asked, requests, _BUSY * found.per_s[OURS])
    for measure, unit in _LATENCIES.items():
        goal = Goal("ratio_to_limit", "<=", 1.5) if measure == "p99_ms" else None
        name = f"{case.name}, {measure.partition('_')[0].replace('999', '99.9')} at 70 % load"
        ours, echo = (median(getattr(each, measure) for each in seen[of]) for of in (OURS, _ECHO))
        yield row("read", name, ours, unit, limit=echo, goal=goal)


def _open(asked: Mapping[str, Asked], requests: list[bytes], per_s: float) -> Latencies:
    """Ours and the echo at the same rate, in turns."""
    seen: Latencies = {OURS: [], _ECHO: []}
    for _ in range(_OPEN_RUNS):
        for name, of in seen.items():
            of.append(_client(asked, name).open(requests, per_s, _OPEN_S))
    return seen


def _cpu_rows(name: str, found: Found, case: Case) -> Iterator[Row]:
    """Of the server, a request: beside both echoes, the code of before and the plain front."""
    ours_us, cpu_us = found.cpu_us[OURS], found.cpu_us
    for limit, goal in (
        (_ECHO, Goal("ratio_to_limit", "<=", round(case.of_echo, 2))), (_LOOP, None),
        (_NATIVE, None),
    ):  # fmt: skip
        yield row("read", f"{name}, server CPU; limit: {limit}", ours_us, "us/request",
                  limit=cpu_us.get(limit), goal=goal)  # fmt: skip
    for peer, goal in (
        (_BEFORE, Goal("ratio_to_peer", "<=", case.of_before)), (_PLAIN, None),
    ):  # fmt: skip
        yield row("read", f"{name}, server CPU; peer: {peer}", ours_us, "us/request",
                  peer=cpu_us[peer], goal=goal)  # fmt: skip


def _saturated(world: World, forms: Servers) -> Iterator[Row]:
    """What one core of a server answers to many callers, profiles asked for alike, and by a zipf
    law: the popular ones again and again."""
    rng, n = np.random.default_rng(world.seed), len(world.profile_ids)
    alike = rng.choice(world.profile_ids, _REQUESTS).tolist()
    popular = ((rng.zipf(_ZIPF, 8 * _REQUESTS) - 1) % n + 1).tolist()
    for name, ids, goal in (
        (f"{_MANY_CALLERS} callers", alike, Goal("ratio_to_peer", ">=", 3.5)),
        (f"{_MANY_CALLERS} callers, zipf {_ZIPF} of {n:,} profiles", popular, None),
    ):
        requests = [_request(world, i, CASES[0]).SerializeToString() for i in ids]
        with ExitStack() as stack:
            asked = _asked(stack, forms, "GetProfile", requests)
            reply = _alike(asked, requests[:1])[0]
            asked |= _echoes(stack, world, "GetProfile", requests, reply)
            cpu_us = contest(asked, _MANY_CALLERS).cpu_us
        per_s = {of: 1e6 / each for of, each in cpu_us.items()}
        for peer, limit, judged in ((_BEFORE, _ECHO, goal), (_PLAIN, _NATIVE, None)):
            yield row("read", f"200 titles, {name}; peer: {peer}, limit: {limit}", per_s[OURS],
                      "requests/core-s", peer=per_s[peer], limit=per_s.get(limit),
                      goal=judged)  # fmt: skip


def _batch(world: World, forms: Servers) -> Iterator[Row]:
    """CPU time of a profile with 100 to a call, 200 titles each."""
    rng = np.random.default_rng(world.seed)
    same = list(world.profile_ids)[:: world.distinct]  # other bytes on disk, the same 200 titles
    ids = [rng.choice(same, _BATCH).tolist() for _ in range(8)]
    chosen = world.profile(same[0]).chosen.tolist()
    requests = [
        pb.BatchGetProfilesRequest(
            profile_ids=some, projection=projection_of(titles=chosen), query_time_ms=QUERY_MS
        ).SerializeToString()
        for some in ids
    ]
    with ExitStack() as stack:
        asked = _asked(stack, forms, "BatchGetProfiles", requests)
        reply = _alike(asked, requests[:1])[0]
        results = response_messages.BatchGetProfilesResponse.FromString(reply).results
        if [r.profile_id for r in results if not r.HasField("status")] != ids[0]:
            raise AssertionError("read: a batch does not answer its profiles in order")
        _compare(world, ids[0][0], chosen, _result(results[0].answer), live=False)
        asked |= _echoes(stack, world, "BatchGetProfiles", requests, reply)
        found = contest(asked)
    name = f"batch of {_BATCH} ({len(reply) / 1e6:.1f} MB)"
    cpu_us = {of: each / _BATCH for of, each in found.cpu_us.items()}
    per_s = {of: each * _BATCH for of, each in found.per_s.items()}
    for peer, limit, goal in (
        (_BEFORE, _ECHO, Goal("ours", "<=", 40)), (_PLAIN, _NATIVE, None),
    ):  # fmt: skip
        yield row("read", f"{name}, server CPU; peer: {peer}, limit: {limit}", cpu_us[OURS],
                  "us/profile", peer=cpu_us[peer], limit=cpu_us.get(limit), goal=goal)  # fmt: skip
    yield row("read", f"{name}; peer: {_BEFORE}, limit: {_ECHO}", per_s[OURS], "profiles/s",
              peer=per_s[_BEFORE], limit=per_s[_ECHO])  # fmt: skip


def _shards(world: World, forms: Servers) -> Row:
    """The same profiles in 64 shards beside those in 8."""
    many = world.with_partitions(_SHARDS)
    ids = np.random.default_rng(world.seed).choice(world.profile_ids, _REQUESTS).tolist()
    requests = [_request(world, i, CASES[0]).SerializeToString() for i in ids]
    few = f"{world.partitions} shards"
    with ExitStack() as stack:
        both = {OURS: stack.enter_context(servers.real(many)), few: forms[OURS]}
        asked = _asked(stack, both, "GetProfile", requests)
        _check(world, CASES[0], ids[0], _alike(asked, requests)[0])
        cpu_us = contest(asked).cpu_us
    return row("read", f"200 titles, {_SHARDS} shards, server CPU; peer: {few}", cpu_us[OURS],
               "us/request", peer=cpu_us[few], goal=Goal("ratio_to_peer", "<=", 1.1))  # fmt: skip


def _asked(
    stack: ExitStack, forms: Servers, method: str, requests: list[bytes]
) -> dict[str, Asked]:
    return {
        name: Asked(stack.enter_context(Client(server.address, method)), requests, (server,))
        for name, server in forms.items()
    }


def _echoes(
    stack: ExitStack, world: World, method: str, requests: list[bytes], reply: bytes
) -> dict[str, Asked]:
    """Servers that answer with this reply; the native one only where Go can build it."""
    forms = {
        _ECHO: stack.enter_context(servers.echo(world, reply)),
        _LOOP: stack.enter_context(servers.loop_echo(world, reply, full_name(method))),
    }
    try:
        forms[_NATIVE] = stack.enter_context(servers.native_echo(world, reply))
    except PeerMissing as missing:
        say(f"bench: read: {missing}")
    asked = _asked(stack, forms, method, requests)
    if any(_client(asked, name).call(requests[0]) != reply for name in asked):
        raise AssertionError("read: an echo does not answer the bytes it was given")
    return asked


def _alike(asked: Mapping[str, Asked], requests: list[bytes]) -> list[bytes]:
    """The replies, which must be the same bytes from all."""
    by_name = {name: [_client(asked, name).call(each) for each in requests] for name in asked}
    for name, replies in by_name.items():
        if replies != by_name[OURS]:
            raise AssertionError(f"read: the {name} answers with other bytes than ours")
    return by_name[OURS]


def _client(asked: Mapping[str, Asked], name: str) -> Client:
    client = asked[name].client
    assert isinstance(client, Client)
    return client


def _request(world: World, profile_id: int, case: Case) -> pb.GetProfileRequest:
    chosen = world.profile(profile_id).chosen.tolist() if case.titles else []
    return pb.GetProfileRequest(
        profile_id=profile_id, projection=projection_of(titles=chosen), query_time_ms=QUERY_MS
    )


def _check(world: World, case: Case, profile_id: int, reply: bytes) -> None:
    found = _result(response_messages.GetProfileResponse.FromString(reply).answer)
    chosen = world.profile(profile_id).chosen.tolist() if case.titles else None
    _compare(world, profile_id, chosen, found, live=case.live)


def _compare(
    world: World, profile_id: int, chosen: list[int] | None, found: ProfileResult, live: bool
) -> None:
    """The answer, title by title, beside the oracle's."""
    rows = world.profile(profile_id).oracle(profile_id, with_week=live)
    expected: dict[tuple[int, int], dict[tuple[str, int], float]] = {}
    for (_, title, _), columns in rows.items():
        if chosen is None or title in chosen:
            sums = expected.setdefault((profile_id, title), {})
            for pair in found.decayed:
                sums[pair] = sums.get(pair, 0.0) + columns[pair]
    answered = {
        (profile_id, title): {pair: float(sums[i]) for pair, sums in found.decayed.items()}
        for i, title in enumerate(found.title_ids.tolist())
    }
    check("read", answered, expected)


def _result(answer: object) -> ProfileResult:
    return result_of(answer, by_location=False, last_seen=False)
