"""The chosen rows of all parts added up, column by column: what merging and decaying is.

Each function adds to the column of the answer where that lies: a plain array, or the message that
is being written. Parts with sums are added where their columns lie in the stored bytes, each value
times the factor that moves its part's reference time to the query time. Impressions have no sums:
those of all parts are gathered once (`gathered`), for there are many small parts, and each weighs
2^-((query - event) / half-life).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from impressions.compiled.stored_parts import (
    KIND,
    NEWEST,
    REFERENCE,
    ROWS,
    SINGLE,
    SUMMED,
    part_of,
)
from impressions.compiled.table import add_column, among_counted, compiled, newest, pick

_C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (
    math.log(2) ** i / math.factorial(i) for i in range(1, 14)
)
"""Of the series of 2^x, whose rest is below 1e-16 for |x| <= 1/2."""
_FAR = 1_000.0
"""Half-lives; beyond, 2^x nears the ends of float64."""
_WHOLE = 1.5 * 2**52
"""A float64 near it has no fraction, so adding it rounds."""
_BIAS = 1023
"""Of the exponent of a float64."""


class Singles(NamedTuple):
    """The chosen impressions of all parts.

    Attributes:
        slots: (k,) uint32 which row of the answer.
        event_ms: (k,) int64.
        added: (A, k) float64.
    """

    slots: Any
    event_ms: Any
    added: Any


@compiled
def floats(out, at, n):  # type: ignore[no-untyped-def]
    """n float64 of a buffer of bytes."""
    return out[at : at + 8 * n].view(np.float64)


@compiled
def gathered(stored, chosen, columns):  # type: ignore[no-untyped-def]
    """The chosen impressions of all parts, which have so many added columns."""
    total = 0
    for p in range(2, len(stored.about)):
        if stored.about[p, KIND] == SINGLE:
            total += chosen.bounds[p + 1] - chosen.bounds[p]
    slots, event_ms = np.empty(total, np.uint32), np.empty(total, np.int64)
    added = np.empty((columns, total), np.float64)
    at = 0
    for p in range(2, len(stored.about)):
        lower, upper = chosen.bounds[p], chosen.bounds[p + 1]
        if lower == upper or stored.about[p, KIND] != SINGLE:
            continue
        data, n, where = part_of(stored, p), stored.about[p, ROWS], stored.where[p]
        rows, end = chosen.rows[lower:upper], at + upper - lower
        slots[at:end] = chosen.slots[lower:upper]
        pick(data, where[1, 0], n, where[1, 1], rows, event_ms[at:end])
        for i in range(at, end):
            event_ms[i] = stored.about[p, NEWEST] - event_ms[i]
        for c in range(columns):
            pick(data, where[2 + c, 0], n, where[2 + c, 1], rows, added[c, at:end])
        at = end
    return Singles(slots, event_ms, added)


@compiled
def add_seen(stored, chosen, singles, out):  # type: ignore[no-untyped-def]
    """Each out = the larger of itself and the newest event of its rows; (g,) int64."""
    for p in range(len(stored.about)):
        lower, upper = chosen.bounds[p], chosen.bounds[p + 1]
        if lower < upper and stored.about[p, KIND] != SINGLE:
            newest(
                part_of(stored, p), stored.where[p, 1, 0], stored.about[p, ROWS],
                stored.where[p, 1, 1], chosen.rows[lower:upper], chosen.slots[lower:upper],
                stored.about[p, NEWEST], out,
            )  # fmt: skip
    for i in range(len(singles.slots)):
        slot = singles.slots[i]
        out[slot] = max(out[slot], singles.event_ms[i])


@compiled
def add_totals(stored, chosen, singles, spec, m, out):  # type: ignore[no-untyped-def]
    """Add a measure's totals; (g,) float64."""
    for p in range(len(stored.about)):
        lower, upper = chosen.bounds[p], chosen.bounds[p + 1]
        if lower < upper and stored.about[p, KIND] != SINGLE:
            add_column(
                part_of(stored, p), stored.where[p, 2 + m, 0], stored.about[p, ROWS],
                stored.where[p, 2 + m, 1], chosen.rows[lower:upper], chosen.slots[lower:upper],
                out,
            )  # fmt: skip
    column = spec.adds[m]
    for i in range(len(singles.slots)):
        out[singles.slots[i]] += 1.0 if column < 0 else singles.added[column, i]


