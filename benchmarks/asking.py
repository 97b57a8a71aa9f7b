"""A request of 200 titles of a profile, and a quick look at whether its reply is right.

`read` compares every number of such a reply with the oracle's; stages that ask for the same look at
the titles alone.
"""

from __future__ import annotations

import numpy as np

from benchmarks.world import QUERY_MS, World
from impressions.client import response_messages
from impressions.client.requests import projection_of
from impressions.v1 import impressions_service_pb2 as pb


def request_of(world: World, profile_id: int) -> bytes:
    """The bytes of a GetProfile request for the chosen titles of a profile."""
    chosen = world.profile(profile_id).chosen.tolist()
    data: bytes = pb.GetProfileRequest(
        profile_id=profile_id, projection=projection_of(titles=chosen), query_time_ms=QUERY_MS
    ).SerializeToString()
    return data


def check_titles(stage: str, world: World, profile_id: int, reply: bytes) -> None:
    """Every chosen title that the oracle still counts is there, and no other."""
    profile = world.profile(profile_id)
    counted = {key[1] for key in profile.oracle(profile_id, with_week=False)}
    answer = response_messages.GetProfileResponse.FromString(reply).answer
    found = np.frombuffer(answer.title_ids, "<i8").tolist()
    if found != [title for title in profile.chosen.tolist() if title in counted]:
        raise AssertionError(f"{stage}: {len(found)} titles of {len(profile.chosen)} chosen")
