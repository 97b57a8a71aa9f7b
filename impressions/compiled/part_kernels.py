"""Flushes dealt out to the parts of their slots, compiled: what speed/applying/slot_parts.py says.

In: the judged device flushes of a batch as columns, and the bytes of the blocks they may touch, one
after the other, of which only headers and flush ids are read. Out: what becomes of each flush, and
which part of its slot it goes to; no byte is written here (block_kernels.py). Two steps, and the
caller looks blocks up between them (impressions/compiled/blocks.py):

    slots     which (profile, slot) each flush belongs to; which slot comes before each
    route     what becomes of each flush, and which part takes it

A part is a row of `parts`; those of a slot are linked in order. Ids are compared as int64, as
blocks have them.
"""

from __future__ import annotations

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.little_endian import load
from impressions.compiled.table import BYTES, compiled
from impressions.formats.delta_block import (
    EPOCH_AT,
    HEADER_BYTES,
    LOGS_AT,
    OFFSET_AT,
    ROWS_AT,
    SUMMED_VERSION,
)

NOTHING, APPLIED, NOTED, KNOWN, REPLAYED = range(5)
"""What becomes of a flush. NOTED and KNOWN are duplicates: of the slot before, and of the slot."""

SLOT, NUMBER, HELD, VERSION, OFFSET, WEIGHT, CHANGED, NEXT = range(8)
"""Of a part: its slot, its number in it, which of the given blocks it was (-1: none), the last
offset it held and holds, impressions and flush ids in it, whether it changed, the next part."""
FIELDS = 8

_INTS, _TABLE = types.int64[::1], types.int64[:, ::1]
_SLOTS = types.int64(_INTS, _INTS, _INTS, types.int64, _INTS, _INTS, _INTS, _INTS)
_ROUTE = types.int64(
    BYTES, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS, types.int64, _INTS,
    types.uint8[::1], _INTS, _TABLE,
)  # fmt: skip


@compiled
def _hash(one, other):  # type: ignore[no-untyped-def]
    mixed = np.uint64(one) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= (np.uint64(other) + np.uint64(0x632BE59BD9B4E019)) * np.uint64(0xC2B2AE3D27D4EB4F)
    return mixed ^ (mixed >> np.uint64(29))


@compiled
def _room_for(count):  # type: ignore[no-untyped-def]
    """A power of two, so that a table is half empty at least."""
    size = 16
    while size < 2 * count + 2:
        size *= 2
    return size


@compiled
def _place(table, ones, others, one, other):  # type: ignore[no-untyped-def]
    """Where a pair is in an open-addressed table, or would be."""
    mask = np.uint64(len(table) - 1)
    h = _hash(one, other) & mask
    while table[h] >= 0 and not (ones[table[h]] == one and others[table[h]] == other):
        h = (h + np.uint64(1)) & mask
    return h


@kept(_SLOTS)
def slots(  # type: ignore[no-untyped-def]
    profiles, slots_ms, impressions, slot_ms, of_flush, of_profile, starts_ms, before
):
    """Number the slots.

    Args:
        profiles, slots_ms, impressions: (m,) of each flush: profile, start of its slot, how many
            count.
        of_flush: (m,) is filled with the number of its slot; -1 where no impression counts.
        of_profile, starts_ms, before: (2 * m,) of each slot: profile, start, number of the slot
            before; -1 where that is asked for by none.

    Returns:
        How many slots there are.
    """
    table = np.full(_room_for(2 * len(profiles)), -1, np.int64)
    found = 0
    for i in range(len(profiles)):
        of_flush[i] = -1
        if not impressions[i]:
            continue
        for back in range(2):
            start_ms = slots_ms[i] - back * slot_ms
            h = _place(table, of_profile, starts_ms, profiles[i], start_ms)
            if table[h] < 0:
                table[h] = found
                of_profile[found], starts_ms[found], before[found] = profiles[i], start_ms, -1
                found += 1
            if back:
                before[of_flush[i]] = table[h]
            else:
                of_flush[i] = table[h]
    return found


@compiled
def _is_full(data, begins, bounds, parts, p):  # type: ignore[no-untyped-def]
    held = parts[p, HELD]
    if held >= 0 and data[begins[held]] == SUMMED_VERSION:
        return True
    return parts[p, WEIGHT] >= min(bounds[0] + bounds[1] * parts[p, NUMBER], bounds[2])


