"""The events of some profiles as columns, and which layers of the batch lane hold each.

An event is one impression, known by where it came from: the source (the topic or a file), the
offset of its record, the place of its device flush in that record. Where raw and topic were both
read, `one_of_both` makes one list of the two: every event once, with what each of them has of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch.closing.duplicates import groups_of
from batch.jobs.occurrences import occurrence
from batch.lake.cursor import SOURCE_PREFIX
from impressions.core.decay import Float, Int, weights
from impressions.core.spec import MEASURES, Adds, Spec

PLAYED, DWELL_S = (
    next(m for m, measure in enumerate(MEASURES) if measure.adds is adds)
    for adds in (Adds.PLAYED, Adds.DWELL_S)
)
"""Rows of `x`, and the first columns of `vectors`, by what is added."""

NOT_READ = -1
"""Of `in_raw`: not landed yet. Of `in_topic`: that part of the topic was not read, or is gone."""


@dataclass(frozen=True)
class Events:
    """n impressions that keep the rule of validity.

    Attributes:
        item: (n,) title and location (impressions/core/item.py).
        event_ms: (n,) the time it counts with.
        x: (M, n) what it adds to each measure.
        log_id: (n,) id of its device flush; -1: none.
        source: (n,) texts: `kafka:...` or `file:...`.
        file: (n,) number of the data file that a row was read from; 0 for events of the topic.
        in_raw, in_topic: (n,) how often each holds it, or NOT_READ.
    """

    profile_id: Int
    item: Int
    event_ms: Int
    ingest_ms: Int
    x: Float
    log_id: Int
    log_offset: Int
    log_index: Int
    source: NDArray[Any]
    file: Int
    in_raw: Int
    in_topic: Int

    def __len__(self) -> int:
        return len(self.item)

    @property
    def from_topic(self) -> NDArray[np.bool_]:
        """(n,) whether the stream could see it."""
        return np.fromiter((s.startswith(SOURCE_PREFIX) for s in self.source), bool, len(self))

    def take(self, which: NDArray[Any]) -> Events:
        return Events(*(getattr(self, field.name)[..., which] for field in fields(self)))

    def in_order(self) -> Events:
        """As they were ingested."""
        return self.take(np.lexsort((self.event_ms, self.log_index, self.log_offset,
                                     self.ingest_ms)))  # fmt: skip


def joined(parts: Sequence[Events]) -> Events:
    """All of them, one after the other; at least one part."""
    return Events(
        *(np.concatenate([getattr(p, f.name) for p in parts], axis=-1) for f in fields(Events))
    )


def no_events(spec: Spec) -> Events:
    none = np.empty(0, np.int64)
    x, texts = np.empty((len(spec.measures), 0)), np.empty(0, object)
    return Events(none, none, none, none, x, none, none, none, texts, none, none, none)


def vectors(events: Events, query_ms: int, spec: Spec) -> Float:
    """(n, C) what each event adds to an item at a query time: C = M totals, then M * H sums,
    measure by measure."""
    decayed = events.x[:, None, :] * weights(query_ms - events.event_ms, spec)[None, :, :]
    columns = len(spec.measures) * len(spec.half_lives_days)
    return np.concatenate([events.x, decayed.reshape(columns, len(events))]).T


def one_of_both(
    raw: Events, topic: Events, source: str, read_from: int, next_offset: int
) -> Events:
    """Every event once.

    Args:
        raw: rows as they stand, `in_raw` 1 each.
        topic: all events of these profiles from offset `read_from` on, `in_topic` 1 each.
        source: that of the topic's rows.
        next_offset: the first record that is not landed.

    A row that stands in two data files was landed twice. One that stands twice in a file may have
    been sent twice in its flush; where the topic was read, it decides.
    """
    rows = _once(raw)
    both = joined([rows, topic])
    if not len(both):
        return both
    _, group = groups_of(_identity(both))
    is_row = np.arange(len(both)) < len(rows)
    in_raw, in_topic = (
        np.bincount(group, copies).astype(np.int64)[group]
        for copies in (np.where(is_row, both.in_raw, 0), np.where(is_row, 0, both.in_topic))
    )
    was_read = (both.source == source) & (both.log_offset >= read_from)
    # A row of the part that was read gives way to the topic's own; one that it lacks stays.
    keep = ~is_row | ~was_read | (in_topic == 0)
    copies = np.where(both.log_offset < next_offset, _shared(in_raw, in_topic, group, ~is_row),
                      NOT_READ)  # fmt: skip
    said = replace(
        both,
        in_raw=np.where(is_row, both.in_raw, copies),
        in_topic=np.where(was_read, np.minimum(in_topic, 1), NOT_READ),
    )
    return said.take(np.flatnonzero(keep)).in_order()


def _once(raw: Events) -> Events:
    """Rows that stand in several data files once, saying in how many."""
    if not len(raw):
        return raw
    _, group = groups_of(_identity(raw))
    per_file, in_file = groups_of((group.astype(np.int64), raw.file))
    most = np.zeros(group.max() + 1, np.int64)
    np.maximum.at(most, group[per_file], np.bincount(in_file))
    of_group = np.bincount(group)
    kept = np.flatnonzero(occurrence(group) < most[group])
    return replace(raw, in_raw=of_group[group] // most[group]).take(kept).in_order()


def _shared(in_raw: Int, in_topic: Int, group: Int, is_topic: NDArray[np.bool_]) -> Int:
    """How many of raw's copies each of a group's events of the topic has: the first ones have
    theirs, where there are fewer than events."""
    place = np.zeros(len(group), np.int64)
    place[is_topic] = occurrence(group[is_topic])
    safe = np.maximum(in_topic, 1)
    return in_raw // safe + (place < in_raw % safe)


def _identity(events: Events) -> tuple[Int, ...]:
    sources = np.unique(events.source.astype(str), return_inverse=True)[1].astype(np.int64)
    return (
        events.log_offset, events.log_index, events.profile_id, events.item, events.event_ms,
        sources, *(np.ascontiguousarray(column).view(np.int64) for column in events.x),
    )  # fmt: skip
