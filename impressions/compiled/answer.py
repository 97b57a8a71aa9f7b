"""Stored bytes of one profile to the bytes of its answer, compiled: select, merge, decay, present,
encode, at once.

In: a profile block, delta blocks, and the vector of a request (impressions/compiled/request.py).
Out: a `GetProfileResponse`, or one result of a `BatchGetProfilesResponse`, in a buffer of the
caller. Each column is added up where it lies in the message, so no row is made in between.

The same bytes as by the plain way: `merge_bytes` (profile_kernels.py), then `present`
(impressions/core/answer.py), then serving/messages.py; tests/serving/test_compiled_answers.py holds
them equal. What is unusual (damaged bytes, an answer above the limit, no number) is left to that.

    1. places    where each part's columns are (stored_parts.py)
    2. choose    rows of the selection, and which row of the answer each is (chosen_rows.py)
    3. top       only those rows of the answer that are among the k largest, in their order
    4. length    of the message, before a byte of it is written (answer_message.py)
    5. write     heads, and column by column, what columns_added.py adds up there
"""

from __future__ import annotations

import numpy as np
from numba import types

from impressions.compiled import request as r
from impressions.compiled.answer_message import (
    DECAYED,
    EMA_RATES,
    answer_size,
    heads,
    ratio_head,
    seen_head,
    total_head,
    whole_size,
    write_names,
    write_sum_heads,
)
from impressions.compiled.cache import kept
from impressions.compiled.chosen_rows import choose, keep
from impressions.compiled.columns_added import (
    add_seen,
    add_sums,
    add_totals,
    floats,
    gathered,
    weights_of,
)
from impressions.compiled.of_spec import constants_of
from impressions.compiled.request import M
from impressions.compiled.stored_parts import OfSpec, describe, opened
from impressions.compiled.table import BAD, BYTES, NEVER, compiled
from impressions.compiled.wire import OUT
from impressions.core.decay import rate_per_day
from impressions.core.spec import HALF_LIVES_DAYS, MEASURES, Spec

PLAIN = -1
"""Leave the answer to the plain way."""

_HALF_LIVES_MS, _ROOTED, _INTEGRAL, _WHOLE, _ADDS, _LIMITS = constants_of(Spec())
_RATES = np.array([rate_per_day(h) for h in HALF_LIVES_DAYS])
_PLAYS = [m.name for m in MEASURES].index("plays")
_IMPRESSIONS = [m.name for m in MEASURES].index("impressions")

_INTS, _FLAGS = types.int64[::1], types.boolean[::1]


@compiled
def _top_order(info, stored, chosen, spec, groups):  # type: ignore[no-untyped-def]
    """Groups by the sum that was asked for, the k largest first, the first of equal ones first;
    none if one is no number."""
    out, query_ms = np.zeros(8 * groups, np.uint8), info[r.QUERY_MS]
    half_life = info[r.TOP_HALF_LIFE : r.TOP_HALF_LIFE + 1]
    singles = gathered(stored, chosen, len(spec.whole))
    weights = weights_of(singles, spec, query_ms, half_life)
    add_sums(
        stored, chosen, singles, weights, spec, query_ms, info[r.TOP_MEASURE], half_life,
        np.zeros(1, np.int64), groups, out,
    )  # fmt: skip
    sums = out.view(np.float64)
    for i in range(len(sums)):
        if np.isnan(sums[i]):
            return np.empty(0, np.int64)
    return np.argsort(-sums, kind="mergesort")[: min(info[r.TOP_K], len(sums))]


@compiled
def _write_seen(out, at, stored, chosen, singles, groups):  # type: ignore[no-untyped-def]
    at = seen_head(out, at, groups)
    seen = out[at : at + 8 * groups].view(np.int64)
    seen[:] = NEVER
    add_seen(stored, chosen, singles, seen)
    return at + 8 * groups


@compiled
def _write_totals(out, at, info, stored, chosen, singles, spec, groups):  # type: ignore[no-untyped-def]
    for i in range(info[r.MEASURE_COUNT]):
        m = info[r.MEASURE_ORDER + i]
        at = total_head(out, at, m, groups)
        total = floats(out, at, groups)
        total[:] = 0.0
        add_totals(stored, chosen, singles, spec, m, total)
        at += 8 * groups
    return at


