"""What a round says: the report of the run, and the same for people."""

from __future__ import annotations

from collections.abc import Iterator

from batch.reconciling.findings import Difference, Finding, NamedEvent
from batch.reconciling.round import Round
from impressions.terminal.report import Outcome, Report

_EVENTS_SHOWN = 20


def outcome_of(done: Round) -> Outcome:
    """Counts, and every finding."""
    return Outcome(
        counts={
            "profiles": done.profiles,
            "differing": len(done.findings),
            "events": done.events,
            "skipped": len(done.skipped),
        },
        extra={"findings": list(done.findings), "skipped": list(done.skipped)},
    )


def summary(report: Report, done: Round) -> str:
    """For people: a line, and what differs below it."""
    differing, skipped = len(done.findings), done.skipped
    verdict = f"{differing:,} differ" if differing else "raw and answers agree"
    compared = done.profiles - len(skipped)
    head = f"compared {compared:,} profiles in {report.seconds:.1f} s: {verdict}"
    lines = [line for finding in done.findings for line in _of_profile(finding)]
    lines += [f"profile {one.profile_id}: not compared: {one.message}" for one in skipped]
    return "\n".join([head, *lines])


def _of_profile(finding: Finding) -> Iterator[str]:
    flagged = f", which says {', '.join(finding.reasons)}" if finding.reasons else ""
    if finding.error:
        yield f"profile {finding.profile_id} (shard {finding.shard}): no answer: {finding.error}"
        return
    yield (
        f"profile {finding.profile_id} (shard {finding.shard}), answer of generation "
        f"{finding.generation or 'none'} at {finding.query_time}{flagged}"
    )
    for difference in finding.differences:
        yield from _of_item(difference)


def _of_item(difference: Difference) -> Iterator[str]:
    if difference.title is None:
        yield f"  the answer is right, raw is not: {difference.text}"
    else:
        at = f"  title {difference.title} at location {difference.location}"
        numbers = ", ".join(
            f"{name} {difference.found[name]:.6g}, expected {expected:.6g}"
            for name, expected in list(difference.expected.items())[:2]
        )
        yield f"{at}: {numbers}"
        yield f"    {difference.text}"
    for event in difference.events[:_EVENTS_SHOWN]:
        yield f"    {_line(event)}"
    if (more := len(difference.events) - _EVENTS_SHOWN) > 0:
        yield f"    and {more} more (--json has all)"


def _line(event: NamedEvent) -> str:
    words = ", ".join(f"{layer} {word}" for layer, word in event.layers.items())
    why = f" ({event.why})" if event.why else ""
    return (
        f"{event.source} partition {event.partition} offset {event.offset} flush "
        f"{event.log_index} log_id {event.log_id} seen {event.event_time} ingested "
        f"{event.ingest_time} title {event.title} location {event.location}: {words}{why}"
    )
