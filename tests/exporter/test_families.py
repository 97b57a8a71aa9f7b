"""What the exporter shows: facts of status as numbers, ages of now, and nothing where nothing is
known."""

from __future__ import annotations

import dataclasses

from prometheus_client import CollectorRegistry

from impressions.core.spec import DAY_MS
from impressions.exporter.events import EventCounts
from impressions.history.run_record import HEALED, HistoryEvent
from impressions.status.questions import Unknown
from impressions.status.report import QUESTIONS
from tests.exporter.everything import (
    HOUR_MS,
    found_of_everything,
    registry_of,
    run,
    status_of,
    status_of_everything,
)
from tests.local.test_stages import NOW

DOWN = Unknown("no broker", "start it")


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"impressions_{name}", labels)


def test_a_job_is_shown_with_its_last_success_and_its_usual_duration() -> None:
    """compact took 100 s instead of 40; close failed and has no success to show."""
    shown = registry_of(status_of_everything(), {})
    of = {
        name: (value(shown, f"job_{name}", job="compact"), value(shown, f"job_{name}", job="close"))
        for name in (
            "success_age_seconds", "exit_code", "failed", "seconds", "usual_seconds", "slow",
        )
    }  # fmt: skip
    assert of == {
        "success_age_seconds": (3500, None),
        "exit_code": (0, 5),
        "failed": (0, 1),
        "seconds": (100, None),
        "usual_seconds": (40, None),
        "slow": (0, 0),  # more than twice, but no minute more
    }
    assert value(shown, "job_count", job="compact", what="rows") == 9


def test_ages_grow_between_looks_and_the_future_is_below_zero() -> None:
    """A scrape an hour after the look says an hour more; raw ahead of the clock is negative."""
    status = status_of_everything()
    assert value(registry_of(status, {}), "raw_age_seconds", source="topic") == 60
    later = registry_of(status, {}, NOW + HOUR_MS)
    assert value(later, "raw_age_seconds", source="topic") == 3660
    earlier = registry_of(status, {}, NOW - HOUR_MS)
    assert value(earlier, "raw_age_seconds", source="topic") == -3540
    assert value(later, "exporter_look_timestamp_seconds") == NOW / 1000


def test_what_cannot_be_asked_is_left_out_and_named() -> None:
    """The broker is down: no headroom, no records to land; raw and jobs are there."""
    found = dataclasses.replace(
        found_of_everything(), stream=DOWN, headroom=Unknown("without the topic", absent=True)
    )
    shown = registry_of(status_of(found), {})
    up = {name: value(shown, "exporter_question_up", question=name) for name in QUESTIONS}
    assert {name for name, is_up in up.items() if is_up != 1} == {"stream"}
    assert value(shown, "topic_headroom_seconds") is None
    assert value(shown, "raw_records_to_land") is None
    assert value(shown, "raw_age_seconds", source="topic") == 60
    assert value(shown, "stage_bad", stage="topic") == 1
    assert value(shown, "stage_bad", stage="generations") == 0


def test_raw_of_files_alone_is_not_the_landers() -> None:
    """So the alert about a dead lander, which asks for source="topic", does not fire."""
    found = found_of_everything()
    lake = dataclasses.replace(found.lake, landed_offsets=())
    shown = registry_of(status_of(dataclasses.replace(found, lake=lake)), {})
    assert value(shown, "raw_age_seconds", source="topic") is None
    assert value(shown, "raw_age_seconds", source="files") == 60


def test_topic_disk_quality_and_host() -> None:
    """Headroom of the partition that has least; findings by measure; what the host has loaded."""
    shown = registry_of(status_of_everything(), {HEALED: 3})
    assert value(shown, "topic_headroom_seconds") == 6 * DAY_MS / 1000
    assert value(shown, "topic_retention_seconds") == 7 * DAY_MS / 1000
    assert value(shown, "raw_records_to_land") == 2
    assert value(shown, "disk_free_share", place="home") == 0.3
    assert value(shown, "quality_findings", measure="plays", blocks="true") == 1
    age = value(shown, "host_generation_age_seconds", generation="2027-01-14", active="true")
    assert age == value(shown, "newest_generation_age_seconds") == DAY_MS / 1000
    assert value(shown, "rejected_share") == 0.01
    assert value(shown, "all_compared_age_seconds") == 2 * DAY_MS / 1000
    assert value(shown, "history_events_total", kind=HEALED) == 3


def test_events_are_counted_once_and_never_fall() -> None:
    """A record that the history forgets has been counted all the same."""
    event = HistoryEvent(HEALED, 1, "a missed week")
    old, new = run("land", 2, events=(event,) * 2), run("land", 1, events=(event,))
    counts = EventCounts()
    assert counts.by_kind == {HEALED: 0}
    for kept in ([old], [old, new], [new], [new]):
        counts.add(kept)
    assert counts.by_kind == {HEALED: 3}