@compiled
def _write_sums(out, at, info, stored, chosen, singles, weights, spec, groups):  # type: ignore[no-untyped-def]
    """Write decayed sums and rates, as far as they are wanted; where they end."""
    columns = info[r.COLUMNS]
    decayed, rates = not columns & r.OMIT_DECAYED, columns & r.EMA_RATES
    if not decayed and not rates:
        return at
    wanted = info[r.HALF_LIFE_ORDER : r.HALF_LIFE_ORDER + info[r.HALF_LIFE_COUNT]]
    starts = np.empty((info[r.MEASURE_COUNT], len(wanted)), np.int64)
    at = write_sum_heads(out, at, info, DECAYED if decayed else EMA_RATES, groups, starts)
    for i in range(len(starts)):
        add_sums(
            stored, chosen, singles, weights, spec, info[r.QUERY_MS],
            info[r.MEASURE_ORDER + i], wanted, starts[i], groups, out,
        )  # fmt: skip
    if not rates:
        return at
    into = starts
    if decayed:
        into = np.empty_like(starts)
        at = write_sum_heads(out, at, info, EMA_RATES, groups, into)
    for i in range(len(starts)):
        for j in range(len(wanted)):
            sums, rate = floats(out, starts[i, j], groups), floats(out, into[i, j], groups)
            for g in range(groups):
                rate[g] = sums[g] * _RATES[wanted[j]]
    return at


@compiled
def _write_ratios(out, at, info, stored, chosen, singles, weights, spec, groups):  # type: ignore[no-untyped-def]
    """Write plays per impression; where they end."""
    size = 8 * groups
    wanted = info[r.HALF_LIFE_ORDER : r.HALF_LIFE_ORDER + info[r.HALF_LIFE_COUNT]]
    both = np.zeros((2, len(wanted), size), np.uint8)
    for i in range(2):
        add_sums(
            stored, chosen, singles, weights, spec, info[r.QUERY_MS],
            _IMPRESSIONS if i else _PLAYS, wanted, np.arange(len(wanted)) * size,
            groups, both[i].reshape(len(wanted) * size),
        )  # fmt: skip
    for j in range(len(wanted)):
        at = ratio_head(out, at, wanted[j], groups)
        ratio = floats(out, at, groups)
        plays, impressions = both[0, j].view(np.float64), both[1, j].view(np.float64)
        for g in range(groups):
            ratio[g] = plays[g] / impressions[g] if impressions[g] > 0 else 0.0
        at += size
    return at


@compiled
def _write_columns(out, at, info, stored, chosen, spec, groups):  # type: ignore[no-untyped-def]
    """Write all columns of numbers; where they end."""
    columns = info[r.COLUMNS]
    singles = gathered(stored, chosen, len(spec.whole))
    wanted = info[r.HALF_LIFE_ORDER : r.HALF_LIFE_ORDER + info[r.HALF_LIFE_COUNT]]
    weights = weights_of(singles, spec, info[r.QUERY_MS], wanted)
    if columns & r.LAST_SEEN:
        at = _write_seen(out, at, stored, chosen, singles, groups)
    if columns & r.TOTALS:
        at = _write_totals(out, at, info, stored, chosen, singles, spec, groups)
    at = _write_sums(out, at, info, stored, chosen, singles, weights, spec, groups)
    if columns & r.RATIOS:
        at = _write_ratios(out, at, info, stored, chosen, singles, weights, spec, groups)
    return at


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
    limits = np.empty(4, np.int64)
    limits[:] = _LIMITS
    limits[0], limits[3] = info[r.SLOT_MS], info[r.TAG]
    spec = OfSpec(_HALF_LIVES_MS, _ROOTED, _INTEGRAL, _WHOLE, _ADDS, limits)
    times = np.empty(4, np.int64)
    times[0], times[1] = info[r.QUERY_MS], info[r.CUTOVER_MS]
    times[2], times[3] = info[r.FIRST_TAIL_AGE], info[r.FROM_SLOT_MS]
    stored = opened(block, deltas, sizes, M)
    first_tail_row = describe(stored, times, spec)
    if first_tail_row == BAD:
        return PLAIN
    wanted, any_location = titles[: info[r.TITLES]], info[r.ANY_LOCATION] == 1
    names, chosen = choose(
        stored, first_tail_row, wanted, len(wanted) == 0, locations, any_location,
        not info[r.BY_LOCATION],
    )  # fmt: skip
    if chosen.bounds[0] == BAD:
        return PLAIN
    matched = len(names)
    if info[r.TOP_K] and matched:
        order = _top_order(info, stored, chosen, spec, matched)
        if not len(order):
            return PLAIN
        chosen = keep(order, matched, chosen)
        names = names[order]
    groups = len(names)
    size = answer_size(info, context, matched, groups)
    whole, at = whole_size(info, size), info[r.AT]
    if (whole if info[r.OF_BATCH] else size) > info[r.LEFT_BYTES]:
        return PLAIN
    if at + whole > len(out):
        return -2 - (at + whole - len(out))
    at = write_names(out, heads(out, at, info, size), info, context, matched, names)
    return _write_columns(out, at, info, stored, chosen, spec, groups)
