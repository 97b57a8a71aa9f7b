"""A difference names its events: whichever event is taken away, doubled or added, it is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.reconciling.events import joined
from batch.reconciling.findings import finding_of
from batch.reconciling.judging import judge
from impressions.core.spec import DAY_MS
from tests.reconciling.support import (
    CUTOVER_MS,
    QUERY_MS,
    SPEC,
    THROUGH_MS,
    events_of,
    served_of,
)

_SECOND = 1000


@st.composite
def histories(draw, least=1, near=False):
    """Up to 40 events of few items: of other minutes in the last three days, of other days before;
    or, if they may be `near`, only of other seconds."""
    minutes, days = st.integers(2, 4_319), st.integers(4, 330)
    apart = st.one_of(minutes.map(lambda n: n * 60), days.map(lambda n: n * 86_400))
    ages_s = draw(
        st.lists(
            st.integers(100, 330 * 86_400) if near else apart,
            min_size=least, max_size=40, unique=True,
        )
    )  # fmt: skip
    rows = []
    for age_s in ages_s:
        event_ms = QUERY_MS - age_s * _SECOND
        late_ms = draw(st.integers(0, 20_000))
        rows.append((
            draw(st.integers(1, 3)), draw(st.integers(0, 1)), event_ms,
            min(event_ms + late_ms, THROUGH_MS - 1), draw(st.integers(0, 1)),
            draw(st.sampled_from([0.0, 1.5, 7.25, 31.125])),
        ))  # fmt: skip
    return events_of(rows).in_order()


def named(events, served):
    """(offset, word of the layer that owns it) of every event that is named, and whether they are
    the only explanation."""
    finding = finding_of(judge(events, served, SPEC), served, 3, SPEC)
    if finding is None:
        return set(), True
    words = {
        (event.offset, next(w for layer, w in event.layers.items()
                            if layer in ("generation", "stream") and w != "not its own"))
        for difference in finding.differences for event in difference.events
    }  # fmt: skip
    return words, all(difference.unique for difference in finding.differences)


@given(histories())
def test_an_answer_that_is_right_differs_in_nothing(events):
    """Also after a profile block has rounded it."""
    assert named(events, served_of(events)) == (set(), True)
    assert named(events, served_of(events, stored=True)) == (set(), True)


@settings(max_examples=150)
@given(histories(), st.data())
def test_an_event_that_was_dropped_is_the_one_that_is_named(events, data):
    """By its offset, and as lacking in the layer that the cut gives it to."""
    which = data.draw(st.integers(0, len(events) - 1))
    served = served_of(events.take(np.delete(np.arange(len(events)), which)))
    assert named(events, served) == ({(int(events.log_offset[which]), "lacks")}, True)


@settings(max_examples=150)
@given(histories(), st.data())
def test_an_event_that_was_counted_twice_is_the_one_that_is_named(events, data):
    which = data.draw(st.integers(0, len(events) - 1))
    served = served_of(joined([events, events.take(np.array([which]))]))
    assert named(events, served) == ({(int(events.log_offset[which]), "twice")}, True)


@settings(max_examples=150)
@given(histories(near=True), st.booleans(), st.data())
def test_after_rounding_it_is_among_those_that_are_named(events, is_twice, data):
    """A profile block keeps 24 bits: of two old events at nearly the same time both may fit, and
    then the answer says that it is not sure."""
    which = data.draw(st.integers(0, len(events) - 1))
    one = events.take(np.array([which]))
    rest = events.take(np.delete(np.arange(len(events)), which))
    found, unique = named(events, served_of(joined([events, one]) if is_twice else rest,
                                            stored=True))  # fmt: skip
    word = "twice" if is_twice else "lacks"
    assert (int(events.log_offset[which]), word) in found
    assert unique == (len(found) == 1)


@settings(max_examples=100)
@given(histories(least=2), st.data())
def test_two_events_are_named_one_lost_and_one_counted_twice(events, data):
    a, b = data.draw(st.lists(st.integers(0, len(events) - 1), min_size=2, max_size=2, unique=True))
    keep = np.concatenate([np.delete(np.arange(len(events)), a), [b]])
    found, _ = named(events, served_of(events.take(keep)))
    wanted = {(int(events.log_offset[a]), "lacks"), (int(events.log_offset[b]), "twice")}
    assert wanted <= found


@settings(max_examples=100)
@given(histories(least=2), st.data())
def test_a_run_of_events_that_a_layer_lost_is_named(events, data):
    """A slot, a block, a whole layer: what was ingested one after the other."""
    first = data.draw(st.integers(0, len(events) - 1))
    end = data.draw(st.integers(first + 1, len(events)))
    lost = np.arange(first, end)
    found, _ = named(events, served_of(events.take(np.delete(np.arange(len(events)), lost))))
    assert {(int(events.log_offset[i]), "lacks") for i in lost} <= found


@given(histories(), st.integers(200, 300 * 86_400))
def test_an_event_that_nobody_sent_is_described_by_its_time(events, age_s):
    """Neither raw nor the topic has it; five half-lives give its age."""
    strange = events_of([(77, 0, QUERY_MS - age_s * _SECOND, THROUGH_MS - 1, 1, 3.5)])
    served = served_of(joined([events, strange]))
    finding = finding_of(judge(events, served, SPEC), served, 3, SPEC)
    (difference,) = finding.differences
    assert (difference.title, difference.events) == (77, ())
    assert "neither raw nor the topic has: seen at" in difference.text
    assert "played, 3.5 s in view" in difference.text


def test_a_duplicate_that_counts_is_named_and_not_its_original():
    """Its flush was seen a minute before, in the same slot."""
    at = CUTOVER_MS + DAY_MS
    rows = [(1, 0, at, at + 5_000, 1, 2.0), (1, 0, at, at + 65_000, 1, 2.0)]
    events = events_of(rows, log_id=[9, 9])
    finding = finding_of(judge(events, served_of(events), SPEC), served_of(events), 3, SPEC)
    ((event,),) = [difference.events for difference in finding.differences]
    assert (event.offset, event.why, event.layers["stream"]) == (1, "duplicate", "has")
    assert "stream counts it though it must not (duplicate)" in finding.differences[0].text


def test_of_what_came_after_the_answers_time_any_beginning_may_be_in_it():
    """The answer claims less than it holds; the worker applies in order."""
    late = [(1, 0, THROUGH_MS + i, THROUGH_MS + 10 * i, 0, 1.0) for i in range(5)]
    events = events_of(late)
    for k in range(6):
        assert named(events, served_of(events.take(np.arange(k)))) == (set(), True)
    found, _ = named(events, served_of(events.take(np.array([0, 2, 3, 4]))))
    assert found, "one in the middle is missing"


def test_rows_of_files_from_behind_the_cutover_belong_to_no_answer():
    events = events_of([(1, 0, CUTOVER_MS, CUTOVER_MS + 1, 0, 1.0)], source="file:ab")
    assert named(events, served_of(events.take(np.empty(0, np.int64)))) == (set(), True)
    assert named(events, served_of(events))[0] == {(0, "has")}


@settings(max_examples=100)
@given(st.integers(5, 25), st.integers(3, 5), st.booleans(), st.data())
def test_a_few_events_of_one_item_are_named_wherever_they_lie(n, size, is_twice, data):
    """Three to five of up to 25 that do not follow each other, lost or counted twice."""
    ages = data.draw(st.lists(st.integers(4, 330), min_size=n, max_size=n, unique=True))
    rows = [
        (1, 0, CUTOVER_MS - age * DAY_MS, CUTOVER_MS - age * DAY_MS, age % 2, 0.5 * age)
        for age in ages
    ]
    events = events_of(rows).in_order()
    which = data.draw(st.lists(st.integers(0, n - 1), min_size=size, max_size=size, unique=True))
    rest = events.take(np.delete(np.arange(n), which))
    served = served_of(joined([events, events.take(np.array(which))]) if is_twice else rest)
    found, _ = named(events, served)
    word = "twice" if is_twice else "lacks"
    assert {(int(events.log_offset[i]), word) for i in which} <= found


def test_what_nothing_explains_lists_the_events_that_may_be_among_the_lost():
    """And says so: nothing is called the cause that is not. Eight of sixteen days are
    lost; the newest day and the last event are not among them: each adds more than all that lacks,
    the one to the sum of a day's half-life, the other to dwell."""
    rows = [
        (1, 0, CUTOVER_MS - i * DAY_MS, CUTOVER_MS - i * DAY_MS, 0, 1.0 + i) for i in range(1, 17)
    ]
    rows.append((1, 0, CUTOVER_MS + DAY_MS, CUTOVER_MS + DAY_MS, 0, 500.0))
    events = events_of(rows)
    lost = events.take(np.array([*range(0, 16, 2), 16]))
    finding = finding_of(judge(events, served_of(lost), SPEC), served_of(lost), 3, SPEC)
    (difference,) = finding.differences
    assert not difference.unique
    assert {e.layers[layer] for e in difference.events for layer in ("generation", "stream")} == {
        "unclear", "not its own",
    }  # fmt: skip
    assert {event.offset for event in difference.events} == set(range(1, 16))
    assert "that may be among them" in difference.text


def test_an_answer_without_a_generation_is_the_streams_alone():
    """Everything that came through the topic belongs to the stream then."""
    events = events_of([(1, 0, CUTOVER_MS - DAY_MS, CUTOVER_MS - DAY_MS, 0, 1.0)])
    served = replace(served_of(events.take(np.empty(0, np.int64)), cutover_ms=0), generation="")
    assert named(events, served)[0] == {(0, "lacks")}
