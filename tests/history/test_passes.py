"""Which passes of a job that repeats are recorded."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from batch.landing import loop
from impressions.core.errors import Refused, ServiceError
from impressions.history.run_history import RunHistory
from impressions.history.run_record import HEALED, HistoryEvent
from impressions.process.passes import Passes, passes
from impressions.process.recording import recorded
from impressions.settings.model import Settings
from impressions.terminal.listening import tell
from impressions.terminal.report import Outcome
from tests.history.records import record

MINUTE_S = 60.0


def test_an_idle_job_is_recorded_once_an_hour() -> None:
    """Passes each minute for two hours that change nothing: the first, and one an hour."""
    seen = Passes()
    kept = [r for minute in range(121) for r in seen.add(record(at_s=minute * MINUTE_S))]
    assert [r.started_ms for r in kept] == [
        record(at_s=minute * MINUTE_S).started_ms for minute in (0, 60, 120)
    ]
    assert [r.extra["passes"] for r in kept] == [1, 60, 60]


def test_a_busy_job_is_recorded_every_ten_minutes_and_no_row_is_lost() -> None:
    """Each record stands for all passes since the last; its duration is that of the last one."""
    seen, event = Passes(), HistoryEvent(HEALED, 1, "rows landed again")
    done = [
        record(at_s=10 * i, seconds=2, changed=True, counts={"landed": 5}, events=(event,), cpu_s=1)
        for i in range(100)
    ]
    kept = [r for one in done for r in seen.add(one)] + seen.flush()
    assert [r.extra["passes"] for r in kept] == [1, 60, 39]
    assert [r.counts["landed"] for r in kept] == [5, 300, 195]
    assert sum(len(r.events) for r in kept) == 100
    assert {r.seconds for r in kept} == {2}
    assert seen.flush() == []


def test_the_first_failure_and_the_recovery_are_recorded_at_once() -> None:
    """The success before a failure is recorded for itself; a failure that goes on, once an hour."""
    seen = Passes()
    codes = [0, 0, *[8] * 70, 0]
    kept = [
        (minute, r.exit_code)
        for minute, code in enumerate(codes)
        for r in seen.add(record(at_s=minute * MINUTE_S, exit_code=code))
    ]
    assert kept == [(0, 0), (2, 0), (2, 8), (62, 8), (72, 8), (72, 0)]


def test_a_clock_that_steps_back_stops_no_records() -> None:
    """A day back: the next pass is recorded, instead of none for a day."""
    seen = Passes()
    seen.add(record(at_s=0))
    assert len(seen.add(record(at_s=-86_400))) == 1


def test_the_lander_records_passes_instead_of_itself(tmp_path: Path) -> None:
    """A broker that was away, then rows, then a refusal: three records of three passes, the last
    with the refusal that ended it."""
    settings, stop = Settings(home=tmp_path), threading.Event()
    rounds = iter([ServiceError("no broker", reason="kafka"), 5, Refused("gone", reason="gone")])

    def one_round() -> int:
        what = next(rounds)
        if isinstance(what, Exception):
            raise what
        tell(Outcome(True, {"landed": what}))
        return what

    with pytest.raises(Refused), recorded(settings, "land", {}), passes(settings, "land") as each:
        loop.repeat(each.each(one_round), 0, None, stop)
    found = RunHistory(settings.history_uri).runs("land")
    assert [(run.exit_code, run.reason) for run in found] == [
        (7, "gone"), (0, None), (8, "kafka"),
    ]  # fmt: skip
    assert found[1].counts == {"landed": 5}


def test_what_waits_is_recorded_when_the_job_ends(tmp_path: Path) -> None:
    """SIGTERM ends the rounds well: the passes that waited for their ten minutes are not lost."""
    settings = Settings(home=tmp_path)
    with recorded(settings, "land", {}), passes(settings, "land") as each:
        for _ in range(3):
            each.each(lambda: tell(Outcome(True, {"landed": 1})))()
    found = RunHistory(settings.history_uri).runs("land")
    assert sum(run.counts["landed"] for run in found) == 3
    assert len(found) == 2
