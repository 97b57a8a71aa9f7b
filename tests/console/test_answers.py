"""Questions with a deadline: what hangs costs one thread, and what is old is never shown as new."""

from __future__ import annotations

import threading

import pytest

from impressions.console import answers as module
from impressions.console.answers import Answers
from impressions.core.errors import ServiceError
from impressions.status.questions import Unknown
from tests.fixed_clock import FixedClock
from tests.live import until


class Moment:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    now = Moment()
    monkeypatch.setattr(module, "monotonic_s", now)
    return now


class Part:
    """Answers with how often it was asked; waits while `gate` is closed."""

    def __init__(self) -> None:
        self.asked, self.gate = 0, threading.Event()
        self.gate.set()

    def __call__(self) -> int:
        self.asked += 1
        answer = self.asked
        assert self.gate.wait(60)
        return answer


def test_an_answer_is_kept_while_it_is_fresh_and_then_asked_anew(moment: Moment) -> None:
    part, clock = Part(), FixedClock(1_000)
    of = Answers({"a": part}, clock, fresh_s=5, wait_s=60)
    assert of.get("a")["a"] == module.Answer(1, 1_000)
    moment.at_s, clock.at_ms = 104, 5_000
    assert of.get("a")["a"] == module.Answer(1, 1_000)
    moment.at_s, clock.at_ms = 106, 7_000
    assert of.get("a")["a"] == module.Answer(2, 7_000)


def test_a_part_that_refuses_says_why_and_the_others_stay() -> None:
    def down() -> None:
        raise ServiceError("the broker does not answer", hint="start it")

    found = Answers({"a": Part(), "b": down}, FixedClock(1), 5, 60).get("a", "b")
    assert found["a"].value == 1
    assert found["b"].value == Unknown("the broker does not answer", "start it")


def test_a_part_that_hangs_is_late_for_every_page_and_asked_once() -> None:
    """The first page waits for it, the next ones do not; no thread is added by asking again."""
    part = Part()
    part.gate.clear()
    of = Answers({"a": part, "b": Part()}, FixedClock(1), fresh_s=0.001, wait_s=0.05)
    for _ in range(3):
        found = of.get("a", "b")
        assert found["a"].value.late
        assert found["a"].at_ms is None
        assert not isinstance(found["b"].value, Unknown)
    assert part.asked == 1
    part.gate.set()
    until(lambda: of.get("a")["a"].at_ms == 1, "the part answers after all")


def test_an_old_answer_is_marked_and_after_a_minute_gone(moment: Moment) -> None:
    part = Part()
    of = Answers({"a": part}, FixedClock(1), fresh_s=5, wait_s=0.05)
    until(lambda: of.get("a")["a"].at_ms, "answered")
    part.gate.clear()
    moment.at_s += 30
    found = of.get("a")["a"]
    assert (found.value, found.late) == (1, True)
    moment.at_s += 31
    found = of.get("a")["a"]
    assert isinstance(found.value, Unknown)
    assert found.at_ms is None
    part.gate.set()
