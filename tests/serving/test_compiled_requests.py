"""A request that compiled code takes is one that protobuf reads, with the same numbers."""

import numpy as np
import pytest

from impressions.compiled import request as r
from impressions.v1 import impressions_service_pb2 as pb
from serving.calls import parse
from serving.requests import MAX_TIME_MS, InvalidField

PLAYS = pb.TopK(k=2, measure="plays", half_life_days=7).SerializeToString()


def compiled(data: bytes) -> tuple[bool, int]:
    """Whether it is taken, and the profile that is read in it."""
    info = np.zeros(r.SIZE, np.int64)
    info[r.PARTITIONS], info[r.LATEST_MS] = 8, MAX_TIME_MS
    titles, ids = np.empty(100, np.int64), np.empty(50, np.int64)
    left = r.parse(np.frombuffer(data, np.uint8), info, titles, np.empty(256, np.bool_), ids)
    return left == 0, int(info[r.PROFILE_ID])


def of_top_k(top_k: bytes) -> bytes:
    projection = bytes([6 << 3 | 2, len(top_k)]) + top_k
    return b"\x08\x05" + bytes([2 << 3 | 2, len(projection)]) + projection


@pytest.mark.parametrize(
    "data",
    [
        b"\x88\x80\x80\x80\x00\x05",  # a tag of 5 bytes, the longest
        b"\x08\x05\x12\x80\x80\x80\x80\x00",  # a length of 5 bytes
        b"\x08\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00",  # a value of 10 bytes
        b"\x08\x04\x08\x05",  # the last one counts
        of_top_k(PLAYS),
    ],
)
def test_what_is_taken_is_read_alike(data):
    assert pb.GetProfileRequest.FromString(data).profile_id == 5
    assert compiled(data) == (True, 5)


@pytest.mark.parametrize(
    "data",
    [
        b"\x88\x80\x80\x80\x80\x00\x05",  # a tag of 6 bytes
        b"\x08\x05\x12\x80\x80\x80\x80\x80\x00",  # a length of 6 bytes
        b"\x08\x85\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",  # a value of 11 bytes
        of_top_k(b"\x12\x02\xff\xfe" + PLAYS),  # a name that is no UTF-8, then another
    ],
)
def test_what_protobuf_refuses_is_left_to_it(data):
    with pytest.raises(InvalidField):
        parse(pb.GetProfileRequest, data)
    assert not compiled(data)[0]
