"""A request's bytes to numbers, compiled: what protobuf and serving/requests.py do, at once.

In: the bytes of a `GetProfileRequest` or `BatchGetProfilesRequest`. Out: a vector of numbers (the
positions below), the titles, the locations and the ids. Whatever is not an ordinary request that is
right in every field is answered with 1: the plain form reads it again, and answers it or says what
is wrong. So nothing here explains, and nothing here decides what an error is.

Field numbers come from the message descriptors, names of measures and half-lives from the spec.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.table import BYTES, compiled
from impressions.core.item import MAX_LOCATION, MAX_TITLE
from impressions.core.shard import MULTIPLIER, SEED
from impressions.core.spec import HALF_LIVES_DAYS, MEASURES
from impressions.v1 import impressions_service_pb2 as pb

M, H = len(MEASURES), len(HALF_LIVES_DAYS)

# Positions in the vector. What is given to `parse`:
OF_BATCH, PARTITIONS, LATEST_MS = 0, 1, 2
# What `parse` finds:
PROFILE_ID, HAS_PROFILE_ID, SHARD, QUERY_MS, HAS_QUERY_MS, IDS, TITLES = range(3, 10)
ANY_LOCATION, BY_LOCATION, COLUMNS, MEASURE_COUNT, HALF_LIFE_COUNT = range(10, 15)
TOP_K, TOP_MEASURE, TOP_HALF_LIFE = range(15, 18)
MEASURE_ORDER = 18
HALF_LIFE_ORDER = MEASURE_ORDER + M
# What is given to `answer` (impressions/compiled/answer.py):
CUTOVER_MS, FIRST_TAIL_AGE, FROM_SLOT_MS, SLOT_MS, TAG, CONTEXT_HEAD, AT, LEFT_BYTES = range(
    HALF_LIFE_ORDER + H, HALF_LIFE_ORDER + H + 8
)
SIZE = LEFT_BYTES + 1

TOTALS, LAST_SEEN, OMIT_DECAYED, EMA_RATES, RATIOS = 1, 2, 4, 8, 16
"""Flags in `COLUMNS`."""

_PLAIN = 1
_NAMES = np.frombuffer("".join(m.name for m in MEASURES).encode(), np.uint8).copy()
_NAME_ENDS = np.cumsum([0] + [len(m.name.encode()) for m in MEASURES]).astype(np.int64)
_DAYS = np.array(HALF_LIVES_DAYS, np.int64)
_LARGEST_TITLE, _LARGEST_LOCATION = np.int64(MAX_TITLE), np.int64(MAX_LOCATION)
_LARGEST_K = np.int64(2**32 - 1)
_SEED, _MULTIPLIER = np.uint32(SEED ^ 8), np.uint32(MULTIPLIER)
_LAST_GROUPING = np.int64(pb.GROUP_BY_TITLE_AND_LOCATION)
_GROUPINGS = np.int64(len(pb.GroupBy.values()))
_VARINT, _LENGTH = 0, 2  # wire types


def _number(message: Any, name: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[name].number)


def _tag(message: Any, name: str, wire_type: int) -> np.int64:
    return np.int64(_number(message, name) << 3 | wire_type)


_ID = _tag(pb.GetProfileRequest, "profile_id", _VARINT)
_BATCH_IDS = _tag(pb.BatchGetProfilesRequest, "profile_ids", _LENGTH)
_PROJECTION = _tag(pb.GetProfileRequest, "projection", _LENGTH)
_BATCH_PROJECTION = _tag(pb.BatchGetProfilesRequest, "projection", _LENGTH)
_QUERY = _tag(pb.GetProfileRequest, "query_time_ms", _VARINT)
_BATCH_QUERY = _tag(pb.BatchGetProfilesRequest, "query_time_ms", _VARINT)
_TITLE_IDS = _tag(pb.Projection, "title_ids", _LENGTH)
_LOCATIONS = _tag(pb.Projection, "locations", _LENGTH)
_MEASURES = _tag(pb.Projection, "measures", _LENGTH)
_HALF_LIVES = _tag(pb.Projection, "half_lives_days", _LENGTH)
_TOP = _tag(pb.Projection, "top_k", _LENGTH)
_GROUP_BY = _tag(pb.Projection, "group_by", _VARINT)
_OF_TOTALS = _tag(pb.Projection, "include_totals", _VARINT)
_OF_LAST_SEEN = _tag(pb.Projection, "include_last_seen", _VARINT)
_OF_OMITTED = _tag(pb.Projection, "omit_decayed", _VARINT)
_OF_RATES = _tag(pb.Projection, "include_ema_rates", _VARINT)
_OF_RATIOS = _tag(pb.Projection, "include_plays_per_impression", _VARINT)
_K = _tag(pb.TopK, "k", _VARINT)
_TOP_MEASURE = _tag(pb.TopK, "measure", _LENGTH)
_TOP_HALF_LIFE = _tag(pb.TopK, "half_life_days", _VARINT)

_INTS, _FLAGS = types.int64[::1], types.boolean[::1]


@compiled
def _varint(data, at, end):  # type: ignore[no-untyped-def]
    """A value and where it ends; -1 for one that does not end, or is longer than 64 bits."""
    value, shift = np.uint64(0), np.uint64(0)
    while at < end:
        byte = data[at]
        at += 1
        value |= np.uint64(byte & 0x7F) << shift
        if byte < 0x80:
            return np.int64(value), (at if shift < 63 or byte < 2 else -1)
        shift += np.uint64(7)
        if shift > 63:
            break
    return np.int64(0), -1


@compiled
def _short(data, at, end):  # type: ignore[no-untyped-def]
    """A tag or a length: as `_varint`, but of at most 5 bytes; protobuf refuses longer ones."""
    value, after = _varint(data, at, end)
    return value, (after if after - at <= 5 else -1)


@compiled
def _length(data, at, end):  # type: ignore[no-untyped-def]
    """Where the content of a field begins and ends; -1 if not before `end`."""
    size, at = _short(data, at, end)
    if at < 0 or size < 0 or size > end - at:
        return -1, -1
    return at, at + size


@compiled
def _measure(data, at, stop):  # type: ignore[no-untyped-def]
    """The number of the measure with this name; -1 for none."""
    for m in range(M):
        begin = _NAME_ENDS[m]
        same = _NAME_ENDS[m + 1] - begin == stop - at
        for i in range(stop - at):
            if same and data[at + i] != _NAMES[begin + i]:
                same = False
        if same:
            return m
    return -1


@compiled
def _half_life(days):  # type: ignore[no-untyped-def]
    for h in range(H):
        if _DAYS[h] == days:
            return h
    return -1


@compiled
def _chosen(info, order, count, number):  # type: ignore[no-untyped-def]
    """Append a number to those chosen, each once."""
    for i in range(info[count]):
        if info[order + i] == number:
            return
    info[order + info[count]] = number
    info[count] += 1


@compiled
def _top(data, at, end, info):  # type: ignore[no-untyped-def]
    info[TOP_MEASURE], info[TOP_HALF_LIFE] = -1, -1
    while at < end:
        tag, at = _short(data, at, end)
        if at < 0:
            return _PLAIN
        if tag == _TOP_MEASURE:
            begin, at = _length(data, at, end)
            if at < 0:
                return _PLAIN
            info[TOP_MEASURE] = _measure(data, begin, at)
            if info[TOP_MEASURE] < 0:  # another may follow, but this one may be no UTF-8
                return _PLAIN
        elif tag == _K or tag == _TOP_HALF_LIFE:  # noqa: SIM109  numba
            value, at = _varint(data, at, end)
            if at < 0:
                return _PLAIN
            if tag == _K:
                info[TOP_K] = value
            else:
                info[TOP_HALF_LIFE] = _half_life(value)
        else:
            return _PLAIN
    good = 1 <= info[TOP_K] <= _LARGEST_K and info[TOP_MEASURE] >= 0 and info[TOP_HALF_LIFE] >= 0
    return 0 if good else _PLAIN


@compiled
def _titles(data, at, end, info, titles):  # type: ignore[no-untyped-def]
    """Append packed titles; where they end, -1 if they are too many or out of range."""
    n, most = info[TITLES], len(titles)
    while at < end:
        value, at = _varint(data, at, end)
        if at < 0 or n >= most or value < 0 or value > _LARGEST_TITLE:
            return -1
        titles[n] = value
        n += 1
    info[TITLES] = n
    return at


@compiled
def _repeated(data, tag, at, end, info, titles, locations):  # type: ignore[no-untyped-def]
    """A field of a projection that has a length; where it ends, -1 if it is not ordinary."""
    begin, end = _length(data, at, end)
    if end < 0:
        return -1
    at = begin
    if tag == _TITLE_IDS:
        return _titles(data, at, end, info, titles)
    if tag == _LOCATIONS:
        if at < end and info[ANY_LOCATION]:
            locations[:] = False
            info[ANY_LOCATION] = 0
        while at < end:
            value, at = _varint(data, at, end)
            if at < 0 or value < 0 or value > _LARGEST_LOCATION:
                return -1
            locations[value] = True
        return at
    if tag == _MEASURES:
        number = _measure(data, at, end)
        if number < 0:
            return -1
        _chosen(info, MEASURE_ORDER, MEASURE_COUNT, number)
        return end
    if tag == _HALF_LIVES:
        while at < end:
            value, at = _varint(data, at, end)
            number = _half_life(value)
            if at < 0 or number < 0:
                return -1
            _chosen(info, HALF_LIFE_ORDER, HALF_LIFE_COUNT, number)
        return at
    if tag == _TOP and not info[TOP_K]:
        return end if _top(data, at, end, info) == 0 else -1
    return -1


@compiled
def _set(info, flag, value):  # type: ignore[no-untyped-def]
    info[COLUMNS] = info[COLUMNS] | flag if value else info[COLUMNS] & ~flag


@compiled
def _projection(data, at, end, info, titles, locations):  # type: ignore[no-untyped-def]
    while at < end:
        tag, at = _short(data, at, end)
        if at < 0:
            return _PLAIN
        if tag & 7 == _LENGTH:
            at = _repeated(data, tag, at, end, info, titles, locations)
            if at < 0:
                return _PLAIN
            continue
        if tag & 7 != _VARINT:
            return _PLAIN
        value, at = _varint(data, at, end)
        if at < 0:
            return _PLAIN
        if tag == _GROUP_BY:
            if value < 0 or value >= _GROUPINGS:
                return _PLAIN
            info[BY_LOCATION] = value == _LAST_GROUPING
        elif tag == _OF_TOTALS:
            _set(info, TOTALS, value)
        elif tag == _OF_LAST_SEEN:
            _set(info, LAST_SEEN, value)
        elif tag == _OF_OMITTED:
            _set(info, OMIT_DECAYED, value)
        elif tag == _OF_RATES:
            _set(info, EMA_RATES, value)
        elif tag == _OF_RATIOS:
            _set(info, RATIOS, value)
        else:
            return _PLAIN
    return 0


@compiled
def _ascending(titles, n):  # type: ignore[no-untyped-def]
    """Sort the titles, each once; how many there are. Nothing is done if they are sorted."""
    sorted_already = True
    for i in range(1, n):
        if titles[i] <= titles[i - 1]:
            sorted_already = False
    if sorted_already:
        return n
    ordered, found = np.sort(titles[:n]), 0
    for i in range(n):
        if found == 0 or ordered[i] != titles[found - 1]:
            titles[found] = ordered[i]
            found += 1
    return found


@compiled
def _shard(profile_id, partitions):  # type: ignore[no-untyped-def]
    """impressions/core/shard.py, for one profile."""
    m, h = _MULTIPLIER, _SEED
    for word in range(2):
        k = np.uint32(0)
        for byte in range(4):  # the id is big-endian, the words are not
            value = (np.uint64(profile_id) >> np.uint64(8 * (7 - 4 * word - byte))) & np.uint64(255)
            k |= np.uint32(value << np.uint64(8 * byte))
        k = np.uint32(k * m)
        k = np.uint32((k ^ (k >> np.uint32(24))) * m)
        h = np.uint32(np.uint32(h * m) ^ k)
    h = np.uint32((h ^ (h >> np.uint32(13))) * m)
    h = np.uint32(h ^ (h >> np.uint32(15)))
    return np.int64(h & np.uint32(0x7FFFFFFF)) % partitions


@kept(types.int64(types.int64, types.int64))
def shard_of(profile_id, partitions):  # type: ignore[no-untyped-def]
    """The shard of a profile; equal to impressions/core/shard.py."""
    return _shard(profile_id, partitions)


@compiled
def _begin(info):  # type: ignore[no-untyped-def]
    """A request without any field."""
    info[PROFILE_ID:CUTOVER_MS] = 0
    info[ANY_LOCATION] = 1


@compiled
def _ids(data, at, end, info, ids):  # type: ignore[no-untyped-def]
    while at < end:
        value, at = _varint(data, at, end)
        if at < 0 or info[IDS] >= len(ids):
            return -1
        ids[info[IDS]] = value
        info[IDS] += 1
    return at


@compiled
def _fields(data, info, titles, locations, ids):  # type: ignore[no-untyped-def]
    """Every field of the request; 1 for one that is not ordinary."""
    batch = info[OF_BATCH] == 1
    at, end, has_projection = 0, len(data), False
    while at < end:
        tag, at = _short(data, at, end)
        if at < 0:
            return _PLAIN
        if not batch and tag == _ID:
            info[PROFILE_ID], at = _varint(data, at, end)
            info[HAS_PROFILE_ID] = 1
        elif tag == (_BATCH_QUERY if batch else _QUERY):
            info[QUERY_MS], at = _varint(data, at, end)
            info[HAS_QUERY_MS] = 1
        elif batch and tag == _BATCH_IDS:
            begin, stop = _length(data, at, end)
            at = -1 if stop < 0 else _ids(data, begin, stop, info, ids)
        elif tag == (_BATCH_PROJECTION if batch else _PROJECTION) and not has_projection:
            has_projection = True
            begin, at = _length(data, at, end)
            if at < 0 or _projection(data, begin, at, info, titles, locations):
                return _PLAIN
        else:
            return _PLAIN
        if at < 0:
            return _PLAIN
    return 0


@kept(types.int64(BYTES, _INTS, _INTS, _FLAGS, _INTS))
def parse(data, info, titles, locations, ids):  # type: ignore[no-untyped-def]
    """Fill the vector from a request.

    Args:
        data: the bytes of a request, of a batch if `info[OF_BATCH]`.
        info: (SIZE,) int64; `PARTITIONS` and `LATEST_MS` (of a query time) are given.
        titles: as long as a request may have titles; filled ascending, each once.
        locations: (256,); filled unless `info[ANY_LOCATION]`.
        ids: as long as a batch may have ids; filled in the order of the request.

    Returns:
        0; or 1: leave the request to the plain form.
    """
    _begin(info)
    if _fields(data, info, titles, locations, ids):
        return _PLAIN
    info[TITLES] = _ascending(titles, info[TITLES])
    if not info[MEASURE_COUNT]:
        info[MEASURE_COUNT] = M
        for m in range(M):
            info[MEASURE_ORDER + m] = m
    if not info[HALF_LIFE_COUNT]:
        info[HALF_LIFE_COUNT] = H
        for h in range(H):
            info[HALF_LIFE_ORDER + h] = h
    if info[HAS_QUERY_MS] and not 0 <= info[QUERY_MS] <= info[LATEST_MS]:
        return _PLAIN
    if info[OF_BATCH]:
        return 0 if info[IDS] else _PLAIN
    if not info[HAS_PROFILE_ID] or info[PROFILE_ID] < 0:
        return _PLAIN
    info[SHARD] = _shard(info[PROFILE_ID], info[PARTITIONS])
    return 0
