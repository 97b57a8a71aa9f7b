"""How a round left raw, and how the report of the run says it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from batch.lake.cursor import Landed
from batch.landing.plan import TopicState
from batch.landing.tally import Tally
from impressions.core.slot import format_utc
from impressions.terminal.report import Outcome, Report


@dataclass(frozen=True)
class Round:
    """What a round did, or would do.

    Attributes:
        through_ms: raw is valid through it; 0: nowhere yet.
        partitions: of this lander.
    """

    done: Tally
    through_ms: int
    landed: Landed
    seen: TopicState
    partitions: Collection[int]


def outcome_of(round_: Round, *, dry_run: bool = False) -> Outcome:
    """The round, for the report of the run."""
    done, seen, through_ms = round_.done, round_.seen, round_.through_ms
    counts = {"records": done.records, "lost": done.lost} if dry_run else done.counts
    partitions = [
        {
            "partition": p,
            "next_offset": cursor.next_offset,
            "end": end,
            "lag": max(0, end - cursor.next_offset),
            "ingested_through": format_utc(cursor.ingest_ms) if cursor.ingest_ms else None,
        }
        for p, (cursor, end) in enumerate(zip(round_.landed.cursors, seen.end, strict=True))
        if p in round_.partitions
    ]
    reasons = {} if done.reasons is None else {"rejected_by_reason": dict(done.reasons)}
    return Outcome(
        changed=done.changed,
        counts=counts | {"lag": sum(int(p["lag"] or 0) for p in partitions)},
        snapshots=done.snapshots,
        extra=reasons
        | {
            "topic": seen.topic,
            "epoch": round_.landed.epoch,
            "valid_through": format_utc(through_ms) if through_ms else None,
            "valid_through_ms": through_ms,
            "partitions": partitions,
        },
    )


def summary(report: Report, *, dry_run: bool) -> str:
    """The round for people."""
    counts, extra = report.outcome.counts, report.outcome.extra
    where = f"valid through {extra['valid_through'] or 'nowhere yet'}"
    if dry_run:
        return f"would land {counts['records']:,} records of {extra['topic']}; now {where}"
    if not counts["records"]:
        return f"nothing new in {extra['topic']}; {where}"
    return (
        f"landed {counts['records']:,} records in {report.seconds:.1f} s: read {counts['read']:,} "
        f"= landed {counts['landed']:,} + rejected {counts['rejected']:,}; "
        f"{counts['lag']:,} left; {where}"
    )
