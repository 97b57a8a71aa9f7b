"""200 titles of a profile beside what one would build instead; peers: Feast, Redis + gRPC.

    Feast            its Python feature server over Redis (peers/feast_server.py)
    Redis + Python   a hash per profile behind a gRPC service of our proto (peers/redis_server.py)
    Redis + Go       the same, compiled (peers/go/redis)

All hold the same numbers of the same few profiles: 15 sums, 3 totals and the time last seen of each
title, and answer all of them. Each has one core for everything it runs, a store's server included,
and is asked in turns by as many callers. Ours computes the sums of the query time at each read and
could add live deltas; the peers return what was stored for that time. Feast's servers in Go and
Java are not here: docs/performance.md says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import server as servers
from benchmarks.contest import OURS, Asked, Found, contest
from benchmarks.frame import Goal, Row, beside_ours, row
from benchmarks.json_client import JsonClient
from benchmarks.load_client import Client
from benchmarks.peers import running
from benchmarks.peers.feast_server import SERVICE, columns
from benchmarks.peers.installed import PeerMissing
from benchmarks.peers.rows import Stored, write
from benchmarks.world import CUTOVER_MS, QUERY_MS, SPEC, World, check
from impressions.client import ProfileResult, response_messages
from impressions.client.requests import projection_of
from impressions.client.result import result_of
from impressions.core.answer import by_title
from impressions.core.item import title_of
from impressions.core.merge import Selection, merge
from impressions.formats import profile_block
from impressions.terminal.console import say
from impressions.v1 import impressions_service_pb2 as pb
from tests.compare import as_dict

_PROFILES, _FEAST_RUN_S, _OPEN_RUNS, _OPEN_S = 4, 2.0, 3, 2.0
_BUSY = 0.7
_BELOW_FLOAT32 = 1e-37
"""Sums of a 1-day half-life that a peer's float32 cannot hold; there 0 is right."""

_GOALS = {"Feast, Python server": Goal("ratio_to_peer", ">=", 10)}


def run(world: World) -> Iterator[Row]:
    """Ours beside each peer that could be installed."""
    ids = list(world.profile_ids)[:_PROFILES]
    stored = stored_of(world, ids)
    file = world.home / "rows.npz"
    write(file, stored)
    with ExitStack() as stack:
        asked = {OURS: _ours(world, ids, stored, stack)}
        asked |= _peers(world, ids, stored, file, stack)
        found = contest(asked)
        opened = {
            name: partial(_p50_ms, each, _BUSY * found.per_s[name]) for name, each in asked.items()
        }
        p50_ms = beside_ours(opened, _OPEN_RUNS)
        for name in asked:
            if name != OURS:
                yield from _rows(name, found, p50_ms)


def stored_of(world: World, ids: list[int]) -> Stored:
    """What the peers hold: the answers at the query time, compared with the oracle's."""
    parts = []
    for profile_id in ids:
        profile = world.profile(profile_id)
        block = profile_block.decode(profile.block, SPEC)
        selection = Selection(titles=profile.chosen)
        merged = merge(QUERY_MS, CUTOVER_MS, block, (), SPEC, selection)
        if profile_id == ids[0]:
            oracle = profile.oracle(profile_id, with_week=False)
            chosen = set(profile.chosen.tolist())
            expected = {key: columns for key, columns in oracle.items() if key[1] in chosen}
            check("read-peers", as_dict(profile_id, merged, SPEC), expected)
        parts.append(by_title(merged))
    return Stored(
        measures=list(SPEC.measure_names),
        half_lives_days=list(SPEC.half_lives_days),
        profile_ids=np.repeat(ids, [len(part) for part in parts]),
        title_ids=np.concatenate([title_of(part.items) for part in parts]),
        last_seen_ms=np.concatenate([part.last_seen_ms for part in parts]),
        totals=np.concatenate([part.totals.T for part in parts]),
        sums=np.concatenate([part.sums.transpose(2, 0, 1) for part in parts]),
    )


def _ours(world: World, ids: list[int], stored: Stored, stack: ExitStack) -> Asked:
    server = stack.enter_context(servers.real(world))
    client = stack.enter_context(Client(server.address, "GetProfile"))
    asked = Asked(client, _requests(ids, stored), (server,))
    _check_answer(asked, stored, rtol=1e-9)
    return asked


