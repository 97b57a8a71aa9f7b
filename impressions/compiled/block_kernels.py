"""A flush onto encoded blocks, compiled: what speed/applying/apply.py and slot_parts.py say.

In: the judged device flushes of a batch as columns, and the bytes of the blocks they may touch, one
after the other. Out: the bytes of the blocks that change. No object for a flush, a slot or a block.
Three steps, and the caller looks blocks up between them (impressions/compiled/blocks.py):

    slots     which (profile, slot) each flush belongs to; which slot comes before each
    route     what becomes of each flush, and which part of its slot it goes to
    merge     the changed parts: what they held and what is new, encoded

A part is a row of `parts`; those of a slot are linked in order. Ids are compared as int64, as
blocks have them.
"""

from __future__ import annotations

import numpy as np
from numba import types

from impressions.compiled.cache import kept
from impressions.compiled.runs import order_of
from impressions.compiled.table import BYTES, compiled
from impressions.compiled.wire import OUT, copy
from impressions.formats import delta_block, impression_columns
from impressions.formats.columns import F64

NOTHING, APPLIED, NOTED, KNOWN, REPLAYED = range(5)
"""What becomes of a flush. NOTED and KNOWN are duplicates: of the slot before, and of the slot."""

SLOT, NUMBER, HELD, VERSION, OFFSET, WEIGHT, CHANGED, NEXT = range(8)
"""Of a part: its slot, its number in it, which of the given blocks it was (-1: none), the last
offset it held and holds, impressions and flush ids in it, whether it changed, the next part."""
FIELDS = 8

_HEAD = delta_block.HEADER_BYTES
_NEWEST_AT, _EPOCH_AT, _OFFSET_AT, _ROWS_AT, _LOGS_AT = 16, 24, 28, 36, 40
_SUMMED, _THOUSANDTHS = delta_block.SUMMED_VERSION, impression_columns.THOUSANDTHS
_MOST_THOUSANDTHS = np.float64(impression_columns.MOST_THOUSANDTHS)
_F64, _FEW = F64, 24

_INTS, _TABLE = types.int64[::1], types.int64[:, ::1]
_SLOTS = types.int64(_INTS, _INTS, _INTS, types.int64, _INTS, _INTS, _INTS, _INTS)
_ROUTE = types.int64(
    BYTES, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS, _INTS, types.int64, _INTS,
    types.uint8[::1], _INTS, _TABLE,
)  # fmt: skip
_MERGE = types.int64(
    BYTES, _INTS, _TABLE, _INTS, _INTS, types.uint8[::1], _INTS, _INTS, _INTS, types.uint8[::1],
    _INTS, _INTS, types.float64[:, ::1], types.boolean[::1], BYTES, types.int64, OUT, _INTS,
)  # fmt: skip


@compiled
def _load(data, at, width):  # type: ignore[no-untyped-def]
    """A little-endian number."""
    number = np.uint64(0)
    for i in range(width):
        number |= np.uint64(data[np.uint64(at + i)]) << np.uint64(8 * i)
    return np.int64(number)


@compiled
def _store(out, at, value, width):  # type: ignore[no-untyped-def]
    rest = np.uint64(value)
    for i in range(width):
        out[np.uint64(at + i)] = np.uint8(rest & np.uint64(0xFF))
        rest >>= np.uint64(8)


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
    if held >= 0 and data[begins[held]] == _SUMMED:
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
        parts[count, WEIGHT] = _load(data, at + _ROWS_AT, 4) + _load(data, at + _LOGS_AT, 4)
        if _load(data, at + _EPOCH_AT, 4) == epoch:
            parts[count, VERSION] = _load(data, at + _OFFSET_AT, 8)
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
            low, high = 0, _load(data, at + _LOGS_AT, 4)
            while low < high:
                middle = (low + high) // 2
                found = _load(data, at + _HEAD + 8 * middle, 8)
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


@compiled
def _width(largest):  # type: ignore[no-untyped-def]
    """The fewest bytes that columns of integers may have."""
    if largest < 1 << 8:
        return 1
    if largest < 1 << 16:
        return 2
    if largest < 1 << 24:
        return 3
    if largest < 1 << 32:
        return 4
    return 5 if largest < 1 << 40 else 8


@compiled
def _read_column(data, start, n, width, out):  # type: ignore[no-untyped-def]
    """Fill out[:n] with a column of n integers."""
    low = width - 1 if width in (3, 5) else width
    stop = start + low * n
    if low == 1:
        for k in range(n):
            out[k] = data[np.uint64(start + k)]
    elif low == 2:
        of_u2 = data[start:stop].view(np.uint16)
        for k in range(n):
            out[k] = of_u2[k]
    elif low == 4:
        of_u4 = data[start:stop].view(np.uint32)
        for k in range(n):
            out[k] = of_u4[k]
    else:
        of_i8 = data[start:stop].view(np.int64)
        for k in range(n):
            out[k] = of_i8[k]
    if low != width:
        for k in range(n):
            out[k] |= np.int64(data[np.uint64(stop + k)]) << (8 * low)


