"""The parts that a batch changes, encoded: the compiled form of apply.py and delta_block.encode.

In: what became of the flushes of a batch and which part each goes to (part_kernels.py), their
impressions as columns, and the bytes of the blocks that were held. Out: the bytes of the blocks
that change, one after the other; each is what it held merged with what is new. No object for a
flush, a slot or a block.
"""

from __future__ import annotations

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.column_kernels import put_impressions, read_impressions
from impressions.compiled.little_endian import load, store
from impressions.compiled.part_kernels import APPLIED, HELD, NOTED, OFFSET, SLOT, WEIGHT
from impressions.compiled.runs import order_of
from impressions.compiled.table import BYTES, compiled
from impressions.compiled.wire import OUT, copy
from impressions.formats.delta_block import (
    EPOCH_AT,
    HEADER_BYTES,
    LOGS_AT,
    NEWEST_AT,
    OFFSET_AT,
    ROWS_AT,
)

_FEW = 24
"""So many are put in order by insertion."""

_INTS, _TABLE = types.int64[::1], types.int64[:, ::1]
_MERGE = types.int64(
    BYTES, _INTS, _TABLE, _INTS, _INTS, types.uint8[::1], _INTS, _INTS, _INTS, types.uint8[::1],
    _INTS, _INTS, types.float64[:, ::1], types.boolean[::1], BYTES, types.int64, OUT, _INTS,
)  # fmt: skip


@compiled
def _sort(members, begin, end, keys):  # type: ignore[no-untyped-def]
    """Put members[begin:end] in the order of their keys; equal ones stay as they came."""
    if end - begin > _FEW:
        some = members[begin:end].copy()
        order = order_of(keys[some])
        for k in range(len(some)):
            members[begin + k] = some[order[k]]
        return
    for k in range(begin + 1, end):
        member, j = members[k], k
        while j > begin and keys[members[j - 1]] > keys[member]:
            members[j] = members[j - 1]
            j -= 1
        members[j] = member


@compiled
def _merged_ids(data, at, logs, flush_ids, members, begin, end, out, to):  # type: ignore[no-untyped-def]
    """Write the ids that a block held and new ones, ascending; where they end."""
    k, j = 0, begin
    while k < logs or j < end:
        held = load(data, at + 8 * k, 8) if k < logs else np.int64(0)
        if j == end or (k < logs and held < flush_ids[members[j]]):
            store(out, to, held, 8)
            k += 1
        else:
            store(out, to, flush_ids[members[j]], 8)
            j += 1
        to += 8
    return to


@compiled
def _merged_impressions(  # type: ignore[no-untyped-def]
    data, at, n_held, newest_ms, members, begin, end, items, event_ms, added,
    of_items, of_events, of_added, held, held_added, room,
):  # fmt: skip
    """Fill columns with what a block held and what is new, items ascending; how many they are.

    Args:
        at: where the block's columns are described.   members: positions of what is new.
        held, held_added, room: (2, n_held), (A, n_held) and (n_held,) or more: to work with.
    """
    read_impressions(data, at, n_held, held, held_added, room)
    k, j, n = 0, begin, 0
    while k < n_held or j < end:
        if j == end or (k < n_held and held[0, k] <= items[members[j]]):
            of_items[n], of_events[n] = held[0, k], newest_ms - held[1, k]
            for a in range(len(added)):
                of_added[a, n] = held_added[a, k]
            k += 1
        else:
            x = members[j]
            of_items[n], of_events[n] = items[x], event_ms[x]
            for a in range(len(added)):
                of_added[a, n] = added[a, x]
            j += 1
        n += 1
    return n


@compiled
def _grouped(part_of, chosen, number_of, count):  # type: ignore[no-untyped-def]
    """Members by changed part: (count + 1,) bounds, and the members in order.

    Args:
        part_of: (x,) the part of each.   chosen: (x,) bool.
        number_of: the number of each part among those that changed.
    """
    bounds = np.zeros(count + 1, np.int64)
    for i in range(len(part_of)):
        if chosen[i]:
            bounds[number_of[part_of[i]] + 1] += 1
    bounds = np.cumsum(bounds)
    at, members = bounds.copy(), np.empty(bounds[count], np.int64)
    for i in range(len(part_of)):
        if chosen[i]:
            c = number_of[part_of[i]]
            members[at[c]] = i
            at[c] += 1
    return bounds, members