@compiled
def _append(data, begins, firsts, epoch, parts, count, slot, last):  # type: ignore[no-untyped-def]
    """The next part of a slot, behind `last` (-1: its first)."""
    number = 0 if last < 0 else parts[last, NUMBER] + 1
    given = firsts[slot] + number
    parts[count, SLOT], parts[count, NUMBER], parts[count, NEXT] = slot, number, -1
    parts[count, HELD], parts[count, VERSION] = -1, -1
    parts[count, WEIGHT], parts[count, CHANGED] = 0, 0
    if given < firsts[slot + 1] and begins[given + 1] > begins[given]:
        at = begins[given]
        parts[count, HELD] = given
        parts[count, WEIGHT] = load(data, at + ROWS_AT, 4) + load(data, at + LOGS_AT, 4)
        if load(data, at + EPOCH_AT, 4) == epoch:
            parts[count, VERSION] = load(data, at + OFFSET_AT, 8)
    parts[count, OFFSET] = parts[count, VERSION]
    if last >= 0:
        parts[last, NEXT] = count
    return count + 1


@compiled
def _opened(  # type: ignore[no-untyped-def]
    data, begins, firsts, epoch, bounds, parts, count, slot, heads, tails
):
    """Open a slot: its parts up to the first that is not full."""
    if heads[slot] < 0:
        heads[slot] = tails[slot] = count
        count = _append(data, begins, firsts, epoch, parts, count, slot, -1)
        while parts[tails[slot], HELD] >= 0 and _is_full(data, begins, bounds, parts, tails[slot]):
            count = _append(data, begins, firsts, epoch, parts, count, slot, tails[slot])
            tails[slot] = count - 1
    return count


@compiled
def _holds(data, begins, parts, p, flush_id):  # type: ignore[no-untyped-def]
    """Whether any of a slot's blocks, from part p on, held a flush id before the batch."""
    while p >= 0:
        held = parts[p, HELD]
        if held >= 0:
            at = begins[held]
            low, high = 0, load(data, at + LOGS_AT, 4)
            while low < high:
                middle = (low + high) // 2
                found = load(data, at + HEADER_BYTES + 8 * middle, 8)
                if found == flush_id:
                    return True
                if found < flush_id:
                    low = middle + 1
                else:
                    high = middle
        p = parts[p, NEXT]
    return False


@kept(_ROUTE)
def route(  # type: ignore[no-untyped-def]
    data, begins, firsts, before, of_flush, offsets, flush_ids, impressions, epoch, bounds,
    outcome, part_of, parts,
):  # fmt: skip
    """Decide what becomes of each flush, in order.

    Args:
        data: the given blocks, one after the other.   begins: (b + 1,) where each begins.
        firsts: (s + 1,) the first of each slot's given blocks, in order of their parts. One of no
            bytes is known to be absent; what is not given is taken to be absent.
        before: (s,) the slot before.
        of_flush, offsets, flush_ids, impressions: (m,) of each flush.
        bounds: what fills a part: at first, more for each part, at most.
        outcome, part_of: (m,) are filled; part_of is -1 for REPLAYED and NOTHING.
        parts: (b + s + m, FIELDS) is filled.

    Returns:
        How many parts there are.
    """
    heads, tails = np.full(len(before), -1, np.int64), np.full(len(before), -1, np.int64)
    opens = np.full(len(before), -1, np.int64)
    table = np.full(_room_for(len(of_flush)), -1, np.int64)
    count = 0
    for i in range(len(of_flush)):
        outcome[i], part_of[i] = NOTHING, -1
        slot = of_flush[i]
        if slot < 0:
            continue
        if heads[slot] < 0:
            count = _opened(data, begins, firsts, epoch, bounds, parts, count, slot, heads, tails)
            opens[slot] = heads[slot]
        p = opens[slot]
        while offsets[i] > parts[p, VERSION]:
            if offsets[i] == parts[p, OFFSET] or not _is_full(data, begins, bounds, parts, p):
                break
            if parts[p, NEXT] < 0:
                count = _append(data, begins, firsts, epoch, parts, count, slot, tails[slot])
                tails[slot] = count - 1
            p = parts[p, NEXT]
        opens[slot] = p
        if offsets[i] <= parts[p, VERSION]:
            outcome[i] = REPLAYED
            continue
        part_of[i] = p
        parts[p, OFFSET], parts[p, CHANGED] = offsets[i], 1
        h = _place(table, of_flush, flush_ids, slot, flush_ids[i])
        if table[h] >= 0 or _holds(data, begins, parts, heads[slot], flush_ids[i]):
            outcome[i] = KNOWN
            continue
        table[h] = i
        parts[p, WEIGHT] += 1
        past = before[slot]
        count = _opened(data, begins, firsts, epoch, bounds, parts, count, past, heads, tails)
        opens[past] = heads[past] if opens[past] < 0 else opens[past]
        g = _place(table, of_flush, flush_ids, past, flush_ids[i])
        if table[g] >= 0 or _holds(data, begins, parts, heads[past], flush_ids[i]):
            outcome[i] = NOTED
        else:
            outcome[i] = APPLIED
            parts[p, WEIGHT] += impressions[i]
    return count
