"""Swaps of the served generation while callers ask; part of the stage `load`.

Two generations of the same events, a day apart, lie on one host. `CALLERS` threads ask its server
without a pause for 200 titles of random profiles while `activate` points it from one to the other
and back. Every reply is counted, and says which generation it is from; replies of both are compared
with the oracle.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import grpc

from benchmarks import server as servers
from benchmarks.frame import Goal, Row, row, timed_s
from benchmarks.load_client import CALLERS, Client
from benchmarks.world import CUTOVER_MS, QUERY_MS, World, applied_of, check
from bulkload.activate import activate
from bulkload.load import load
from impressions.client import response_messages
from impressions.client.requests import projection_of
from impressions.client.result import result_of
from impressions.core.spec import DAY_MS
from impressions.formats.generation_paths import generation_id
from impressions.settings.model import Settings
from impressions.v1 import impressions_service_pb2 as pb
from tests.generations import blocks_of, publish

_SWAPS, _PROFILES, _BETWEEN_S, _WITHIN_S = 6, 4, 0.5, 20.0
_CUTOVERS_MS = (CUTOVER_MS, CUTOVER_MS + DAY_MS)


@dataclass
class Callers:
    """What the callers saw.

    Attributes:
        answered_s: when each reply came.   failed: calls without a reply.
        seen: the last reply of each generation.
    """

    answered_s: list[float] = field(default_factory=list)
    failed: int = 0
    seen: dict[str, bytes] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    def ask(self, client: Client, requests: list[bytes], number: int) -> None:
        """One caller, until it is asked to stop."""
        while not self.stopping.is_set():
            number += 1
            try:
                reply = client.call(requests[number % len(requests)])
            except grpc.RpcError:
                self.failed += 1
                continue
            self.answered_s.append(time.perf_counter())
            self.seen[answer_of(reply).context.generation_id] = reply

    def longest_gap_s(self) -> float:
        """The longest time in which nobody got a reply."""
        return max(later - sooner for sooner, later in pairwise(sorted(self.answered_s)))


def rows(world: World) -> Iterator[Row]:
    """How long a swap takes as callers see it, and what it cost them."""
    settings = _host(world)
    requests = [_request(world, profile_id) for profile_id in _ids()]
    with (
        servers.of_host(settings, world.home) as server,
        Client(server.address, "GetProfile") as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        callers = Callers()
        for number in range(CALLERS):
            pool.submit(callers.ask, client, requests, number)
        try:
            taken_s = [_swap_s(settings, callers, number) for number in range(_SWAPS)]
        finally:
            callers.stopping.set()
    _check(world, callers)
    swap_s, gap_s = median(taken_s), callers.longest_gap_s()
    asked = f"{len(callers.answered_s):,} replies, {_SWAPS} swaps"
    yield row("load", "swap under load, activate to first answer", swap_s, "s",
              goal=Goal("ours", "<=", 1))  # fmt: skip
    yield row("load", "swap under load, longest gap", gap_s, "s", goal=Goal("ours", "<=", 1))
    yield row("load", f"failed requests during swaps ({asked})", callers.failed, "requests",
              goal=Goal("ours", "<=", 0))  # fmt: skip


def answer_of(reply: bytes) -> Any:
    """The `ProfileAnswer` in a reply."""
    return response_messages.GetProfileResponse.FromString(reply).answer


def _host(world: World) -> Settings:
    """Both generations loaded, the older one active."""
    source = world.home / "swapped"
    applied = [event for i in _ids() for event in applied_of(i, world.profile(i).year)]
    settings = world.settings("swap-host").model_copy(update={"generations_uri": str(source)})
    for cutover_ms in _CUTOVERS_MS:
        publish(source, blocks_of(applied, cutover_ms), cutover_ms)
        load(settings, generation_id(cutover_ms))
    activate(settings, generation_id(_CUTOVERS_MS[0]))
    return settings


def _swap_s(settings: Settings, callers: Callers, number: int) -> float:
    """Seconds from the call of `activate` to the first reply of what it activated."""
    time.sleep(_BETWEEN_S)
    target = generation_id(_CUTOVERS_MS[(number + 1) % 2])
    callers.seen.pop(target, None)
    return timed_s(lambda: _activated(settings, callers, target))


def _activated(settings: Settings, callers: Callers, target: str) -> None:
    activate(settings, target)
    give_up_s = time.perf_counter() + _WITHIN_S
    while target not in callers.seen:
        if time.perf_counter() > give_up_s:
            raise AssertionError(f"load: no answer of {target} within {_WITHIN_S} s of its swap")
        time.sleep(0.001)


def _ids() -> range:
    return range(1, 1 + _PROFILES)


def _request(world: World, profile_id: int) -> bytes:
    data: bytes = pb.GetProfileRequest(
        profile_id=profile_id,
        projection=projection_of(titles=world.profile(profile_id).chosen.tolist()),
        query_time_ms=QUERY_MS,
    ).SerializeToString()
    return data


def _check(world: World, callers: Callers) -> None:
    """The last reply of each generation, title by title, beside the oracle's."""
    if callers.seen.keys() != {generation_id(cutover_ms) for cutover_ms in _CUTOVERS_MS}:
        raise AssertionError(f"load: replies of {sorted(callers.seen)}, expected of both")
    for reply in callers.seen.values():
        found = result_of(answer_of(reply), by_location=False, last_seen=False)
        profile = world.profile(found.profile_id)
        answered = {
            title: {pair: sums[i] for pair, sums in found.decayed.items()}
            for i, title in enumerate(found.title_ids.tolist())
        }
        oracle = profile.oracle(found.profile_id, with_week=False)
        expected = {
            title: {pair: columns[pair] for pair in found.decayed}
            for (_, title, _), columns in oracle.items()  # a title has one location here
            if title in answered or title in profile.chosen
        }
        check("load", answered, expected)