@compiled
def _head(out, at, common, slot_ms, epoch, offset):  # type: ignore[no-untyped-def]
    """Write a header, but for what is known only later."""
    copy(out, at, common, 0, len(common))
    store(out, at + len(common), slot_ms, 8)
    store(out, at + EPOCH_AT, epoch, 4)
    store(out, at + OFFSET_AT, offset, 8)


@compiled
def _to_ages(events, n):  # type: ignore[no-untyped-def]
    """Replace times by how long before the newest they are; returns the newest, 0 of none."""
    newest_ms = np.int64(0)
    for k in range(n):
        newest_ms = max(newest_ms, events[k])
    for k in range(n):
        events[k] = newest_ms - events[k]
    return newest_ms


@kept(_MERGE)
def merge(  # type: ignore[no-untyped-def]
    data, begins, parts, changed, starts_ms, outcome, part_of, flush_ids, flush, reason,
    items, event_ms, added, wholes, common, epoch, out, ends,
):  # fmt: skip
    """Encode the parts that changed.

    Args:
        changed: (c,) their numbers among `parts`.   starts_ms: (s,) of the slots.
        outcome, part_of, flush_ids: (m,) of the flushes.
        flush, reason, items, event_ms, added: (n,) of the impressions, added (A, n); a reason of 0
            counts.
        wholes: (A,) which added columns are whole numbers.
        common: how every block begins.
        out: room for all.   ends: (c,) is filled.

    Returns:
        Bytes written.
    """
    number_of = np.full(len(parts), -1, np.int64)
    for c in range(len(changed)):
        number_of[changed[c]] = c
    is_new = (outcome == APPLIED) | (outcome == NOTED)
    id_bounds, new_ids = _grouped(part_of, is_new, number_of, len(changed))
    counts = (reason == 0) & (outcome[flush] == APPLIED)
    bounds, new = _grouped(part_of[flush], counts, number_of, len(changed))
    most = 0
    for c in range(len(changed)):
        most = max(most, parts[changed[c], WEIGHT])
    of_items, of_events = np.empty(most, np.int64), np.empty(most, np.int64)
    of_added, room = np.empty((len(added), most), np.float64), np.empty(most, np.int64)
    of_held, held_added = np.empty((2, most), np.int64), np.empty((len(added), most), np.float64)
    to = 0
    for c in range(len(changed)):
        p, begin = changed[c], to
        held, n_held, logs, newest_ms, at = parts[p, HELD], 0, 0, np.int64(0), 0
        if held >= 0:
            at = begins[held]
            n_held, logs = load(data, at + ROWS_AT, 4), load(data, at + LOGS_AT, 4)
            newest_ms = load(data, at + NEWEST_AT, 8)
        _head(out, to, common, starts_ms[parts[p, SLOT]], epoch, parts[p, OFFSET])
        _sort(new_ids, id_bounds[c], id_bounds[c + 1], flush_ids)
        to = _merged_ids(
            data, at + HEADER_BYTES, logs, flush_ids, new_ids, id_bounds[c], id_bounds[c + 1], out,
            to + HEADER_BYTES,
        )  # fmt: skip
        store(out, begin + LOGS_AT, logs + id_bounds[c + 1] - id_bounds[c], 4)
        _sort(new, bounds[c], bounds[c + 1], items)
        n = _merged_impressions(
            data, at + HEADER_BYTES + 8 * logs, n_held, newest_ms, new, bounds[c], bounds[c + 1],
            items, event_ms, added, of_items, of_events, of_added, of_held, held_added,
            room,
        )  # fmt: skip
        store(out, begin + ROWS_AT, n, 4)
        newest_ms = _to_ages(of_events, n)
        store(out, begin + NEWEST_AT, newest_ms, 8)
        to = put_impressions(out, to, of_items, of_events, of_added, n, wholes, room)
        ends[c] = to
    return to