@compiled
def add_sums(  # type: ignore[no-untyped-def]
    stored, chosen, singles, weights, spec, query_ms, m, half_lives, starts, groups, out
):  # fmt: skip
    """Add a measure's decayed sums.

    Args:
        weights: of `singles`, see `weights_of`.
        half_lives: (w,) int64 which.
        starts: (w,) int64 where in `out`, a buffer of bytes, the `groups` float64 of each begin.
    """
    measures = len(spec.adds)
    for p in range(len(stored.about)):
        lower, upper = chosen.bounds[p], chosen.bounds[p + 1]
        if lower == upper or stored.about[p, KIND] == SINGLE:
            continue
        data, n = part_of(stored, p), stored.about[p, ROWS]
        rows, into = chosen.rows[lower:upper], chosen.slots[lower:upper]
        start, with_sums = stored.where[p, 2 + measures + m]
        if with_sums < n:
            total = stored.where[p, 2 + m]
            rows, into = among_counted(data, total[0], n, total[1], rows, into)
        if not len(rows):
            continue
        exact = stored.about[p, KIND] == SUMMED
        size = with_sums * len(spec.half_lives_ms)
        of_f64 = data[start : start + (8 * size if exact else 0)].view(np.float64)
        of_f32 = data[start : start + (0 if exact else 4 * size)].view(np.float32)
        for j in range(len(half_lives)):
            h = half_lives[j]
            factor = np.exp2((stored.about[p, REFERENCE] - query_ms) / spec.half_lives_ms[h])
            values, base = floats(out, starts[j], groups), np.uint64(with_sums * h)
            if exact:
                _add_exact(of_f64, base, rows, into, factor, values)
            else:
                _add_stored(of_f32, base, rows, into, factor, spec.rooted[h], values)
    if len(singles.slots):
        for j in range(len(half_lives)):
            of_single = floats(out, starts[j], groups)
            _add_singles(singles, weights[half_lives[j]], spec.adds[m], of_single)


@compiled
def weights_of(singles, spec, query_ms, half_lives):  # type: ignore[no-untyped-def]
    """(H, k) float64 what each impression weighs; only these half-lives are filled."""
    k = len(singles.slots)
    out = np.empty((len(spec.half_lives_ms), k), np.float64)
    since_ms, powers = np.empty(k, np.float64), np.empty(k, np.float64)
    for i in range(k):
        since_ms[i] = singles.event_ms[i] - query_ms
    for j in range(len(half_lives) if k else 0):
        h = half_lives[j]
        _weights(since_ms, spec.half_lives_ms[h], powers, out[h])
    return out


@compiled
def _weights(since_ms, half_life_ms, powers, out):  # type: ignore[no-untyped-def]
    """2^x as 2^(nearest whole) * 2^(the rest); made so that several are computed at a time."""
    for i in range(len(out)):
        x = min(max(since_ms[i] / half_life_ms, -_FAR), _FAR)
        powers[i] = x + _WHOLE  # its lowest bits are the nearest whole number
        r = x - (powers[i] - _WHOLE)
        out[i] = 1 + r * (_C1 + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * (_C6 + r * (
            _C7 + r * (_C8 + r * (_C9 + r * (_C10 + r * (_C11 + r * (_C12 + r * _C13)
        )))))))))))  # fmt: skip
    bits = powers.view(np.int64)
    for i in range(len(out)):
        bits[i] = (bits[i] + _BIAS) << 52
    for i in range(len(out)):
        out[i] *= powers[i]
    far_ms = _FAR * half_life_ms
    for i in range(len(out)):
        if abs(since_ms[i]) > far_ms:
            out[i] = np.exp2(since_ms[i] / half_life_ms)


@compiled
def _add_singles(singles, weights, column, out):  # type: ignore[no-untyped-def]
    if column < 0:
        for i in range(len(weights)):
            out[singles.slots[i]] += weights[i]
    else:
        for i in range(len(weights)):
            out[singles.slots[i]] += singles.added[column, i] * weights[i]


@compiled
def _add_stored(stored, base, rows, slots, factor, rooted, out):  # type: ignore[no-untyped-def]
    """out[slots[i]] += stored[base + rows[i]] * factor, of a fourth root its fourth power."""
    if rooted:
        for i in range(len(rows)):
            root = np.float64(stored[base + rows[i]])
            square = root * root
            out[slots[i]] += square * square * factor
    else:
        for i in range(len(rows)):
            out[slots[i]] += np.float64(stored[base + rows[i]]) * factor


@compiled
def _add_exact(stored, base, rows, slots, factor, out):  # type: ignore[no-untyped-def]
    """out[slots[i]] += stored[base + rows[i]] * factor."""
    for i in range(len(rows)):
        out[slots[i]] += stored[base + rows[i]] * factor
