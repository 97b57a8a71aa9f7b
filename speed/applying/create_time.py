"""Records with their producer's time instead of the broker's: of a topic that was CreateTime once.

Once the topic is LogAppendTime, the broker stamps what comes from then on; the records from before
stay as they are until retention deletes them. It cannot be known which layer has to count them. So
they are named and refused, and with `impressions speed --accept-loss` passed over: those, and no
others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from impressions.core.errors import Refused
from speed.applying.source_record import SourceRecord


def ranges(records: Iterable[SourceRecord]) -> list[tuple[int, int]]:
    """[start, end) of the offsets of records without the broker's stamp.

    Records come in offset order. Those that follow each other are one range; a stamped one between
    two, or an offset without a record, begins another one.
    """
    out: list[tuple[int, int]] = []
    for record in records:
        if record.stamped:
            continue
        if out and out[-1][1] == record.offset:
            out[-1] = out[-1][0], record.offset + 1
        else:
            out.append((record.offset, record.offset + 1))
    return out


def runs(records: Sequence[SourceRecord]) -> list[list[SourceRecord]]:
    """The same records in runs: all of a run are stamped by the broker, or none is."""
    return [list(run) for _, run in groupby(records, attrgetter("stamped"))]


def refused(topic: str, partition: int, unstamped: Sequence[tuple[int, int]]) -> Refused:
    """The error that names these ranges."""
    total = sum(end - start for start, end in unstamped)
    named = ", ".join(f"{start}..{end}" for start, end in unstamped[:10])
    more = f" and {len(unstamped) - 10} ranges more" if len(unstamped) > 10 else ""
    return Refused(
        f"topic {topic}, partition {partition}: {total} records bear their producer's time, "
        f"expected the broker's (LogAppendTime): offsets [start..end) {named}{more}",
        hint="the topic is right now (impressions topics check), they are from before: "
        "`impressions speed --accept-loss` passes over exactly those, and says so; "
        "without it the stream goes on when retention has deleted them",
        reason="not_append_time",
    )
