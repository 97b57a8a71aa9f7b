"""Where the time of one read goes, step by step, in one process; no peer.

The sum is what a request costs besides gRPC; `read` shows the whole. Each step is timed by itself
on results of the step before.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.frame import Row, median_s, row
from benchmarks.world import CUTOVER_MS, QUERY_MS, SPEC, Profile, World, check, generation_name
from impressions import profile_block
from impressions.answer import project
from impressions.generation import HostPaths
from impressions.item import profile_key
from impressions.merge import merge
from impressions.shard import shard_of
from impressions.shell import rocks
from impressions.v1 import impressions_service_pb2 as pb
from serving import columns_wire as twins
from serving.client import projection_of
from serving.requests import query_of
from serving.wire import answer_frame, context_bytes
from tests.compare import as_dict

_PROFILE_ID = 1


def run(world: World) -> Iterator[Row]:
    """The full profile and 200 titles, from the stored generation, without deltas."""
    settings, profile = world.loaded, world.profile(_PROFILE_ID)
    store = rocks.open_read_only(
        HostPaths(settings.host_dir).store(generation_name()), settings.host_shards
    )
    try:
        get = partial(
            store.get, shard_of(_PROFILE_ID, settings.partitions), profile_key(_PROFILE_ID)
        )
        for name, titles in (("full", []), ("200 titles", profile.chosen.tolist())):
            yield from _steps(name, titles, get, profile)
    finally:
        store.close()


def _steps(name: str, titles: list[int], get: Any, profile: Profile) -> Iterator[Row]:
    data = pb.GetProfileRequest(
        profile_id=_PROFILE_ID, projection=projection_of(titles=titles), query_time_ms=QUERY_MS
    ).SerializeToString()
    request = pb.GetProfileRequest.FromString(data)
    query = query_of(request.projection, SPEC, 500)
    stored = get()
    block = profile_block.decode(stored, SPEC)
    rows = merge(QUERY_MS, CUTOVER_MS, block, (), SPEC, query.selection)
    if not titles:
        check("steps", as_dict(1, rows, SPEC), profile.oracle(1, with_week=False))
    answer = project(rows, query, SPEC)
    context = partial(context_message, "2026-11-15", CUTOVER_MS, QUERY_MS, None, ())

    def written() -> Any:
        response = twins.GetProfileResponse()
        write_answer(response.answer, _PROFILE_ID, answer, context())
        return response

    response = written()
    taken_s = median_s(
        {
            "parse the request": lambda: pb.GetProfileRequest.FromString(data),
            "check it": lambda: query_of(request.projection, SPEC, 500),
            "store get": get,
            "decode": lambda: profile_block.decode(stored, SPEC),
            "merge": lambda: merge(QUERY_MS, CUTOVER_MS, block, (), SPEC, query.selection),
            "project": lambda: project(rows, query, SPEC),
            "write": written,
            "serialize": response.SerializeToString,
        },
        run_s=0.02,
    )
    for step, seconds in taken_s.items():
        yield row("steps", f"{name}: {step}", seconds * 1e6, "us")
    yield row("steps", f"{name}: together", sum(taken_s.values()) * 1e6, "us")
