"""Rows of raw become counts per segment. Counts of parts of a day add, whatever the parts are.

    profiles    (profile, ingest slot) pairs: with slots of a day, distinct profiles. A profile lies
                in one shard, so those of shards add too
    repeated    impressions that equal the one before them in profile, title and event time, and
                bear another log id: what a second landing of the same events looks like
    again       impressions that come within a minute after the one before them of the same profile
                and title, under another log id: what an event that is sent twice looks like
    clamped     event time = ingest time: the device's clock was ahead (impressions/core/event.py)
    late        seen more than an hour before they came
    largest     the profile with most impressions, of each part
    squares     of the impressions of each profile, added: impressions^2 / squares is how many
                people of equal weight would vary as much as these (measures.py)

By the hour of ingest (BY_HOUR) stands what tells when a fault began (since.py); `hours`, which are
judged by themselves, are those of the event time. `location_0` is what a producer sends that does
not fill it in, `dwell_bins` the sum of the bins of dwell_bins.py.

All but `duplicates` are of rows that count, those that are no duplicate. What adds is counted once,
by cell (location, device type, app version), and cells are added to segments; profiles are counted
per grouping, by a stable sort of rows that are in the order of profiles already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from batch.quality import dwell_bins, title_sample
from batch.quality.segments import GROUPINGS, OTHER, UNKNOWN, Segment
from batch.quality.title_sample import Hashes, Seen
from impressions.core.decay import Float, Int

MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
LOCATIONS = 256
FIELDS = (
    "impressions", "plays", "duplicates", "repeated", "clamped", "late", "zero_dwell", "profiles",
    "squares", "again",
)  # fmt: skip
BY_HOUR = (
    "impressions", "plays", "repeated", "clamped", "late", "zero_dwell", "location_0", "dwell_bins",
    "again",
)  # fmt: skip
HOURS_AT = len(FIELDS)
LOCATIONS_AT = HOURS_AT + 24
BY_HOUR_AT = LOCATIONS_AT + LOCATIONS
DWELL_AT = BY_HOUR_AT + 24 * len(BY_HOUR)
WIDTH = DWELL_AT + dwell_bins.BINS
_NEVER = np.iinfo(np.int64).max
_PIECE = 1 << 20  # numbers of a table of ranks and segments that is counted at once
_WORDS_MOST = 64  # texts of devices; what is rarer is `other`


@dataclass(frozen=True)
class Rows:
    """(n,) each, of raw, in the order (profile, title, event time).

    Attributes:
        device, version: places in `devices`, `versions`; -1 where the producer did not say.
    """

    profile_id: Int
    title_id: Int
    location: Int
    event_us: Int
    ingest_us: Int
    played: NDArray[np.bool_]
    dwell_s: Float
    duplicate: NDArray[np.bool_]
    device: Int
    version: Int
    devices: Sequence[str]
    versions: Sequence[str]


@dataclass(frozen=True)
class Counts:
    """Counts of some rows of a day.

    Attributes:
        where: (m,) segment * WIDTH + column.   amount: (m,) what is counted there.
        largest: (profile, impressions) of each segment.
        titles: a sample of the titles (title_sample.py).
        title_bits: (segments, bytes) which of the sample each segment has, packed.
    """

    segments: tuple[Segment, ...] = ()
    where: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    amount: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    largest: tuple[tuple[int, int], ...] = ()
    titles: Hashes = field(default_factory=lambda: title_sample.NONE)
    title_bits: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    @property
    def seen(self) -> Seen:
        """(segments, titles) whether a segment has a title of the sample."""
        return np.unpackbits(self.title_bits, axis=1, count=len(self.titles)).astype(np.bool_)

    def dense(self) -> Int:
        """(segments, WIDTH)."""
        table = np.zeros(len(self.segments) * WIDTH, np.int64)
        table[self.where] = self.amount
        return table.reshape(len(self.segments), WIDTH)


def count(rows: Rows, slot_us: int) -> Counts:
    """Counts of rows of one day."""
    if not len(rows.profile_id):
        return Counts()
    cell, names = _cells(rows)
    table = _additive(rows, cell, len(names))
    counts = np.flatnonzero(~rows.duplicate)
    profile = rows.profile_id[counts]
    order, rank, pair = _ranks(profile, rows.ingest_us[counts] // slot_us)
    mine, of_rank = cell[counts][order], profile[order][np.searchsorted(rank, np.arange(_n(rank)))]
    one_slot = _n(pair) == _n(rank)
    titles, of_cells = title_sample.sampled(rows.title_id[counts], cell[counts], len(names))
    parts = []
    for grouping in GROUPINGS:
        segments, of_cell = _grouped(names, grouping)
        summed = np.zeros((len(segments), WIDTH), np.int64)
        np.add.at(summed, of_cell, table)
        together = _together(rank, of_cell[mine], len(segments))
        pairs = together if one_slot else _together(pair, of_cell[mine], len(segments))
        summed[:, FIELDS.index("profiles")] = pairs[0]
        summed[:, FIELDS.index("squares")] = together[3]
        most = [
            (int(of_rank[who]), int(n)) if n else (0, 0)
            for n, who in zip(*together[1:3], strict=True)
        ]
        seen = np.zeros((len(segments), len(titles)), np.bool_)
        np.logical_or.at(seen, of_cell, of_cells)
        parts.append(_sparse(segments, summed, most, titles, seen))
    return added(parts)


def added(parts: Iterable[Counts]) -> Counts:
    """Counts of all the rows that the parts are of."""
    parts = list(parts)
    place: dict[Segment, int] = {}
    for part in parts:
        for segment in part.segments:
            place.setdefault(segment, len(place))
    table = np.zeros(len(place) * WIDTH, np.int64)
    profiles: list[dict[int, int]] = [{} for _ in place]
    for part in parts:
        at = np.array([place[segment] for segment in part.segments], np.int64)
        table[at[part.where // WIDTH] * WIDTH + part.where % WIDTH] += part.amount
        for i, (profile, n) in zip(at.tolist(), part.largest, strict=True):
            profiles[i][profile] = profiles[i].get(profile, 0) + n
    largest = [max(of.items(), key=lambda pair: (pair[1], -pair[0])) for of in profiles]
    titles = title_sample.joined(part.titles for part in parts)
    seen = np.zeros((len(place), len(titles)), np.bool_)
    for part in parts:
        rows = [place[segment] for segment in part.segments]
        seen[rows] |= title_sample.seen_in(titles, part.titles, part.seen)
    return _sparse(list(place), table.reshape(len(place), WIDTH), largest, titles, seen)


def _n(rank: Int) -> int:
    return int(rank[-1]) + 1 if len(rank) else 0


def _sparse(
    segments: Sequence[Segment],
    table: Int,
    largest: Sequence[tuple[int, int]],
    titles: Hashes,
    seen: Seen,
) -> Counts:
    flat = table.reshape(-1)
    where = np.flatnonzero(flat)
    bits = np.packbits(seen, axis=1)
    return Counts(tuple(segments), where, flat[where], tuple(largest), titles, bits)


def _cells(rows: Rows) -> tuple[Int, list[tuple[str, str, str]]]:
    """(n,) the cell of each row, and each cell's location, device type and app version."""
    device, devices = _common(rows.device, rows.devices)
    version, versions = _common(rows.version, rows.versions)
    location = np.clip(rows.location, 0, LOCATIONS - 1)
    code = (device * len(versions) + version) * LOCATIONS + location
    there = np.flatnonzero(np.bincount(code, minlength=1))
    place = np.zeros(int(there[-1]) + 1, np.int64)
    place[there] = np.arange(len(there))
    names = [
        (str(c % LOCATIONS), devices[c // LOCATIONS // len(versions)],
         versions[c // LOCATIONS % len(versions)])
        for c in there.tolist()
    ]  # fmt: skip
    return place[code], names


def _common(codes: Int, words: Sequence[str]) -> tuple[Int, list[str]]:
    """The same with at most so many words: those most rows have."""
    known = [*words, UNKNOWN]
    codes = np.where(codes < 0, len(words), codes)
    sizes = np.bincount(codes, minlength=len(known))
    if len(known) <= _WORDS_MOST:
        return codes, known
    kept = np.argsort(-sizes, kind="stable")[: _WORDS_MOST - 1]
    new = np.full(len(known), len(kept), np.int64)
    new[kept] = np.arange(len(kept))
    return new[codes], [*(known[i] for i in kept.tolist()), OTHER]


def _grouped(
    names: Sequence[tuple[str, str, str]], grouping: tuple[str, ...]
) -> tuple[list[Segment], Int]:
    """The segments of a grouping, and the segment of each cell."""
    fields = ("location", "device_type", "app_version")
    place: dict[Segment, int] = {}
    of_cell = []
    for cell in names:
        said = dict(zip(fields, cell, strict=True))
        segment = Segment(**{name: said[name] for name in grouping})
        of_cell.append(place.setdefault(segment, len(place)))
    return list(place), np.array(of_cell, np.int64)


def _additive(rows: Rows, cell: Int, cells: int) -> Int:
    """(cells, WIDTH) all but profiles."""
    good = ~rows.duplicate
    table = np.zeros((cells, WIDTH), np.int64)
    after_us = _after_us(rows)
    flags = {
        "impressions": good,
        "plays": good & rows.played,
        "duplicates": rows.duplicate,
        "repeated": after_us == 0,
        "again": after_us <= MINUTE_US,
        "clamped": good & (rows.event_us == rows.ingest_us),
        "late": good & (rows.ingest_us - rows.event_us > HOUR_US),
        "zero_dwell": good & ~(rows.dwell_s > 0),
    }
    for name, flag in flags.items():
        table[:, FIELDS.index(name)] = np.bincount(cell[flag], minlength=cells)
    mine = cell[good]
    hours = rows.event_us[good] % DAY_US // HOUR_US
    location = np.clip(rows.location[good], 0, LOCATIONS - 1)
    dwell = dwell_bins.bins_of(rows.dwell_s[good])
    for at, values, width in (
        (HOURS_AT, hours, 24),
        (LOCATIONS_AT, location, LOCATIONS),
        (DWELL_AT, dwell, dwell_bins.BINS),
    ):
        binned = np.bincount(mine * width + values, minlength=cells * width)
        table[:, at : at + width] = binned.reshape(cells, width)
    hourly = mine * 24 + rows.ingest_us[good] % DAY_US // HOUR_US
    flags["location_0"] = rows.location == 0
    for i, name in enumerate(BY_HOUR):
        if name == "impressions":
            counted = np.bincount(hourly, minlength=cells * 24)
        elif name == "dwell_bins":
            counted = np.bincount(hourly, dwell, cells * 24).astype(np.int64)
        else:
            counted = np.bincount(hourly[flags[name][good]], minlength=cells * 24)
        at = BY_HOUR_AT + 24 * i
        table[:, at : at + 24] = counted.reshape(cells, 24)
    return table


def _after_us(rows: Rows) -> Int:
    """(n,) how long after the row before, if that is of the same profile and title."""
    good = np.flatnonzero(~rows.duplicate)
    same = np.diff(rows.profile_id[good]) == 0
    same &= np.diff(rows.title_id[good]) == 0
    after = np.full(len(rows.duplicate), _NEVER)
    after[good[1:]] = np.where(same, np.diff(rows.event_us[good]), _NEVER)
    return after


def _ranks(profile: Int, slot: Int) -> tuple[Int, Int, Int]:
    """The order of rows by (profile, slot), and in it the rank of each profile and of each pair."""
    order: Int = np.arange(len(profile))
    if (slot[1:] != slot[:-1]).any():
        order = np.lexsort((slot, profile))
        profile, slot = profile[order], slot[order]
    is_next = np.zeros(len(profile), np.bool_)
    is_next[1:] = profile[1:] != profile[:-1]
    rank = np.cumsum(is_next, dtype=np.int64)
    is_next[1:] |= slot[1:] != slot[:-1]
    return order, rank, np.cumsum(is_next, dtype=np.int64)


def _together(rank: Int, segment: Int, segments: int) -> tuple[Int, Int, Int, Int]:
    """(segments,) each: ranks that are in it, the most rows of one of them, which that is, and the
    sum of the squares of their rows.

    `rank` ascends, so a piece of ranks is a piece of the rows, and no sort is needed.
    """
    distinct, most, whose, squares = (np.zeros(segments, np.int64) for _ in range(4))
    last = int(rank[-1]) if len(rank) else -1
    step = max(1, _PIECE // segments)
    for low in range(0, last + 1, step):
        start, end = np.searchsorted(rank, (low, low + step))
        wide = min(step, last + 1 - low)
        key = (rank[start:end] - low) * segments + segment[start:end]
        rows = np.bincount(key, minlength=wide * segments).reshape(wide, segments)
        distinct += np.count_nonzero(rows, axis=0)
        squares += np.einsum("ij,ij->j", rows, rows)
        here = rows.max(axis=0)
        whose = np.where(here > most, rows.argmax(axis=0) + low, whose)
        most = np.maximum(most, here)
    return distinct, most, whose, squares