def _peers(
    world: World, ids: list[int], stored: Stored, file: Path, stack: ExitStack
) -> dict[str, Asked]:
    """Redis and what stands on it, running and found to hold the same numbers; what cannot be had
    or answers otherwise is left out, and said."""
    try:
        store = stack.enter_context(running.redis(world.home))
    except PeerMissing as missing:
        say(f"bench: read_peers: {missing}")
        return {}

    def over_grpc(service: servers.Server) -> Asked:
        client = stack.enter_context(Client(service.address, "GetProfile"))
        asked = Asked(client, _requests(ids, stored), (service, store.server))
        _check_answer(asked, stored, rtol=1e-6)
        return asked

    def feast() -> Asked:
        service = stack.enter_context(running.feast(file, store, world.home))
        client, bodies = (
            JsonClient(service.address, "/get-online-features"),
            _json_requests(ids, stored),
        )
        _check_json(client.call(bodies[0]), stored, ids[0])
        return Asked(client, bodies, (service, store.server), _FEAST_RUN_S)

    makers: dict[str, Callable[[], Asked]] = {
        "Redis + Python gRPC": lambda: over_grpc(
            stack.enter_context(running.redis_service(file, store, world.home))
        ),
        "Redis + Go gRPC": lambda: over_grpc(
            stack.enter_context(running.redis_service_in_go(stored, store, world.home))
        ),
        "Feast, Python server": feast,
    }
    asked = {}
    for name, make in makers.items():
        try:
            asked[name] = make()
        except (PeerMissing, RuntimeError, AssertionError) as error:
            say(f"bench: read_peers: {name} left out: {error}")
    return asked


def _p50_ms(asked: Asked, per_s: float) -> float:
    if isinstance(asked.client, JsonClient):
        return asked.client.open_p50_ms(asked.requests, per_s, _OPEN_S)
    return asked.client.open(asked.requests, per_s, _OPEN_S).p50_ms


def _rows(name: str, found: Found, p50_ms: Mapping[str, float]) -> Iterator[Row]:
    """CPU first; a peer's latency at 70 % of its own rate, and ours at 70 % of ours."""
    yield row("read", f"200 titles, server CPU; peer: {name}", found.cpu_us[OURS], "us/request",
              peer=found.cpu_us[name])  # fmt: skip
    yield row("read", f"200 titles; peer: {name}", found.per_s[OURS], "requests/s",
              peer=found.per_s[name], goal=_GOALS.get(name))  # fmt: skip
    yield row("read", f"200 titles, p50 at 70 % of its own rate; peer: {name}", p50_ms[OURS], "ms",
              peer=p50_ms[name])  # fmt: skip


def _requests(ids: list[int], stored: Stored) -> list[bytes]:
    return [
        pb.GetProfileRequest(
            profile_id=i,
            projection=projection_of(titles=_titles(stored, i), totals=True, last_seen=True),
            query_time_ms=QUERY_MS,
        ).SerializeToString()
        for i in ids
    ]


def _json_requests(ids: list[int], stored: Stored) -> list[bytes]:
    bodies = []
    for i in ids:
        titles = _titles(stored, i)
        entities = {"profile_id": [i] * len(titles), "title_id": titles}
        body = {"feature_service": SERVICE, "entities": entities, "full_feature_names": True}
        bodies.append(json.dumps(body).encode())
    return bodies


def _titles(stored: Stored, profile_id: int) -> list[int]:
    titles: list[int] = stored.title_ids[stored.profile_ids == profile_id].tolist()
    return titles


def _check_answer(asked: Asked, stored: Stored, rtol: float) -> None:
    """An answer of our proto holds what was stored."""
    for request in asked.requests[:2]:
        assert isinstance(asked.client, Client)
        reply = response_messages.GetProfileResponse.FromString(asked.client.call(request))
        found: ProfileResult = result_of(reply.answer, by_location=False, last_seen=True)
        features: dict[str, object] = {"last_seen_ms": found.last_seen_ms}
        for measure, values in found.totals.items():
            features[f"{measure}_total"] = values
        for (measure, days), values in found.decayed.items():
            features[f"{measure}_hl_{days}d"] = values
        _compare(features, found.title_ids.tolist(), stored, found.profile_id, rtol)


def _check_json(reply: bytes, stored: Stored, profile_id: int) -> None:
    """Feast's answer holds what was stored; its rows are in the order of the request."""
    answer = json.loads(reply)
    names = (name.split("__")[-1] for name in answer["metadata"]["feature_names"])
    features = {
        name: result["values"] for name, result in zip(names, answer["results"], strict=True)
    }
    titles = features.pop("title_id")
    features.pop("profile_id")
    _compare(features, titles, stored, profile_id, rtol=1e-6)


def _compare(
    found: dict[str, object], titles: list[int], stored: Stored, profile_id: int, rtol: float
) -> None:
    mine = stored.profile_ids == profile_id
    np.testing.assert_array_equal(titles, stored.title_ids[mine])
    expected = {name: values[mine] for name, values in columns(stored).items()}
    if found.keys() != expected.keys():
        raise AssertionError(f"read-peers: columns {sorted(found)}, expected {sorted(expected)}")
    for name, values in expected.items():
        np.testing.assert_allclose(
            found[name], values, rtol=rtol, atol=_BELOW_FLOAT32, err_msg=name
        )
