"""The steps of a weekly run that need no Spark: landing without a topic, closing, judging."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch import week as steps
from impressions.core.errors import NotReady
from impressions.settings.model import Settings
from impressions.steps.asked import Week
from tests.fixed_clock import FixedClock
from tests.integration.history import DAY, START
from tests.integration.landing import one_row
from tests.lake.rows import bring_in, file_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", partitions=4)


def week(settings: Settings, days: int) -> Week:
    return Week(settings, FixedClock(START + days * DAY), cutover_ms=START + days * DAY)


def test_without_topic_and_files_raw_must_reach_the_date(
    settings: Settings, tmp_path: Path
) -> None:
    """A row of the first day makes raw valid through the second's start, and no further."""
    with pytest.raises(NotReady, match="complete nowhere yet"):
        steps.land(week(settings, 1))
    bring_in(settings, file_of(tmp_path / "e.parquet", [one_row()]))
    done = steps.land(week(settings, 1))
    assert (done.changed, done.line) == (
        False, "no topic is configured; raw is valid through 2026-01-02T00:00:00Z",
    )  # fmt: skip
    with pytest.raises(NotReady, match="up to 2026-01-02T00:00:00Z, expected at least 2026-01-03"):
        steps.land(week(settings, 2))


def test_an_import_leaves_nothing_to_close_and_its_days_are_judged(
    settings: Settings, tmp_path: Path
) -> None:
    bring_in(settings, file_of(tmp_path / "e.parquet", [one_row()]))
    asked = week(settings, 1)
    closed, judged = steps.close(asked), steps.quality(asked)
    assert (closed.changed, closed.line) == (False, "every slot that is over is closed")
    assert (judged.changed, judged.line) == (False, "1 days judged, 0 findings block a generation")
    assert closed.report["job"] == "close"
