"""Stored bytes of one profile to the bytes of its answer, compiled: select, merge, decay, present,
encode, at once.

In: a profile block, delta blocks, and the vector of a request (impressions/compiled/request.py).
Out: a `GetProfileResponse`, or one result of a `BatchGetProfilesResponse`, in a buffer of the
caller. Each column is added up where it lies in the message, so no row is made in between.

The same bytes as by the plain way: `merge_bytes` (profile_kernels.py), then `present`
(impressions/core/answer.py), then serving/messages.py; tests/serving/test_compiled_answers.py holds
them equal. What is unusual (damaged bytes, an answer above the limit, no number) is left to that.

    1. places    where each table's columns are; every check of the plain decoders
    2. choose    rows of the selection, and which row of the answer each belongs to
    3. top       only those rows of the answer that are among the k largest, in their order
    4. length    of the message, before a byte of it is written
    5. write     heads, and column by column, each value times its part's factor
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from impressions.compiled import request as r
from impressions.compiled.cache import kept
from impressions.compiled.profile_kernels import (
    NEVER,
    add_exact,
    add_stored,
    ascend,
    choose_all,
    describe,
    part_of,
)
from impressions.compiled.request import H, M
from impressions.compiled.runs import order_of, slots_of
from impressions.compiled.table import (
    BAD,
    BYTES,
    add_column,
    among_counted,
    compiled,
    integers,
    newest,
)
from impressions.compiled.wanted import is_near, near_of, number_of, numbered
from impressions.compiled.wire import OUT, copy, head, inside_size, integer, integer_size
from impressions.core.decay import rate_per_day
from impressions.core.item import MAX_LOCATION
from impressions.core.spec import DAY_MS, HALF_LIVES_DAYS, ITEM_LOCATION_BITS, MEASURES, Spec
from impressions.formats.columns import YEAR_10000_MS
from impressions.formats.profile_block import rooted
from impressions.v1 import impressions_service_pb2 as pb

PLAIN = -1
"""Leave the answer to the plain way."""

_HALF_LIVES_MS = np.array(HALF_LIVES_DAYS, np.float64) * DAY_MS
_DAYS = np.array(HALF_LIVES_DAYS, np.int64)
_RATES = np.array([rate_per_day(h) for h in HALF_LIVES_DAYS])
_ROOTED = np.zeros(H, np.bool_)
_ROOTED[rooted(Spec())] = True
_INTEGRAL = np.array([m.integral for m in MEASURES], np.bool_)
_PLAYS = [m.name for m in MEASURES].index("plays")
_IMPRESSIONS = [m.name for m in MEASURES].index("impressions")
_BITS, _LOCATION = np.int64(ITEM_LOCATION_BITS), np.int64(MAX_LOCATION)
_NAMES = np.frombuffer("".join(m.name for m in MEASURES).encode(), np.uint8).copy()
_NAME_ENDS = np.cumsum([0] + [len(m.name.encode()) for m in MEASURES]).astype(np.int64)
_END_OF_TIME_MS = np.int64(YEAR_10000_MS)
_DROPPED = np.uint32(2**32 - 1)
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
_DECAYED = _tag(pb.ProfileAnswer, "decayed", _LENGTH)
_EMA_RATES = _tag(pb.ProfileAnswer, "ema_rates", _LENGTH)
_RATIOS = _tag(pb.ProfileAnswer, "plays_per_impression", _LENGTH)
_TOTAL_MEASURE = _tag(pb.TotalColumn, "measure", _LENGTH)
_TOTAL_VALUES = _tag(pb.TotalColumn, "values", _LENGTH)
_SUM_MEASURE = _tag(pb.DecayedColumn, "measure", _LENGTH)
_SUM_DAYS = _tag(pb.DecayedColumn, "half_life_days", _INTEGER)
_SUM_VALUES = _tag(pb.DecayedColumn, "values", _LENGTH)
_RATIO_DAYS = _tag(pb.RatioColumn, "half_life_days", _INTEGER)
_RATIO_VALUES = _tag(pb.RatioColumn, "values", _LENGTH)

_INTS, _FLAGS = types.int64[::1], types.boolean[::1]


# ---- choose


@compiled
def _choose_in(  # type: ignore[no-untyped-def]
    items, first, near, near_shift, table, numbers, shift,
    any_location, locations, chosen, slots, at,
):  # fmt: skip
    """Append each row of a wanted title, and the number of its title; where they end."""
    end = at
    for i in range(first, len(items)):  # without a branch: the next row takes the place of a wrong
        chosen[end] = i
        end += is_near(items[i] >> _BITS, near, near_shift)
    for j in range(at, end):
        row = chosen[j]
        item = items[row]
        if item < 0:
            continue
        number = number_of(item >> _BITS, table, numbers, shift)
        if number >= 0 and (any_location or locations[item & _LOCATION]):
            chosen[at], slots[at] = row, number
            at += 1
    return at


@compiled
def _present_only(titles, slots):  # type: ignore[no-untyped-def]
    """The titles that some row has; slots become positions among those."""
    place, found = np.zeros(len(titles), np.uint32), 0
    for i in range(len(slots)):
        place[slots[i]] = 1
    names = np.empty(len(titles), np.int64)
    for t in range(len(titles)):
        if place[t]:
            names[found], place[t] = titles[t], found
            found += 1
    if found < len(titles):
        for i in range(len(slots)):
            slots[i] = place[slots[i]]
    return names[:found]


@compiled
def _choose_titles(  # type: ignore[no-untyped-def]
    block, deltas, edges, first_tail_row, where, about, titles, locations, any_location, bounds
):  # fmt: skip
    """Of wanted titles by title: names, rows and slots; `bounds[0]` is BAD if items are not in
    order."""
    rows = about[:, 0].sum()
    chosen, slots = np.empty(rows, np.uint32), np.empty(rows, np.uint32)
    table, numbers, shift = numbered(titles)
    near, near_shift = near_of(titles)
    at = 0
    for p in range(len(about)):
        if about[p, 0]:
            data = part_of(p, block, deltas, edges)
            items = integers(data, where[p, 0, 0], about[p, 0], where[p, 0, 1])
            if p != 1 and not ascend(items):
                bounds[0] = BAD
                return titles, chosen, slots
            at = _choose_in(
                items, first_tail_row if p == 1 else 0, near, near_shift, table, numbers, shift,
                any_location, locations, chosen, slots, at,
            )  # fmt: skip
        bounds[p + 1] = at
    chosen, slots = chosen[:at], slots[:at]
    return _present_only(titles, slots), chosen, slots


@compiled
def _choose_others(  # type: ignore[no-untyped-def]
    block, deltas, edges, first_tail_row, where, about, titles, locations, any_location, by_title,
    bounds,
):  # fmt: skip
    """The same of every title, or by item."""
    keys, chosen, found = choose_all(
        block, deltas, edges, first_tail_row, where, about,
        titles, len(titles) == 0, locations, any_location, by_title,
    )  # fmt: skip
    slots = np.empty(len(keys), np.uint32)
    if not len(found):
        bounds[0] = BAD
        return keys, chosen, slots
    bounds[:] = found
    small = keys[bounds[1] :]
    names, of_body, of_small = slots_of(keys[: bounds[1]], small, order_of(small))
    slots[: bounds[1]], slots[bounds[1] :] = of_body, of_small
    return names, chosen, slots


# ---- add


@compiled
def _floats(out, at, n):  # type: ignore[no-untyped-def]
    return out[at : at + 8 * n].view(np.float64)


@compiled
def _add_sums(  # type: ignore[no-untyped-def]
    block, deltas, edges, where, about, bounds, chosen, slots, query_ms, m,
    half_lives, starts, groups, out,
):  # fmt: skip
    """Add decayed sums of a measure to the values at out[starts[j] :], of each half_lives[j]."""
    for p in range(len(about)):
        lower, upper = bounds[p], bounds[p + 1]
        if lower == upper:
            continue
        data, n = part_of(p, block, deltas, edges), about[p, 0]
        rows, into = chosen[lower:upper], slots[lower:upper]
        start, with_sums = where[p, 2 + M + m]
        if with_sums < n:
            of_total = where[p, 2 + m]
            rows, into = among_counted(data, of_total[0], n, of_total[1], rows, into)
        if not len(rows):
            continue
        if p > 1:
            exact = data[start : start + 8 * with_sums * H].view(np.float64)
        else:
            stored = data[start : start + 4 * with_sums * H].view(np.float32)
        for j in range(len(half_lives)):
            h = half_lives[j]
            factor = np.exp2((about[p, 2] - query_ms) / _HALF_LIVES_MS[h])
            values, base = _floats(out, starts[j], groups), np.uint64(with_sums * h)
            if p > 1:
                add_exact(exact, base, rows, into, factor, values)
            else:
                add_stored(stored, base, rows, into, factor, _ROOTED[h], values)


@compiled
def _top(sums, k):  # type: ignore[no-untyped-def]
    """The positions of the k largest, the first of equal ones first; none if one is no number."""
    for i in range(len(sums)):
        if np.isnan(sums[i]):
            return np.empty(0, np.int64)
    return np.argsort(-sums, kind="mergesort")[: min(k, len(sums))]


@compiled
def _keep(order, groups, bounds, chosen, slots):  # type: ignore[no-untyped-def]
    """Leave only rows of these groups, which get the numbers they have in `order`."""
    place = np.full(groups, _DROPPED, np.uint32)
    for i in range(len(order)):
        place[order[i]] = i
    at, begin = 0, 0
    for p in range(len(bounds) - 1):
        for i in range(begin, bounds[p + 1]):
            if place[slots[i]] != _DROPPED:
                chosen[at], slots[at] = chosen[i], place[slots[i]]
                at += 1
        begin = bounds[p + 1]
        bounds[p + 1] = at


# ---- write


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
def _answer_size(info, context, matched, groups):  # type: ignore[no-untyped-def]
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
            inner = _column_size(_DECAYED, _SUM_MEASURE, m, _SUM_DAYS, h, _SUM_VALUES, size)
            total += of_sums * inside_size(_DECAYED, inner)
    if columns & r.RATIOS:
        for j in range(info[r.HALF_LIFE_COUNT]):
            h = info[r.HALF_LIFE_ORDER + j]
            inner = _column_size(_RATIOS, 0, -1, _RATIO_DAYS, h, _RATIO_VALUES, size)
            total += inside_size(_RATIOS, inner)
    return total


@compiled
def _heads(out, at, info, size):  # type: ignore[no-untyped-def]
    """Write what is around the answer; where it begins."""
    if not info[r.OF_BATCH]:
        return head(out, at, _ANSWER, size)
    profile_id = info[r.PROFILE_ID]
    result = integer_size(_RESULT_ID, profile_id) + inside_size(_RESULT_ANSWER, size)
    at = head(out, at, _RESULT, result)
    return head(out, integer(out, at, _RESULT_ID, profile_id), _RESULT_ANSWER, size)


@compiled
def _whole_size(info, size):  # type: ignore[no-untyped-def]
    """Bytes of the answer with what is around it."""
    if not info[r.OF_BATCH]:
        return inside_size(_ANSWER, size)
    result = integer_size(_RESULT_ID, info[r.PROFILE_ID]) + inside_size(_RESULT_ANSWER, size)
    return inside_size(_RESULT, result)


@compiled
def _write_names(out, at, info, context, matched, names):  # type: ignore[no-untyped-def]
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
def _write_seen(out, at, block, deltas, edges, where, about, bounds, chosen, slots, groups):  # type: ignore[no-untyped-def]
    at = head(out, at, _SEEN, 8 * groups)
    seen = out[at : at + 8 * groups].view(np.int64)
    seen[:] = NEVER
    for p in range(len(about)):
        lower, upper = bounds[p], bounds[p + 1]
        if lower < upper:
            newest(
                part_of(p, block, deltas, edges), where[p, 1, 0], about[p, 0], where[p, 1, 1],
                chosen[lower:upper], slots[lower:upper], about[p, 1], seen,
            )  # fmt: skip
    return at + 8 * groups


@compiled
def _write_totals(  # type: ignore[no-untyped-def]
    out, at, info, block, deltas, edges, where, about, bounds, chosen, slots, groups
):  # fmt: skip
    size = 8 * groups
    for i in range(info[r.MEASURE_COUNT]):
        m = info[r.MEASURE_ORDER + i]
        at = _column_head(out, at, _TOTALS, _TOTAL_MEASURE, m, 0, -1, _TOTAL_VALUES, size)
        total = _floats(out, at, groups)
        total[:] = 0.0
        for p in range(len(about)):
            lower, upper = bounds[p], bounds[p + 1]
            if lower < upper:
                add_column(
                    part_of(p, block, deltas, edges), where[p, 2 + m, 0], about[p, 0],
                    where[p, 2 + m, 1], chosen[lower:upper], slots[lower:upper], total,
                )  # fmt: skip
        at += size
    return at


@compiled
def _write_sum_heads(out, at, info, field, groups, starts):  # type: ignore[no-untyped-def]
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
def _write_sums(  # type: ignore[no-untyped-def]
    out, at, info, block, deltas, edges, where, about, bounds, chosen, slots, groups
):  # fmt: skip
    """Write decayed sums and rates, as far as they are wanted; where they end."""
    columns = info[r.COLUMNS]
    decayed, rates = not columns & r.OMIT_DECAYED, columns & r.EMA_RATES
    if not decayed and not rates:
        return at
    wanted = info[r.HALF_LIFE_ORDER : r.HALF_LIFE_ORDER + info[r.HALF_LIFE_COUNT]]
    starts = np.empty((info[r.MEASURE_COUNT], len(wanted)), np.int64)
    at = _write_sum_heads(out, at, info, _DECAYED if decayed else _EMA_RATES, groups, starts)
    for i in range(len(starts)):
        _add_sums(
            block, deltas, edges, where, about, bounds, chosen, slots, info[r.QUERY_MS],
            info[r.MEASURE_ORDER + i], wanted, starts[i], groups, out,
        )  # fmt: skip
    if not rates:
        return at
    into = starts
    if decayed:
        into = np.empty_like(starts)
        at = _write_sum_heads(out, at, info, _EMA_RATES, groups, into)
    for i in range(len(starts)):
        for j in range(len(wanted)):
            sums, rate = _floats(out, starts[i, j], groups), _floats(out, into[i, j], groups)
            for g in range(groups):
                rate[g] = sums[g] * _RATES[wanted[j]]
    return at


@compiled
def _write_ratios(  # type: ignore[no-untyped-def]
    out, at, info, block, deltas, edges, where, about, bounds, chosen, slots, groups
):  # fmt: skip
    """Write plays per impression; where they end."""
    size = 8 * groups
    wanted = info[r.HALF_LIFE_ORDER : r.HALF_LIFE_ORDER + info[r.HALF_LIFE_COUNT]]
    both = np.zeros((2, len(wanted), size), np.uint8)
    for i in range(2):
        _add_sums(
            block, deltas, edges, where, about, bounds, chosen, slots, info[r.QUERY_MS],
            _IMPRESSIONS if i else _PLAYS, wanted, np.arange(len(wanted)) * size,
            groups, both[i].reshape(len(wanted) * size),
        )  # fmt: skip
    for j in range(len(wanted)):
        at = _column_head(
            out, at, _RATIOS, 0, -1, _RATIO_DAYS, wanted[j], _RATIO_VALUES, size
        )  # fmt: skip
        ratio = _floats(out, at, groups)
        plays, impressions = both[0, j].view(np.float64), both[1, j].view(np.float64)
        for g in range(groups):
            ratio[g] = plays[g] / impressions[g] if impressions[g] > 0 else 0.0
        at += size
    return at


@compiled
def _top_order(info, block, deltas, edges, where, about, bounds, chosen, slots, groups):  # type: ignore[no-untyped-def]
    """Groups by the sum that was asked for, the largest first; none if one is no number."""
    sums = np.zeros(8 * groups, np.uint8)
    _add_sums(
        block, deltas, edges, where, about, bounds, chosen, slots, info[r.QUERY_MS],
        info[r.TOP_MEASURE], info[r.TOP_HALF_LIFE : r.TOP_HALF_LIFE + 1],
        np.zeros(1, np.int64), groups, sums,
    )  # fmt: skip
    return _top(sums.view(np.float64), info[r.TOP_K])


@kept(types.int64(BYTES, BYTES, _INTS, _INTS, _INTS, _FLAGS, BYTES, OUT))
def answer(block, deltas, sizes, info, titles, locations, context, out):  # type: ignore[no-untyped-def]
    """Write the answer of one profile to out[info[AT]:].

    Args:
        block: bytes of the profile block; empty if there is none.
        deltas, sizes: bytes of all delta blocks; (d,) int64 how many each has.
        info: (SIZE,) int64, filled by `parse`, and the fields for `answer` by the caller:
            `CUTOVER_MS` and `FROM_SLOT_MS` are the smallest int64 without a generation.
        titles, locations: as `parse` has filled them.
        context: bytes of an `AnswerContext` without its query time, of which `CONTEXT_HEAD` stand
            before that.
        out: where the message goes.

    Returns:
        Where it ends; PLAIN; or -2 - n: `out` needs n bytes more than it has.
    """
    parts = 2 + len(sizes)
    edges = np.zeros(parts - 1, np.int64)
    edges[1:] = np.cumsum(sizes)
    where = np.zeros((parts, 2 + 2 * M, 2), np.int64)
    about = np.zeros((parts, 3), np.int64)
    times, limits = np.empty(4, np.int64), np.empty(2, np.int64)
    times[0], times[1] = info[r.QUERY_MS], info[r.CUTOVER_MS]
    times[2], times[3] = info[r.FIRST_TAIL_AGE], info[r.FROM_SLOT_MS]
    limits[0], limits[1] = info[r.SLOT_MS], _END_OF_TIME_MS
    first_tail_row = describe(
        block, deltas, edges, times, H, _INTEGRAL, info[r.TAG], limits, where, about
    )
    if first_tail_row == BAD:
        return PLAIN
    wanted, any_location = titles[: info[r.TITLES]], info[r.ANY_LOCATION] == 1
    bounds = np.zeros(parts + 1, np.int64)
    if len(wanted) and not info[r.BY_LOCATION]:
        names, chosen, slots = _choose_titles(
            block, deltas, edges, first_tail_row, where, about, wanted, locations, any_location,
            bounds,
        )  # fmt: skip
    else:
        names, chosen, slots = _choose_others(
            block, deltas, edges, first_tail_row, where, about, wanted, locations, any_location,
            not info[r.BY_LOCATION], bounds,
        )  # fmt: skip
    if bounds[0] == BAD:
        return PLAIN
    matched = len(names)
    if info[r.TOP_K] and matched:
        order = _top_order(
            info, block, deltas, edges, where, about, bounds, chosen, slots, matched
        )  # fmt: skip
        if not len(order):
            return PLAIN
        _keep(order, matched, bounds, chosen, slots)
        names = names[order]
    groups = len(names)
    size = _answer_size(info, context, matched, groups)
    whole, at = _whole_size(info, size), info[r.AT]
    if (whole if info[r.OF_BATCH] else size) > info[r.LEFT_BYTES]:
        return PLAIN
    if at + whole > len(out):
        return -2 - (at + whole - len(out))
    at = _write_names(out, _heads(out, at, info, size), info, context, matched, names)
    columns = info[r.COLUMNS]
    if columns & r.LAST_SEEN:
        at = _write_seen(
            out, at, block, deltas, edges, where, about, bounds, chosen, slots, groups
        )  # fmt: skip
    if columns & r.TOTALS:
        at = _write_totals(
            out, at, info, block, deltas, edges, where, about, bounds, chosen, slots, groups
        )  # fmt: skip
    at = _write_sums(
        out, at, info, block, deltas, edges, where, about, bounds, chosen, slots, groups
    )  # fmt: skip
    if columns & r.RATIOS:
        at = _write_ratios(
            out, at, info, block, deltas, edges, where, about, bounds, chosen, slots, groups
        )  # fmt: skip
    return at
