"""When rounds of landing run and end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from batch.landing.loop import parse_every, repeat, stopped_by_sigterm
from impressions.core.errors import Refused, ServiceError, UsageError


def rounds(*outcomes: int | Exception) -> Callable[[], int]:
    """A function that does these, one per call."""
    left = iter(outcomes)

    def one_round() -> int:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return one_round


def test_rounds_go_on_until_raw_is_valid_through_the_time_asked_for() -> None:
    repeat(rounds(100, 200, 300), 0.001, 300, threading.Event())


def test_a_broker_that_comes_back_is_waited_for_and_one_that_does_not_is_the_end() -> None:
    away = ServiceError("away")
    stop = threading.Event()
    repeat(rounds(away, away, away, 100, away, 300), 0.001, 300, stop, patience_s=9)
    with pytest.raises(ServiceError):
        repeat(rounds(away, away, 100, away, away, away), 0.001, None, stop, patience_s=0)


def test_a_refusal_is_the_end_at_once() -> None:
    with pytest.raises(Refused):
        repeat(rounds(Refused("no")), 0.001, None, threading.Event())


def test_sigterm_finishes_the_round() -> None:
    """The round under way is done whole, and none begins after it."""
    done = []

    def one_round() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("whole")
        return 1

    with stopped_by_sigterm() as stop:
        repeat(one_round, 3600, None, stop)
    assert done == ["whole"]


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("1h", 3600)])
def test_a_pause_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_every(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "0s", "-1h", "1.5h", "1 h"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="30s, 15m"):
        parse_every(text)
