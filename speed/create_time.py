"""Records that bear their producer's time, not the broker's: of a topic that was CreateTime once.

Putting the topic right stamps what comes from then on; the records from before stay as they are for
as long as retention. Which layer owns them nobody can say. So they are named and refused, and with
`impressions speed --accept-loss` passed over: those, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from impressions.core.errors import Refused
from speed.partition import Record


def ranges(records: Iterable[Record]) -> list[tuple[int, int]]:
    """[start, end) of the offsets of records without a stamp, those that follow each other joined.

    Records in offset order; a stamped one between two, or an offset without a record, parts them.
    """
    found: list[tuple[int, int]] = []
    for record in records:
        if record.stamped:
            continue
        if found and found[-1][1] == record.offset:
            found[-1] = found[-1][0], record.offset + 1
        else:
            found.append((record.offset, record.offset + 1))
    return found


def runs(records: Sequence[Record]) -> list[list[Record]]:
    """The same records in runs that are stamped, or are not, as a whole."""
    found: list[list[Record]] = []
    for record in records:
        if found and found[-1][0].stamped == record.stamped:
            found[-1].append(record)
        else:
            found.append([record])
    return found


def refused(topic: str, partition: int, found: Sequence[tuple[int, int]]) -> Refused:
    """The error that names them."""
    total = sum(end - start for start, end in found)
    named = ", ".join(f"{start}..{end}" for start, end in found[:10])
    more = f" and {len(found) - 10} ranges more" if len(found) > 10 else ""
    return Refused(
        f"topic {topic}, partition {partition}: {total} records bear their producer's time, "
        f"expected the broker's (LogAppendTime): offsets [start..end) {named}{more}",
        hint="the topic is right now (impressions topics check), they are from before: "
        "`impressions speed --accept-loss` passes over exactly those, and says so; "
        "without it the stream goes on when retention has deleted them",
        reason="not_append_time",
    )