@compiled
def _put_column(out, at, values, n):  # type: ignore[no-untyped-def]
    """Write a column of integers of the fewest bytes; how many, and where it ends."""
    largest = np.int64(0)
    for k in range(n):
        largest = max(largest, values[k])
    width = _width(largest)
    low = width - 1 if width in (3, 5) else width
    stop = at + low * n
    if low == 1:
        for k in range(n):
            out[at + k] = np.uint8(values[k])
    elif low == 2:
        of_u2 = out[at:stop].view(np.uint16)
        for k in range(n):
            of_u2[k] = np.uint16(values[k])
    elif low == 4:
        of_u4 = out[at:stop].view(np.uint32)
        for k in range(n):
            of_u4[k] = np.uint32(values[k])
    else:
        of_i8 = out[at:stop].view(np.int64)
        for k in range(n):
            of_i8[k] = values[k]
    if low != width:
        for k in range(n):
            out[stop + k] = np.uint8(values[k] >> (8 * low))
    return width, at + width * n


@compiled
def _read_added(data, start, n, code, out, room):  # type: ignore[no-untyped-def]
    """Fill out[:n] with an added column. `room`: for n integers."""
    if code == _F64:
        _read_column(data, start, n, 8, out.view(np.int64))
        return
    thousandths = code >= _THOUSANDTHS
    _read_column(data, start, n, code & ~_THOUSANDTHS, room)
    for k in range(n):
        out[k] = room[k] / 1_000 if thousandths else np.float64(room[k])


@compiled
def _put_added(out, at, values, n, whole, room):  # type: ignore[no-untyped-def]
    """Write an added column; its code, and where it ends. `room`: for n integers."""
    fits = True
    for k in range(n):
        if whole:
            room[k] = np.int64(values[k])
        else:
            thousandths = np.rint(values[k] * 1_000)
            if not (0 <= thousandths < _MOST_THOUSANDTHS and thousandths / 1_000 == values[k]):
                fits = False
                break
            room[k] = np.int64(thousandths)
    if fits:
        width, end = _put_column(out, at, room, n)
        return width if whole else _THOUSANDTHS + width, end
    stored, bits = out[at : at + 8 * n].view(np.int64), values.view(np.int64)
    for k in range(n):
        stored[k] = bits[k]
    return _F64, at + 8 * n


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
        held = _load(data, at + 8 * k, 8) if k < logs else np.int64(0)
        if j == end or (k < logs and held < flush_ids[members[j]]):
            _store(out, to, held, 8)
            k += 1
        else:
            _store(out, to, flush_ids[members[j]], 8)
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
    if n_held:
        start = at + 2 + len(added)
        for c in range(2):
            width = np.int64(data[at + c])
            _read_column(data, start, n_held, width, held[c])
            start += width * n_held
        for a in range(len(added)):
            code = np.int64(data[at + 2 + a])
            _read_added(data, start, n_held, code, held_added[a], room)
            start += n_held * (8 if code == _F64 else code & ~_THOUSANDTHS)
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
    _store(out, at + len(common), slot_ms, 8)
    _store(out, at + _EPOCH_AT, epoch, 4)
    _store(out, at + _OFFSET_AT, offset, 8)


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
            n_held, logs = _load(data, at + _ROWS_AT, 4), _load(data, at + _LOGS_AT, 4)
            newest_ms = _load(data, at + _NEWEST_AT, 8)
        _head(out, to, common, starts_ms[parts[p, SLOT]], epoch, parts[p, OFFSET])
        _sort(new_ids, id_bounds[c], id_bounds[c + 1], flush_ids)
        to = _merged_ids(
            data, at + _HEAD, logs, flush_ids, new_ids, id_bounds[c], id_bounds[c + 1], out,
            to + _HEAD,
        )  # fmt: skip
        _store(out, begin + _LOGS_AT, logs + id_bounds[c + 1] - id_bounds[c], 4)
        _sort(new, bounds[c], bounds[c + 1], items)
        n = _merged_impressions(
            data, at + _HEAD + 8 * logs, n_held, newest_ms, new, bounds[c], bounds[c + 1],
            items, event_ms, added, of_items, of_events, of_added, of_held, held_added,
            room,
        )  # fmt: skip
        _store(out, begin + _ROWS_AT, n, 4)
        newest_ms = _to_ages(of_events, n)
        _store(out, begin + _NEWEST_AT, newest_ms, 8)
        codes, to = to, to + 2 + len(added)
        out[codes], to = _put_column(out, to, of_items, n)
        out[codes + 1], to = _put_column(out, to, of_events, n)
        for a in range(len(added)):
            out[codes + 2 + a], to = _put_added(out, to, of_added[a], n, wholes[a], room)
        ends[c] = to
    return to
