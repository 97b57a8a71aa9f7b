"""Profiles of one shard compared: the server asked, then everything that lies before it read.

Order matters. The table is read first, then the server is asked, then the end of the topic: so
whatever the answer holds is in one of the two, and what they hold in addition came later.

A profile that differs is looked at a second time: asked again, with the topic read from the first
record it still holds. What was under way the first time is there now, and an event that raw lacks
is named by the topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batch.lake.cursor import Cursor
from batch.reconciling.events import Events, joined, one_of_both
from batch.reconciling.findings import Finding, Skipped, finding_of, finding_of_error
from batch.reconciling.judging import judge
from batch.reconciling.landed import LandedTable, TooManyEvents, too_many
from batch.reconciling.live_topic import LiveTopic
from batch.reconciling.served import Server
from impressions.core.decay import Int
from impressions.core.errors import CorruptData
from impressions.core.spec import Spec


@dataclass(frozen=True)
class Parts:
    """What is compared with what. `topic`: None where no broker is configured."""

    raw: LandedTable
    topic: LiveTopic | None
    server: Server
    spec: Spec


@dataclass(frozen=True)
class Compared:
    """What came of profiles: those that differ, and those that could not be compared."""

    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def __add__(self, other: Compared) -> Compared:
        return Compared(self.findings + other.findings, self.skipped + other.skipped)


def compare(parts: Parts, shard: int, runs: Sequence[Int], since_ms: int | None = None) -> Compared:
    """What differs of profiles of a shard.

    Args:
        runs: profiles, ascending; those of a run are neighbours and are read together.
        since_ms: read the topic from there on, landed or not; None: from where raw ends.

    Raises:
        ServiceError: no answer, or no broker.
    """
    first = _looked_at(parts, shard, runs, _tail(parts, shard, since_ms))
    suspects = [np.array([one.profile_id], np.int64) for one in first.findings]
    return Compared(skipped=first.skipped) + _looked_at(parts, shard, suspects, Cursor(0))


def _tail(parts: Parts, shard: int, since_ms: int | None) -> Cursor:
    if parts.topic is None:
        return Cursor(0)
    landed = parts.topic.landed_to(parts.raw, shard)
    if since_ms is None:
        return landed
    offset = parts.topic.offset_at(shard, since_ms)
    return landed if offset >= landed.next_offset else Cursor(offset)


def _looked_at(parts: Parts, shard: int, runs: Sequence[Int], start: Cursor) -> Compared:
    """As many at a time as fit into memory; a file that cannot be read spoils no profile but those
    that lie where it is damaged."""
    if not runs:
        return Compared()
    try:
        return Compared(tuple(_at_once(parts, shard, runs, start)))
    except (TooManyEvents, CorruptData) as error:
        halves = _halves(runs)
        if not halves:
            return Compared(skipped=(Skipped(int(runs[0][0]), error.reason, error.message),))
    return sum((_looked_at(parts, shard, half, start) for half in halves), Compared())


def _halves(runs: Sequence[Int]) -> list[list[Int]]:
    """The same profiles in two parts; none where there is only one profile."""
    if len(runs) > 1:
        return [list(runs[: len(runs) // 2]), list(runs[len(runs) // 2 :])]
    (run,) = runs
    return [[run[: len(run) // 2]], [run[len(run) // 2 :]]] if len(run) > 1 else []


def _at_once(parts: Parts, shard: int, runs: Sequence[Int], start: Cursor) -> list[Finding]:
    wanted = np.unique(np.concatenate(list(runs)))
    answers = parts.server.answers(wanted.tolist())
    rows = joined([parts.raw.events(shard, run) for run in runs])
    if len(rows) > parts.raw.max_events:
        raise too_many(wanted, parts.raw.max_events)
    events = _with_topic(parts, shard, wanted, rows, start).in_order()
    order = np.argsort(events.profile_id, kind="stable")
    low = np.searchsorted(events.profile_id[order], wanted)
    high = np.searchsorted(events.profile_id[order], wanted, side="right")
    found = []
    for served, first, end in zip(answers, low.tolist(), high.tolist(), strict=True):
        if served.error:
            found.append(finding_of_error(served, shard))
            continue
        judged = judge(events.take(order[first:end]), served, parts.spec)
        if finding := finding_of(judged, served, shard, parts.spec):
            found.append(finding)
    return found


def _with_topic(parts: Parts, shard: int, wanted: Int, rows: Events, start: Cursor) -> Events:
    topic = parts.topic
    if topic is None:
        return one_of_both(rows, rows.take(np.empty(0, np.int64)), "", 0, 0)
    live, begin = topic.events(shard, wanted, start, parts.raw.max_events)
    next_offset = topic.landed_to(parts.raw, shard).next_offset
    return one_of_both(rows, live, topic.source, begin, next_offset)
