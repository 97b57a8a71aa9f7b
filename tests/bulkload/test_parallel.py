"""Work on several items at a time: results in order, the first failure raised, the rest stopped."""

import threading

import pytest

from bulkload.parallel import THREADS, each


def test_results_come_in_the_order_of_the_items():
    """Also when a later one is done sooner."""
    second_done = threading.Event()

    def work(item, check_stop):
        if item == 1:
            assert second_done.wait(10)
        elif item == 2:
            second_done.set()
        return item * 10

    assert each([1, 2, 3], work) == [10, 20, 30]
    assert each([], work) == []


def test_a_failure_ends_what_is_under_way_and_begins_nothing_more():
    """Work that checks for a stop is ended; the items after it are never begun."""
    begun = []

    def work(item, check_stop):
        begun.append(item)
        if item == 0:
            raise ValueError("0 is bad")
        while True:
            check_stop()

    with pytest.raises(ValueError, match="0 is bad"):
        each(range(50), work)
    assert len(begun) <= THREADS


def test_of_several_failures_the_first_in_order_is_named():
    """Whichever came first in time."""
    both = threading.Barrier(2, timeout=10)

    def work(item, check_stop):
        both.wait()
        raise ValueError(f"{item} is bad")

    for _ in range(20):
        with pytest.raises(ValueError, match="1 is bad"):
            each([1, 2], work)


def test_an_interrupt_ends_the_work(monkeypatch):
    """Ctrl-C while waiting: the work learns of it, and the interrupt goes on."""
    ended = threading.Event()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    def work(item, check_stop):
        try:
            while True:
                check_stop()
        finally:
            ended.set()

    monkeypatch.setattr("bulkload.parallel.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        each([1], work)
    assert ended.wait(10)
