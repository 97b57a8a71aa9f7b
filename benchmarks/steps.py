"""Where the time of one read goes, step by step, in one process; no peer.

The sum is what a request costs besides gRPC; `read` shows the whole. Each step is timed by itself
on results of the step before, one profile again and again: a server, which meets another profile
each time and runs gRPC in between, takes half as long again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.frame import Row, median_s, row
from benchmarks.world import CUTOVER_MS, QUERY_MS, SPEC, Profile, World, check, generation_name
from impressions.client.requests import projection_of
from impressions.compiled.profiles import merge_stored
from impressions.core.answer import present
from impressions.core.item import profile_key
from impressions.core.shard import shard_of
from impressions.formats.generation_paths import HostPaths
from impressions.rocksdb import generation_store
from impressions.v1 import impressions_service_pb2 as pb
from serving import frames
from serving.messages import answer_frame, context_bytes
from serving.requests import query_of, selection_of
from tests.compare import as_dict

_PROFILE_ID = 1


def run(world: World) -> Iterator[Row]:
    """The full profile and 200 titles, from the stored generation, without deltas."""
    settings, profile = world.loaded, world.profile(_PROFILE_ID)
    store = generation_store.open_read_only(
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
    projection = pb.GetProfileRequest.FromString(data).projection
    query, selection = query_of(projection, SPEC), selection_of(projection, 500)
    stored, compiled = get(), merge_stored(SPEC)
    merged = partial(compiled, QUERY_MS, CUTOVER_MS, stored, (), selection, by_title=True)
    if not titles:
        rows = compiled(QUERY_MS, CUTOVER_MS, stored, (), selection)
        check("steps", as_dict(1, rows, SPEC), profile.oracle(1, with_week=False))
    answer = present(merged(), query, SPEC)
    context = partial(context_bytes, "2026-11-15", CUTOVER_MS, QUERY_MS, None, ())
    taken_s = median_s(
        {
            "parse the request": lambda: pb.GetProfileRequest.FromString(data),
            "check it": lambda: (query_of(projection, SPEC), selection_of(projection, 500)),
            "store get": get,
            "merge": merged,
            "present": lambda: present(merged(), query, SPEC),
            "write": lambda: frames.joined([answer_frame(_PROFILE_ID, answer, context())]),
        },
        run_s=0.02,
    )
    taken_s["present"] -= taken_s["merge"]
    for step, seconds in taken_s.items():
        yield row("steps", f"{name}: {step}", seconds * 1e6, "us")
    yield row("steps", f"{name}: together", sum(taken_s.values()) * 1e6, "us")
