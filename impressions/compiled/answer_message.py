"""The message of an answer, around its columns of numbers: lengths, heads, ids and names.

In: the vector of a request (impressions/compiled/request.py) and the names of the answer's rows.
The length of everything is known before a byte is written, so nothing is moved; a column of numbers
is a head, and then the place where it is computed (answer.py). The same bytes as
serving/messages.py writes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from impressions.compiled import request as r
from impressions.compiled.table import compiled
from impressions.compiled.wire import copy, head, inside_size, integer, integer_size
from impressions.core.item import MAX_LOCATION
from impressions.core.spec import HALF_LIVES_DAYS, ITEM_LOCATION_BITS, MEASURES
from impressions.v1 import impressions_service_pb2 as pb

_DAYS = np.array(HALF_LIVES_DAYS, np.int64)
_BITS, _LOCATION = np.int64(ITEM_LOCATION_BITS), np.int64(MAX_LOCATION)
_NAMES = np.frombuffer("".join(m.name for m in MEASURES).encode(), np.uint8).copy()
_NAME_ENDS = np.cumsum([0] + [len(m.name.encode()) for m in MEASURES]).astype(np.int64)
_INTEGER, _LENGTH = 0, 2  # wire types


def _tag(message: Any, name: str, wire_type: int) -> np.int64:
    return np.int64(message.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type)


_ANSWER = _tag(pb.GetProfileResponse, "answer", _LENGTH)
_RESULT = _tag(pb.BatchGetProfilesResponse, "results", _LENGTH)
_RESULT_ID = _tag(pb.ProfileResult, "profile_id", _INTEGER)
_RESULT_ANSWER = _tag(pb.ProfileResult, "answer", _LENGTH)
_ID = _tag(pb.ProfileAnswer, "profile_id", _INTEGER)
_CONTEXT = _tag(pb.ProfileAnswer, "context", _LENGTH)
_QUERY = _tag(pb.AnswerContext, "query_time_ms", _INTEGER)
_MATCHED = _tag(pb.ProfileAnswer, "matched_rows", _INTEGER)
_TITLES = _tag(pb.ProfileAnswer, "title_ids", _LENGTH)
_LOCATIONS = _tag(pb.ProfileAnswer, "locations", _LENGTH)
_SEEN = _tag(pb.ProfileAnswer, "last_seen_ms", _LENGTH)
_TOTALS = _tag(pb.ProfileAnswer, "totals", _LENGTH)
DECAYED = _tag(pb.ProfileAnswer, "decayed", _LENGTH)
EMA_RATES = _tag(pb.ProfileAnswer, "ema_rates", _LENGTH)
_RATIOS = _tag(pb.ProfileAnswer, "plays_per_impression", _LENGTH)
_TOTAL_MEASURE = _tag(pb.TotalColumn, "measure", _LENGTH)
_TOTAL_VALUES = _tag(pb.TotalColumn, "values", _LENGTH)
_SUM_MEASURE = _tag(pb.DecayedColumn, "measure", _LENGTH)
_SUM_DAYS = _tag(pb.DecayedColumn, "half_life_days", _INTEGER)
_SUM_VALUES = _tag(pb.DecayedColumn, "values", _LENGTH)
_RATIO_DAYS = _tag(pb.RatioColumn, "half_life_days", _INTEGER)
_RATIO_VALUES = _tag(pb.RatioColumn, "values", _LENGTH)


@compiled
def _column_size(field, measure_tag, m, days_tag, h, values_tag, size):  # type: ignore[no-untyped-def]
    """Bytes of the content of a column; without a name if m < 0, without days if h < 0."""
    inner = inside_size(values_tag, size)
    if m >= 0:
        inner += inside_size(measure_tag, _NAME_ENDS[m + 1] - _NAME_ENDS[m])
    if h >= 0:
        inner += integer_size(days_tag, _DAYS[h])
    return inner


@compiled
def _column_head(out, at, field, measure_tag, m, days_tag, h, values_tag, size):  # type: ignore[no-untyped-def]
    """Write a column up to its values; where those begin."""
    inner = _column_size(field, measure_tag, m, days_tag, h, values_tag, size)
    at = head(out, at, field, inner)
    if m >= 0:
        at = head(out, at, measure_tag, _NAME_ENDS[m + 1] - _NAME_ENDS[m])
        at = copy(out, at, _NAMES, _NAME_ENDS[m], _NAME_ENDS[m + 1])
    if h >= 0:
        at = integer(out, at, days_tag, _DAYS[h])
    return head(out, at, values_tag, size)


@compiled
def answer_size(info, context, matched, groups):  # type: ignore[no-untyped-def]
    """Bytes of the `ProfileAnswer`."""
    size, columns = 8 * groups, info[r.COLUMNS]
    of_sums = (0 if columns & r.OMIT_DECAYED else 1) + (1 if columns & r.EMA_RATES else 0)
    total = inside_size(_CONTEXT, len(context) + integer_size(_QUERY, info[r.QUERY_MS]))
    total += integer_size(_ID, info[r.PROFILE_ID]) + integer_size(_MATCHED, matched)
    total += inside_size(_TITLES, size)
    if info[r.BY_LOCATION]:
        total += inside_size(_LOCATIONS, 4 * groups)
    if columns & r.LAST_SEEN:
        total += inside_size(_SEEN, size)
    for i in range(info[r.MEASURE_COUNT]):
        m = info[r.MEASURE_ORDER + i]
        if columns & r.TOTALS:
            inner = _column_size(_TOTALS, _TOTAL_MEASURE, m, 0, -1, _TOTAL_VALUES, size)
            total += inside_size(_TOTALS, inner)
        for j in range(info[r.HALF_LIFE_COUNT]):
            h = info[r.HALF_LIFE_ORDER + j]
            inner = _column_size(DECAYED, _SUM_MEASURE, m, _SUM_DAYS, h, _SUM_VALUES, size)
            total += of_sums * inside_size(DECAYED, inner)
    if columns & r.RATIOS:
        for j in range(info[r.HALF_LIFE_COUNT]):
            h = info[r.HALF_LIFE_ORDER + j]
            inner = _column_size(_RATIOS, 0, -1, _RATIO_DAYS, h, _RATIO_VALUES, size)
            total += inside_size(_RATIOS, inner)
    return total


@compiled
def heads(out, at, info, size):  # type: ignore[no-untyped-def]
    """Write what is around the answer; where it begins."""
    if not info[r.OF_BATCH]:
        return head(out, at, _ANSWER, size)
    profile_id = info[r.PROFILE_ID]
    result = integer_size(_RESULT_ID, profile_id) + inside_size(_RESULT_ANSWER, size)
    at = head(out, at, _RESULT, result)
    return head(out, integer(out, at, _RESULT_ID, profile_id), _RESULT_ANSWER, size)


@compiled
def whole_size(info, size):  # type: ignore[no-untyped-def]
    """Bytes of the answer with what is around it."""
    if not info[r.OF_BATCH]:
        return inside_size(_ANSWER, size)
    result = integer_size(_RESULT_ID, info[r.PROFILE_ID]) + inside_size(_RESULT_ANSWER, size)
    return inside_size(_RESULT, result)


@compiled
def write_names(out, at, info, context, matched, names):  # type: ignore[no-untyped-def]
    """Write id, context, the number of rows, titles and locations; where they end."""
    size, query_ms = 8 * len(names), info[r.QUERY_MS]
    at = integer(out, at, _ID, info[r.PROFILE_ID])
    at = head(out, at, _CONTEXT, len(context) + integer_size(_QUERY, query_ms))
    at = copy(out, at, context, 0, info[r.CONTEXT_HEAD])
    at = integer(out, at, _QUERY, query_ms)
    at = copy(out, at, context, info[r.CONTEXT_HEAD], len(context))
    at = integer(out, at, _MATCHED, matched)
    at = head(out, at, _TITLES, size)
    column = out[at : at + size].view(np.int64)
    at += size
    if not info[r.BY_LOCATION]:
        column[:] = names
        return at
    for i in range(len(names)):
        column[i] = names[i] >> _BITS
    at = head(out, at, _LOCATIONS, 4 * len(names))
    of_locations = out[at : at + 4 * len(names)].view(np.uint32)
    for i in range(len(names)):
        of_locations[i] = np.uint32(names[i] & _LOCATION)
    return at + 4 * len(names)


@compiled
def write_sum_heads(out, at, info, field, groups, starts):  # type: ignore[no-untyped-def]
    """Write the columns of all measures and half-lives, all values 0; `starts` tells where."""
    size = 8 * groups
    for i in range(info[r.MEASURE_COUNT]):
        for j in range(info[r.HALF_LIFE_COUNT]):
            m, h = info[r.MEASURE_ORDER + i], info[r.HALF_LIFE_ORDER + j]
            at = _column_head(
                out, at, field, _SUM_MEASURE, m, _SUM_DAYS, h, _SUM_VALUES, size
            )  # fmt: skip
            starts[i, j] = at
            out[at : at + size] = 0
            at += size
    return at


@compiled
def total_head(out, at, m, groups):  # type: ignore[no-untyped-def]
    """Write the head of a measure's totals; where its values begin."""
    return _column_head(out, at, _TOTALS, _TOTAL_MEASURE, m, 0, -1, _TOTAL_VALUES, 8 * groups)


@compiled
def ratio_head(out, at, h, groups):  # type: ignore[no-untyped-def]
    """Write the head of the plays per impression of a half-life; where the values begin."""
    return _column_head(out, at, _RATIOS, 0, -1, _RATIO_DAYS, h, _RATIO_VALUES, 8 * groups)


@compiled
def seen_head(out, at, groups):  # type: ignore[no-untyped-def]
    """Write the head of the times last seen; where they begin."""
    return head(out, at, _SEEN, 8 * groups)
