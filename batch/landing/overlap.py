"""History from files and the topic must not overlap in ingest time: what both hold counts twice.

History lies before the first record of the topic. What comes second is refused: an import of
rows from then on, and the first landing where raw holds such rows. And where a topic is landed, it
alone says how far raw is complete; an import adds to what was before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.lake.cursor import Landed
from batch.lake.imported_until import newest_of_files
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


def has_topic(settings: Settings) -> bool:
    """Whether a topic is configured, so that it may hold records sooner or later."""
    from impressions.kafka.client import find_bootstrap

    return find_bootstrap(settings) is not None


def topic_begins_ms(settings: Settings, landed: Landed | None) -> int | None:
    """When the first record of the topic was ingested; None where there is none, or no broker.

    A broker that does not answer is said and passed over: the first landing checks again.
    """
    if landed is not None and landed.first_ms is not None:
        return landed.first_ms
    if not has_topic(settings):
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
