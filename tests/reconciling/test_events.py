"""Rows of raw and records of the topic as one list: every event once, and who has it how often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batch.reconciling.events import NOT_READ, joined, one_of_both
from tests.reconciling.support import QUERY_MS, TOPIC, events_of


def numbered(n):
    return events_of([(1 + i % 3, 0, QUERY_MS - i, QUERY_MS - i, i % 2, 1.0) for i in range(n)])


def seen(events):
    """{offset: (in raw, in the topic)} of events with an offset each."""
    rows = zip(
        events.log_offset.tolist(), events.in_raw.tolist(), events.in_topic.tolist(), strict=True
    )
    found = {offset: (raw, topic) for offset, raw, topic in rows}
    assert len(found) == len(events), "an event stands twice"
    return found


def of_topic(events):
    return replace(
        events, in_raw=np.full(len(events), NOT_READ), in_topic=np.ones(len(events), np.int64)
    )


@given(st.data())
def test_every_event_is_there_once_with_what_each_side_has(data):
    """Whatever raw lost or landed twice, and from wherever the topic was read."""
    n = data.draw(st.integers(1, 30))
    copies = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    next_offset = data.draw(st.integers(0, n))
    read_from = data.draw(st.integers(0, next_offset))
    every = numbered(n)
    parts = [every.take(np.empty(0, np.int64))]
    for offset in range(next_offset):
        one = every.take(np.array([offset]))
        # Copies stand in files of their own, or in one, as close leaves them.
        closed = data.draw(st.booleans()) and offset >= read_from
        parts += [
            replace(one, file=np.array([0 if closed else number]))
            for number in range(copies[offset])
        ]
    topic = of_topic(every.take(np.arange(read_from, n)))
    found = seen(one_of_both(joined(parts), topic, TOPIC, read_from, next_offset))
    expected = {}
    for offset in range(n):
        if offset >= next_offset:
            expected[offset] = (NOT_READ, 1)
        elif offset >= read_from:
            expected[offset] = (copies[offset], 1)
        elif copies[offset]:
            expected[offset] = (copies[offset], NOT_READ)
    assert found == expected


def test_equal_impressions_of_a_flush_stay_as_many_as_were_sent():
    """Sent twice and landed twice: two. Landed once: raw lacks one of them."""
    one = numbered(1)
    two = joined([one, one])
    both = one_of_both(two, of_topic(two), TOPIC, 0, 1)
    assert both.in_raw.tolist() == [1, 1]
    both = one_of_both(one, of_topic(two), TOPIC, 0, 1)
    assert sorted(both.in_raw.tolist()) == [0, 1]


def test_a_row_that_the_topic_lacks_stays():
    """Somebody wrote it; it is counted, and it says that the topic lacks it."""
    found = one_of_both(numbered(2), of_topic(numbered(1)), TOPIC, 0, 2)
    assert seen(found) == {0: (1, 1), 1: (1, 0)}


def test_rows_of_files_are_no_matter_of_the_topic():
    rows = replace(numbered(2), source=np.array(["file:ab", "file:ab"], object))
    assert seen(one_of_both(rows, of_topic(numbered(0)), TOPIC, 0, 9)) == {
        0: (1, NOT_READ), 1: (1, NOT_READ),
    }  # fmt: skip
