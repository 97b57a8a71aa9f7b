"""A real server process on one core under load; peer: the same service by grpcio's own handlers;
limit: a grpcio echo of the same bytes.

Three measures, five half-lives. Servers under comparison run at the same time and are asked in
turns. CPU time per request is the server process's own and is the steadiest figure on a busy
machine, so the goals are about it. Latencies are of an open loop at 70 % of the rate that ours was
found to do; the echo gets the same rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from benchmarks import server as servers
from benchmarks.frame import Goal, Row, in_turns, row
from benchmarks.load_client import CALLERS, Client
from benchmarks.world import QUERY_MS, World, check
from impressions.client import ProfileResult, response_messages
from impressions.client.requests import projection_of
from impressions.client.result import result_of
from impressions.v1 import impressions_service_pb2 as pb

_RUNS, _RUN_S, _OPEN_S = 3, 1.5, 4.0
_REQUESTS, _BATCH, _MANY_CALLERS = 128, 100, 16
_BUSY, _ZIPF = 0.7, 1.2
_LATENCIES = {"p50_ms": "ms", "p99_ms": "ms", "p999_ms": "ms", "refused_percent": "%"}


@dataclass(frozen=True)
class Case:
    """What is asked, and what it must reach in CPU time of the server.

    Attributes:
        titles: how many titles are chosen; None asks for the full profile.
        of_echo: at most so many times what the echo takes.
        of_handlers: at most so many times what grpcio's own handlers take.
        live: ask the server that joins deltas.
    """

    name: str
    titles: int | None
    of_echo: float
    of_handlers: float
    live: bool = False


CASES = (
    Case("200 titles, no deltas", 200, 1 / 0.85, 0.28),
    Case("200 titles, 7 deltas", 200, 1 / 0.55, 0.35, live=True),
    Case("full, no deltas", None, 1 / 0.75, 0.28),
    Case("full, 7 deltas", None, 1 / 0.55, 0.35, live=True),
)


def run(world: World) -> Iterator[Row]:
    """Every case, then many callers, popular profiles, and batches."""
    with servers.real(world) as real, servers.handlers(world, live=False) as plain:
        for case in CASES:
            if not case.live:
                yield from _case(world, case, real, plain)
        yield from _saturated(world, real, plain)
        yield from _batch(world, real, plain)
    with servers.live(world) as live, servers.handlers(world, live=True) as plain:
        for case in CASES:
            if case.live:
                yield from _case(world, case, live, plain)


def _case(world: World, case: Case, ours: servers.Server, plain: servers.Server) -> Iterator[Row]:
    ids = np.random.default_rng(world.seed).choice(world.profile_ids, _REQUESTS).tolist()
    requests = [_request(world, i, case).SerializeToString() for i in ids]
    with ExitStack() as stack:
        client = stack.enter_context(Client(ours.address, "GetProfile"))
        plain_client = stack.enter_context(Client(plain.address, "GetProfile"))
        reply = client.call(requests[0])
        _check(world, case, ids[0], reply)
        if any(client.call(each) != plain_client.call(each) for each in requests):
            raise AssertionError("read: the two forms of the service answer differently")
        echo = stack.enter_context(servers.echo(world, reply))
        echo_client = stack.enter_context(Client(echo.address, "GetProfile"))
        found = in_turns(
            _works(ours, client, "ours", requests)
            | _works(plain, plain_client, "plain", requests)
            | _works(echo, echo_client, "echo", requests),
            _RUNS,
        )
        name = f"{case.name} ({len(reply) / 1e3:.0f} KB)"
        yield row("read", f"{name}, server CPU", found["ours cpu"], "us/request",
                  limit=found["echo cpu"],
                  goal=Goal("ratio_to_limit", "<=", round(case.of_echo, 2)))  # fmt: skip
        yield row("read", f"{name}, server CPU, peer: handlers", found["ours cpu"], "us/request",
                  peer=found["plain cpu"],
                  goal=Goal("ratio_to_peer", "<=", case.of_handlers))  # fmt: skip
        yield row("read", name, found["ours"], "requests/s", peer=found["plain"],
                  limit=found["echo"])  # fmt: skip
        rate = _BUSY * found["ours"]
        latency = client.open(requests, rate, _OPEN_S)
        of_echo = echo_client.open(requests, rate, _OPEN_S)
    for measure, unit in _LATENCIES.items():
        goal = Goal("ratio_to_limit", "<=", 1.5) if measure == "p99_ms" else None
        name = f"{case.name}, {measure.partition('_')[0].replace('999', '99.9')} at 70 % load"
        yield row("read", name, getattr(latency, measure), unit, limit=getattr(of_echo, measure),
                  goal=goal)  # fmt: skip


def _saturated(world: World, ours: servers.Server, plain: servers.Server) -> Iterator[Row]:
    """What one core of a server answers to many callers, profiles asked for alike, and by a zipf
    law: the popular ones again and again."""
    rng = np.random.default_rng(world.seed)
    alike = rng.choice(world.profile_ids, _REQUESTS).tolist()
    popular = ((rng.zipf(_ZIPF, 8 * _REQUESTS) - 1) % len(world.profile_ids) + 1).tolist()
    with ExitStack() as stack:
        client = stack.enter_context(Client(ours.address, "GetProfile"))
        plain_client = stack.enter_context(Client(plain.address, "GetProfile"))
        for name, ids, goal in (
            (f"{_MANY_CALLERS} callers", alike, Goal("ratio_to_peer", ">=", 3.5)),
            (f"{_MANY_CALLERS} callers, zipf {_ZIPF} of {len(world.profile_ids)} profiles",
             popular, None),
        ):  # fmt: skip
            requests = [_request(world, i, CASES[0]).SerializeToString() for i in ids]
            found = in_turns(
                _works(ours, client, "ours", requests, _MANY_CALLERS)
                | _works(plain, plain_client, "plain", requests, _MANY_CALLERS),
                _RUNS,
            )
            yield row("read", f"200 titles, {name}, peer: handlers", 1e6 / found["ours cpu"],
                      "requests/core-s", peer=1e6 / found["plain cpu"], goal=goal)  # fmt: skip


def _batch(world: World, ours: servers.Server, plain: servers.Server) -> Iterator[Row]:
    """CPU time of a profile with 100 to a call, 200 titles each."""
    rng = np.random.default_rng(world.seed)
    alike = list(world.profile_ids)[:: world.distinct]  # other bytes on disk, the same 200 titles
    ids = [rng.choice(alike, _BATCH).tolist() for _ in range(8)]
    chosen = world.profile(alike[0]).chosen.tolist()
    requests = [
        pb.BatchGetProfilesRequest(
            profile_ids=some, projection=projection_of(titles=chosen), query_time_ms=QUERY_MS
        ).SerializeToString()
        for some in ids
    ]
    with ExitStack() as stack:
        client = stack.enter_context(Client(ours.address, "BatchGetProfiles"))
        plain_client = stack.enter_context(Client(plain.address, "BatchGetProfiles"))
        reply = client.call(requests[0])
        results = response_messages.BatchGetProfilesResponse.FromString(reply).results
        if [r.profile_id for r in results if not r.HasField("status")] != ids[0]:
            raise AssertionError("read: a batch does not answer its profiles in order")
        _compare(world, ids[0][0], chosen, _result(results[0].answer), live=False)
        echo = stack.enter_context(servers.echo(world, reply))
        echo_client = stack.enter_context(Client(echo.address, "BatchGetProfiles"))
        found = in_turns(
            _works(ours, client, "ours", requests)
            | _works(plain, plain_client, "plain", requests)
            | _works(echo, echo_client, "echo", requests),
            _RUNS,
        )
    name = f"batch of {_BATCH} ({len(reply) / 1e6:.1f} MB), peer: handlers"
    cpu_us = {of: found[f"{of} cpu"] / _BATCH for of in ("ours", "plain", "echo")}
    yield row("read", f"{name}, server CPU", cpu_us["ours"], "us/profile", peer=cpu_us["plain"],
              limit=cpu_us["echo"], goal=Goal("ours", "<=", 40))  # fmt: skip
    yield row("read", name, found["ours"] * _BATCH, "profiles/s", peer=found["plain"] * _BATCH,
              limit=found["echo"] * _BATCH)  # fmt: skip


def _works(
    server: servers.Server,
    client: Client,
    name: str,
    requests: list[bytes],
    callers: int = CALLERS,
) -> dict[str, Callable[[], float]]:
    """Requests per second, and then the CPU time per request of that same run."""
    cpu_us: list[float] = []

    def closed() -> float:
        before_s = server.cpu_s()
        count, per_s = client.closed(requests, _RUN_S, callers)
        cpu_us.append((server.cpu_s() - before_s) / count * 1e6)
        return per_s

    return {name: closed, f"{name} cpu": lambda: cpu_us[-1]}


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
