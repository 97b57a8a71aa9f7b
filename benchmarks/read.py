"""A real server process on one core under load; limit: a grpcio echo of the same bytes.

Three measures, five half-lives. Servers under comparison run at the same time and are asked in
turns. CPU time per request is the server process's own and is the steadier figure on a busy
machine. Latencies are of an open loop at 70 % of the rate that ours was found to do; the echo gets
the same rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from benchmarks import server as servers
from benchmarks.frame import Goal, Row, in_turns, row
from benchmarks.load_client import Client
from benchmarks.world import QUERY_MS, World, check
from impressions.client import ProfileResult, response_messages
from impressions.client.requests import projection_of
from impressions.client.result import result_of
from impressions.v1 import impressions_service_pb2 as pb

_RUNS, _RUN_S, _OPEN_S = 3, 1.5, 4.0
_REQUESTS, _BATCH = 128, 100
_BUSY = 0.7
_LATENCIES = {"p50_ms": "ms", "p99_ms": "ms", "p999_ms": "ms", "refused_percent": "%"}


@dataclass(frozen=True)
class Case:
    """What is asked, and what it must reach.

    Attributes:
        titles: how many titles are chosen; None asks for the full profile.
        goal: of requests per second, compared with the echo.
        live: ask the server that joins deltas.
    """

    name: str
    titles: int | None
    goal: float
    live: bool = False


CASES = (
    Case("200 titles, no deltas", 200, 0.80),
    Case("200 titles, 7 deltas", 200, 0.80, live=True),
    Case("full, no deltas", None, 0.65),
    Case("full, 7 deltas", None, 0.65, live=True),
)


def run(world: World) -> Iterator[Row]:
    """Every case, then batches."""
    with servers.real(world) as real, servers.live(world) as live:
        unary_per_s = {}
        for case in CASES:
            rows = list(_case(world, case, live if case.live else real))
            unary_per_s[case.name] = rows[0].ours
            yield from rows
        yield from _batch(world, real, unary_per_s[CASES[0].name])


def _case(world: World, case: Case, ours: servers.Server) -> Iterator[Row]:
    ids = np.random.default_rng(world.seed).choice(world.profile_ids, _REQUESTS).tolist()
    requests = [_request(world, i, case).SerializeToString() for i in ids]
    with ExitStack() as stack:
        client = stack.enter_context(Client(ours.address, "GetProfile"))
        reply = client.call(requests[0])
        _check(world, case, ids[0], reply)
        echo = stack.enter_context(servers.echo(world, reply))
        echo_client = stack.enter_context(Client(echo.address, "GetProfile"))
        works = _works(ours, client, "ours", requests) | _works(echo, echo_client, "echo", requests)
        found = in_turns(works, _RUNS)
        per_s = {name: found[name] for name in ("ours", "echo")}
        yield row("read", f"{case.name} ({len(reply) / 1e3:.0f} KB)", per_s["ours"], "requests/s",
                  limit=per_s["echo"], goal=Goal("ratio_to_limit", ">=", case.goal))  # fmt: skip
        yield row("read", f"{case.name}, server CPU", found["ours cpu"], "us/request",
                  limit=found["echo cpu"])  # fmt: skip
        rate = _BUSY * per_s["ours"]
        latency = client.open(requests, rate, _OPEN_S)
        of_echo = echo_client.open(requests, rate, _OPEN_S)
    for measure, unit in _LATENCIES.items():
        name = f"{case.name}, {measure.partition('_')[0].replace('999', '99.9')} at 70 % load"
        yield row("read", name, getattr(latency, measure), unit, limit=getattr(of_echo, measure))


def _batch(world: World, ours: servers.Server, unary_per_s: float) -> Iterator[Row]:
    """Profiles per second with 100 to a call, 200 titles each, beside one to a call."""
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
        reply = client.call(requests[0])
        results = response_messages.BatchGetProfilesResponse.FromString(reply).results
        if [r.profile_id for r in results if not r.HasField("status")] != ids[0]:
            raise AssertionError("read: a batch does not answer its profiles in order")
        _compare(world, ids[0][0], chosen, _result(results[0].answer), live=False)
        echo = stack.enter_context(servers.echo(world, reply))
        echo_client = stack.enter_context(Client(echo.address, "BatchGetProfiles"))
        found = in_turns(
            {
                "ours": lambda: client.closed(requests, _RUN_S)[1],
                "echo": lambda: echo_client.closed(requests, _RUN_S)[1],
            },
            _RUNS,
        )
    measure = f"batch of {_BATCH} ({len(reply) / 1e6:.1f} MB), peer: unary"
    yield row("read", measure, found["ours"] * _BATCH, "profiles/s", peer=unary_per_s,
              limit=found["echo"] * _BATCH, goal=Goal("ratio_to_peer", ">=", 5))  # fmt: skip


def _works(
    server: servers.Server, client: Client, name: str, requests: list[bytes]
) -> dict[str, Callable[[], float]]:
    """Requests per second, and then the CPU time per request of that same run."""
    cpu_us: list[float] = []

    def closed() -> float:
        before_s = server.cpu_s()
        count, per_s = client.closed(requests, _RUN_S)
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
