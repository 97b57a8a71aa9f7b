"""History from files and the topic must not overlap in ingest time: what both hold counts twice.

History lies before the first record of the topic. Whoever comes second is refused: an import of
rows from then on, and the first landing where raw holds such rows. And where a topic is landed, it
alone says how far raw is complete; an import adds to what was before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batch.lake.columns import integers
from batch.lake.cursor import SOURCE_PREFIX, Landed
from batch.lake.files import LiveFile, bound, live_files, source_bounds
from batch.lake.reading import rows_of
from impressions.core.errors import ImpressionsError, Refused, UsageError
from impressions.core.slot import format_utc
from impressions.settings.model import Settings
from impressions.terminal.console import warn

if TYPE_CHECKING:
    from pyiceberg.table import Table


def check_import(newest_ms: int, first_ms: int | None, topic: str) -> None:
    """Raises Refused where files hold a row ingested when the topic had begun, at `first_ms`."""
    if first_ms is not None and newest_ms >= first_ms:
        raise Refused(
            f"the files hold rows ingested at {format_utc(newest_ms)}, but topic {topic} begins "
            f"at {format_utc(first_ms)}: what both hold would count twice",
            hint="import only rows ingested before the topic began; later ones, such as the "
            "backfill of an outage, go through the topic: impressions produce",
            reason="overlap",
        )


def check_landing(settings: Settings, raw: Table, snapshot_id: int | None, first_ms: int) -> None:
    """Raises Refused where raw holds rows of files ingested when the topic had begun."""
    newest_ms = newest_of_files(raw, snapshot_id)
    if newest_ms is not None and newest_ms >= first_ms:
        raise Refused(
            f"topic {settings.kafka.topic} begins at {format_utc(first_ms)}, but raw holds rows "
            f"from files ingested up to {format_utc(newest_ms)}: what both hold would count twice",
            hint="take the file that holds them out again (impressions land --forget FILE), or "
            "land another topic",
            reason="overlap",
        )


def newest_of_files(
    raw: Table, snapshot_id: int | None, without: frozenset[str] = frozenset()
) -> int | None:
    """The newest ingest time of any row that came from a file; None without one.

    Files whose bounds of `source` lie before "kafka:" hold rows of files only, so their bounds of
    the ingest time answer it; only files that hold both are read.

    Args:
        without: sources to leave out.
    """
    found: list[int] = []
    for file in live_files(raw, snapshot_id):
        low, high = source_bounds(raw, file)
        if low is not None and (low >= SOURCE_PREFIX or (low == high and low in without)):
            continue
        if low is None or high >= SOURCE_PREFIX or file.deletes or (low != high and without):
            found += _newest(raw, file, without)
        else:
            found.append(bound(raw, file.data, "ingest_time", upper=True) // 1000)
    return max(found, default=None)


def history_until_ms(raw: Table, snapshot_id: int | None, cutover_ms: int) -> int:
    """Behind the newest row of any file, where that is not before the cutover; else 0.

    Such rows are in no answer until the next generation, for the stream never saw them; live
    answers say so.
    """
    newest_ms = newest_of_files(raw, snapshot_id)
    if newest_ms is None or newest_ms < cutover_ms:
        return 0
    warn(
        f"files brought rows ingested up to {format_utc(newest_ms)}: those from "
        f"{format_utc(cutover_ms)} on are in no answer until the next generation; live answers "
        "say so (deltas_missing)"
    )
    return newest_ms + 1


def topic_begins_ms(settings: Settings, landed: Landed | None) -> int | None:
    """When the first record of the topic was ingested; None where there is none, or no broker.

    A broker that does not answer is said and passed over: the first landing checks again.
    """
    from impressions.kafka.client import find_bootstrap

    if landed is not None and landed.first_ms is not None:
        return landed.first_ms
    if find_bootstrap(settings) is None:
        return None
    try:
        from batch.landing.topic import first_record_ms

        return first_record_ms(settings)
    except ImpressionsError as error:
        warn(f"whether the files overlap topic {settings.kafka.topic} is not known: {error}")
        return None


def refuse_claim(landed: Landed | None) -> None:
    """Raises UsageError for an explicit --valid-through where a topic is landed."""
    if landed is not None:
        raise UsageError(
            f"topic {landed.topic} is landed: its landings say how far raw is complete",
            hint="leave out --valid-through; run impressions land",
            reason="landed_topic",
        )


def _newest(raw: Table, file: LiveFile, without: frozenset[str]) -> list[int]:
    """The newest ingest time of a file's rows that came from files; nothing where none did."""
    found = []
    for rows in rows_of(file, raw.io, raw.schema(), ("source", "ingest_time")):
        sources = rows["source"].to_pylist()
        ingest_ms = integers(rows, "ingest_time") // 1000
        counts = np.array([not s.startswith(SOURCE_PREFIX) and s not in without for s in sources])
        found += [int(ingest_ms[counts].max())] if counts.any() else []
    return found
