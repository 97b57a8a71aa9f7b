"""Rows of a file as logs in order of arrival: the rule of the import, on arrays.

    with an ingest column     rows with the same (profile, log_id, ingest time) are one log; a row
                              that repeats another of them in every mapped column is the same log
                              sent again, once per copy
    ingest time = event time  each row is a log, identified by its log_id and its content together;
                              a row that repeats another is that log sent again
    no log_id                 each row is a log of its own

Logs arrive in the order of their ingest time, then of their first row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from batch.closing.duplicates import groups_of
from batch.jobs.occurrences import occurrence
from batch.mapping.ids import content_id
from batch.replay.events import Events
from impressions.core.decay import Int
from impressions.core.ids import LOG_BITS, hash_id


@dataclass(frozen=True)
class Logs:
    """Rows sorted by log; log i is the rows from `starts[i]` up to `starts[i + 1]`."""

    events: Events
    starts: Int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def ingest_ms(self) -> Int:
        """(logs,) when each arrived."""
        return self.events.ingest_ms[self.starts[:-1]]


def arrange(events: Events, ingest_is_event: bool, identified: bool) -> Logs:
    """Rows in the order of their files, to logs in the order of arrival."""
    if ingest_is_event or not identified:
        if ingest_is_event and identified:
            events = replace(events, log_id=_identities(events))
        log = np.arange(len(events))
    else:
        copy = occurrence(groups_of(_content(events))[1])
        _, log = groups_of((events.profile_id, events.log_id, events.ingest_ms, copy))
    first_row = np.full(len(events), len(events))
    np.minimum.at(first_row, log, np.arange(len(events)))
    order = np.lexsort((np.arange(len(events)), first_row[log], events.ingest_ms))
    log = log[order]
    changes = np.flatnonzero(log[1:] != log[:-1]) + 1 if len(log) else np.zeros(0, np.int64)
    starts = np.concatenate(([0], changes, [len(log)])) if len(log) else np.zeros(1, np.int64)
    return Logs(events.take(order), starts)


def renamed(events: Events, salt: str) -> Events:
    """The same with other log ids, equal where they were equal: a file sent again counts again."""
    unique, inverse = np.unique(events.log_id, return_inverse=True)
    ids = [hash_id(f"{salt}:{log_id}", LOG_BITS) or 1 for log_id in unique.tolist()]
    return replace(events, log_id=np.array(ids, np.int64)[inverse])


def _content(events: Events) -> tuple[Int, ...]:
    """Every column that tells one row from another, as integers."""
    return (
        events.profile_id, events.log_id, events.ingest_ms, events.event_ms, events.title_id,
        events.location, events.row, events.position, events.played.astype(np.int64),
        events.dwell_s.view(np.int64), _codes(events.device_type), _codes(events.app_version),
    )  # fmt: skip


def _identities(events: Events) -> Int:
    columns = [column.tolist() for column in _content(events)]
    return np.array([content_id(row) for row in zip(*columns, strict=True)], np.int64)


def _codes(texts: np.ndarray[tuple[int], np.dtype[np.object_]]) -> Int:
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(text, len(codes)) for text in texts.tolist()], np.int64)
