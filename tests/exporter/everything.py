"""A system of which everything is known, for tests of the exporter and of what asks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from impressions.core.spec import DAY_MS
from impressions.exporter.service import Exporter
from impressions.history.run_record import HEALED, RunRecord
from impressions.settings.model import Settings
from impressions.status.disks import Disk
from impressions.status.facts import (
    GenerationStatus,
    HostStatus,
    Lake,
    Published,
    Quality,
    Rotation,
    SlotRows,
)
from impressions.status.headroom import Headroom
from impressions.status.jobs import Job, Jobs
from impressions.status.report import Status
from impressions.status.stage import Found
from impressions.status.stages import stages
from tests.history.records import START_MS, record
from tests.local.test_stages import NOW, well

SETTINGS = Settings(partitions=2)
HISTORY_EVENTS = {HEALED: 3}
HOUR_MS = 3_600_000


def run(job: str, ago_ms: int, **more: object) -> RunRecord:
    """A run that began so long before NOW."""
    return record(job, (NOW - ago_ms - START_MS) / 1000, **more)


def found_of_everything() -> Found:
    last = run("compact", HOUR_MS, seconds=100, changed=True, counts={"rows": 9, "slots": 1})
    failed = run("close", HOUR_MS, exit_code=5, reason="open_slots")
    of_host = GenerationStatus(
        "2027-01-14", "loaded", True, False, False, NOW - DAY_MS, "1 d", NOW, False, 5, (0, 1), 3,
        NOW, None, None,
    )  # fmt: skip
    return dataclasses.replace(
        well(),
        lake=Lake(
            NOW - 60_000, (10, 8), {NOW // DAY_MS * DAY_MS - DAY_MS: SlotRows(5, 0)}, frozenset(),
            (Published("2027-01-14", NOW - DAY_MS, 7, True, 0),),
            Quality(NOW - DAY_MS, ("a finding",), (), 0, {("plays", True): 1}),
        ),
        host=HostStatus("/h", 1, "2027-01-14", None, NOW, (0, 1), (of_host,), (), (), False),
        headroom=Headroom({0: 7 * DAY_MS, 1: 6 * DAY_MS}, 7 * DAY_MS,
                          False),
        jobs=Jobs(
            {"compact": Job("compact", last, last, last, 40.0),
             "close": Job("close", failed, None, None, None)},
            compared_ms=NOW - HOUR_MS, first_compact_ms=NOW - DAY_MS, rejected_share=0.01,
            duplicate_share=0.02, damaged=1,
        ),
        rotation=Rotation(NOW - DAY_MS, NOW - 2 * DAY_MS, 4),
        disks=(Disk("home", "/h", 30, 100),),
    )  # fmt: skip


def status_of(found: Found, settings: Settings = SETTINGS) -> Status:
    return Status(found, stages(found, settings))


def status_of_everything() -> Status:
    return status_of(found_of_everything())


def registry_of(
    status: Status, events: Mapping[str, int], now_ms: int = NOW, settings: Settings = SETTINGS
) -> CollectorRegistry:
    """What /metrics shows of a look, at a time."""
    exporter = Exporter(settings, lambda: now_ms)
    exporter.status = status
    exporter.events.by_kind.update(events)
    return exporter.registry
