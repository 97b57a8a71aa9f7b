"""What the pages ask of real parts: days of the table, rounds, servers, one profile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from batch.quality import table as quality_table
from batch.quality.findings import day_name
from batch.status.accept import run_accept
from batch.status.days import read_days
from impressions.client.failures import CallFailed
from impressions.console import sources
from impressions.console.look_up import look_up
from impressions.core.spec import HALF_LIVES_DAYS
from impressions.process.registry import registered
from impressions.settings.model import Settings
from impressions.status.questions import Absent, Unknown
from impressions.status.report import QUESTIONS
from impressions.status.serving import Served
from tests.compare import differences
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.quality import faults
from tests.quality.lake import settings_in as small_days
from tests.quality.traffic import FIRST_DAY, DayRow, Traffic
from tests.serving.support import EVENTS, by_title, expected_of, install, serving, settings_in
from tests.tolerance import FLOAT32_STORED

DAYS, BAD = 24, 22


def kept(settings: Settings, days: range) -> list[DayRow]:
    rows = Traffic(11, impressions=1500).rows(days, {BAD: faults.fewer_plays(0.7)}, least=100)
    by_day: dict[int, list[DayRow]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
    quality_table.replace(settings, by_day, "test")
    return rows


def test_days_are_what_the_table_holds_with_what_was_found(tmp_path: Path) -> None:
    """Every day and segment, a measure as it is judged; an accepted finding says so."""
    settings = small_days(tmp_path)
    with pytest.raises(Absent):
        read_days(settings)
    rows = kept(settings, range(DAYS))
    days = read_days(settings)
    assert len(days.days) == DAYS
    assert days.days[0] == day_name(FIRST_DAY)
    keys = [key for key, _ in days.segments]
    assert keys[0] == "all"
    assert "device_type=tv" in keys
    for row in rows:
        if row.segment.key in keys:
            at = (row.day - FIRST_DAY, keys.index(row.segment.key))
            assert days.measures["impressions"][at] == row.impressions
            assert days.measures["plays_per_impression"][at] == row.plays / row.impressions
    found = [one for one in days.findings if one.measure == "plays_per_impression"]
    assert {one.first_day for one in found} == {days.days[BAD]}
    assert read_days(settings) is days, "judged once for each state of the table"
    run_accept(settings, found[0].id, "a strike", "ann", "run")
    after = {one.id: one for one in read_days(settings).findings}
    assert after[found[0].id].accepted


def test_a_gap_is_a_day_without_a_number(tmp_path: Path) -> None:
    """Of the segments; everything of that day is 0, which is a fact."""
    settings = small_days(tmp_path)
    kept(settings, range(4))
    kept(settings, range(6, 8))
    days = read_days(settings)
    assert len(days.days) == 8
    assert days.measures["impressions"][4, 0] == 0
    assert np.isnan(days.measures["impressions"][4, 1:]).all()


def test_every_named_server_is_asked_and_one_that_is_away_hides_no_other(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    install(settings)
    with serving(settings, clock=FixedClock(CUTOVER_MS + 1)) as server:
        servers = f"{server.address}, 127.0.0.1:1"
        named = settings.model_copy(
            update={"console": settings.console.model_copy(update={"servers": servers})}
        )
        well, away = sources.read_fleet(named)
        assert isinstance(well.said, Served)
        assert well.said.generation == "2026-11-15"
        assert isinstance(away.said, Unknown)
        with registered(named, "serve", address=server.address):
            assert sources.addresses(named) == (server.address, "127.0.0.1:1")
    with pytest.raises(Absent):
        sources.read_fleet(settings)


def test_a_profile_that_is_looked_up_has_the_numbers_of_the_oracle(tmp_path: Path) -> None:
    """Totals and every half-life of every title, and from where it came."""
    settings = settings_in(tmp_path)
    install(settings)
    at_ms = CUTOVER_MS + 1
    with serving(settings, clock=FixedClock(at_ms)) as server:
        found = look_up(settings, server.address, 7, 7)
        with pytest.raises(CallFailed):
            look_up(settings, "127.0.0.1:1", 7, 7)
    expected = by_title(expected_of(7, EVENTS, CUTOVER_MS, at_ms))
    rows = {
        (7, title, 0): {
            "last_seen_ms": int(found.result.last_seen_ms[i]),
            **{name: float(values[i]) for name, values in found.result.totals.items()},
            **{pair: float(values[i]) for pair, values in found.result.decayed.items()},
        }
        for i, title in enumerate(found.result.title_ids.tolist())
    }
    assert differences(rows, expected, FLOAT32_STORED) == []
    assert len(found.result.decayed) == 3 * len(HALF_LIVES_DAYS)
    assert found.result.context.generation == "2026-11-15"
    assert found.shard in range(8)
    assert found.server_version


def test_every_question_of_status_is_asked_under_its_name(tmp_path: Path) -> None:
    """A part that status asks one day is asked here, too; what needs others comes after them."""
    answers = sources.answers_of(Settings(home=tmp_path), FixedClock(1))
    found = answers.get(*sources.STATUS) | answers.get(*sources.LATER)
    assert set(found) == set(QUESTIONS)
    assert found["headroom"].value.absent
    assert answers.get("runs")["runs"].value == sources.Runs((), ())
