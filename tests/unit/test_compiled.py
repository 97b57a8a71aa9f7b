"""The compiled read is the plain one: same rows, same refusals, for any bytes."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impressions.compiled import loading
from impressions.compiled.profiles import Compiled, merge_stored
from impressions.core import window
from impressions.core.errors import ImpressionsError, UsageError
from impressions.core.impressions import Impressions
from impressions.core.item import pack
from impressions.core.merge import Selection
from impressions.core.rows import Rows
from impressions.core.spec import DAY_MS, Spec
from impressions.formats import delta_block, profile_block
from impressions.formats.delta_block import DeltaBlock
from impressions.formats.stored_profile import merge_plain
from oracle import naive
from tests import summed_blocks
from tests.blocks import delta_blocks_of, profile_block_of
from tests.compare import as_dict, differences
from tests.faults.size import scaled
from tests.faults.test_laws import CUTOVER_MS, PROFILE, accepted, logs, query_after_ms
from tests.summed_blocks import encode_as_before
from tests.tolerance import FLOAT32_STORED

SPEC = Spec()
SAME = 1e-12
"""Relative: the same float64 operations, but for the order of an addition."""

TAIL_DAYS = np.repeat(window.first_day(CUTOVER_MS, SPEC), 10)

titles = st.lists(st.sampled_from([0, 1, 2, 9, 2**55 - 1]), max_size=4, unique=True).map(sorted)
locations = st.lists(st.sampled_from([0, 1, 255, 7]), max_size=3)


@pytest.fixture(scope="module")
def compiled():
    return Compiled(SPEC)


def bytes_of(applied, cutover_ms=CUTOVER_MS):
    """A profile block and delta blocks, all in bytes; every other of these is of version 2."""
    block = profile_block_of([e for _, e, a in applied if a < cutover_ms], cutover_ms, SPEC)
    live = delta_blocks_of([(e, a) for _, e, a in applied if a >= cutover_ms], SPEC)
    encoders = itertools.cycle([delta_block.encode, encode_as_before])
    return block, [encode(delta, SPEC) for encode, delta in zip(encoders, live, strict=False)]


def selection_of(chosen_titles, chosen_locations):
    return Selection(
        None if chosen_titles is None else np.array(chosen_titles, np.int64),
        None if chosen_locations is None else np.array(chosen_locations, np.int64),
    )


@settings(max_examples=scaled(300, 3_000), deadline=None)
@given(
    logs, query_after_ms, st.one_of(st.none(), titles), st.one_of(st.none(), locations),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_the_compiled_rows_are_the_plain_ones(
    compiled, raw, after_ms, titles, locations, by_title, has_block
):
    """For any events, cut, selection and grouping."""
    block, deltas = bytes_of(accepted(raw))
    cutover_ms = CUTOVER_MS if has_block else None
    arguments = (
        CUTOVER_MS + after_ms, cutover_ms, block if has_block else None, deltas,
        selection_of(titles, locations),
    )  # fmt: skip
    found = compiled(*arguments, by_title=by_title)
    assert_same(found, merge_plain(SPEC, *arguments, by_title=by_title))


@settings(max_examples=scaled(100, 1_000), deadline=None)
@given(logs, query_after_ms)
def test_the_compiled_rows_are_the_oracles(compiled, raw, after_ms):
    """One pass over the raw events gives the same numbers."""
    query_ms = min(CUTOVER_MS + after_ms, window.horizon_ms(CUTOVER_MS, SPEC) - 1)
    applied = [(p, e, a) for p, e, a in accepted(raw) if e["event_ms"] <= query_ms + DAY_MS]
    block, deltas = bytes_of(applied)
    rows = compiled(query_ms, CUTOVER_MS, block, deltas)
    expected = naive.answers(applied, query_ms)
    assert differences(as_dict(PROFILE, rows, SPEC), expected, FLOAT32_STORED) == []


@pytest.mark.parametrize("spacing", [1, 256, 2**40 + 1])
def test_any_number_of_titles_can_be_asked_for(compiled, spacing):
    """Each of 3,000, every third of which the profile has seen, and one that nothing can have."""
    titles = np.arange(1, 3_001) * spacing
    seen = [
        {"title": int(title), "location": 1, "event_ms": CUTOVER_MS - i - 1, "played": 0,
         "dwell_s": 0.0}
        for i, title in enumerate(titles[::3])
    ]  # fmt: skip
    block = profile_block_of(seen, CUTOVER_MS, SPEC)
    arguments = CUTOVER_MS, CUTOVER_MS, block, []
    for chosen in (titles, titles[1:2], titles[::7], titles[:0], np.array([-1])):
        selection = Selection(np.ascontiguousarray(chosen), None)
        found = compiled(*arguments, selection, by_title=True)
        assert found.items.tolist() == [t << 8 for t in chosen.tolist() if t in titles[::3]]
        assert_same(found, merge_plain(SPEC, *arguments, selection, by_title=True))


@pytest.mark.parametrize("largest", [1, 300, 70_000, 2**33, 2**41])
@pytest.mark.parametrize("chosen", [None, [1, 3, 4, 8]])
def test_rows_without_a_total_have_no_sums(compiled, largest, chosen):
    """Ten titles; every other one was played, every third one watched; totals of any width."""
    totals = np.ones((3, 10))
    totals[0, 2], totals[1, ::2], totals[2, ::3], totals[1, 1] = largest, 0, 0, largest
    rows = Rows(
        pack(np.arange(10), np.zeros(10, np.int64)),
        np.full(10, CUTOVER_MS - 1),
        totals,
        np.sign(totals)[:, None, :] * np.arange(1, 51).reshape(5, 10),
    )
    block = profile_block.encode(CUTOVER_MS, rows, rows.take(slice(2, 7)), TAIL_DAYS[:5], SPEC)
    delta = summed_blocks.encode(CUTOVER_MS, 1, 1, np.array([1]), rows, SPEC)
    arguments = CUTOVER_MS, CUTOVER_MS, block, [delta], selection_of(chosen, None)
    found = compiled(*arguments)
    assert_same(found, merge_plain(SPEC, *arguments))
    assert [bool(each) for each in found.sums[1, 0]] == [
        title % 2 == 1 for title in chosen or range(10)
    ]
    assert [bool(each) for each in found.sums[2, 4]] == [
        title % 3 != 0 for title in chosen or range(10)
    ]


@pytest.mark.parametrize("largest", [1, 2**14, 2**22, 2**31, 2**38, 2**50])
@pytest.mark.parametrize("step_s", [0.001, 1 / 3])
@pytest.mark.parametrize("chosen", [None, [0, 3]])
def test_impressions_in_columns_of_any_width(compiled, largest, step_s, chosen):
    """Two parts of a slot: titles up to the largest, each twice; times as far apart as they may
    lie; seconds that are thousandths, or none."""
    titles = np.repeat([0, 3, largest // 2, largest], 2)
    apart_ms = min(largest, 300 * DAY_MS)
    added = np.array([np.arange(8) % 3, np.arange(8) * step_s * min(largest, 10**8)])
    seen = Impressions(np.sort(pack(titles, titles % 2)), CUTOVER_MS - np.arange(8) * apart_ms // 8,
                       added)  # fmt: skip
    deltas = [
        delta_block.encode(DeltaBlock(CUTOVER_MS, 1, 1, np.array([1]), of), SPEC)
        for of in (seen, seen.take(slice(2, 5)), seen.take(slice(0, 0)))
    ]
    for by_title in (False, True):
        arguments = CUTOVER_MS + DAY_MS, None, None, deltas, selection_of(chosen, None)
        found = compiled(*arguments, by_title=by_title)
        assert_same(found, merge_plain(SPEC, *arguments, by_title=by_title))
        assert chosen or found.totals[0].sum() == 11


def test_impressions_that_weigh_nothing_or_more_than_everything(compiled):
    """Asked for thousands of half-lives later, and before they happened."""
    seen = Impressions(np.arange(3), CUTOVER_MS + np.arange(3), np.ones((2, 3)))
    delta = delta_block.encode(DeltaBlock(CUTOVER_MS, 1, 1, np.array([1]), seen), SPEC)
    for days in (-1_030, -999, -1, 0, 999, 1_030, 1_080):
        arguments = CUTOVER_MS + days * DAY_MS, None, None, [delta]
        with np.errstate(over="ignore"):
            assert_same(compiled(*arguments), merge_plain(SPEC, *arguments))


@pytest.mark.parametrize("seed", range(scaled(5, 100)))
def test_bytes_that_are_wrong_are_answered_alike(compiled, seed):
    """Flipped, cut or grown bytes: the same error, or the same rows where they still are one."""
    rng = random.Random(seed)
    refused = 0
    for _ in range(200):
        block, deltas = bytes_of(accepted(random_logs(rng)))
        block, deltas = mutated(block, rng), [mutated(d, rng) for d in deltas]
        arguments = CUTOVER_MS + 3 * DAY_MS, CUTOVER_MS, block, deltas
        with np.errstate(all="ignore"):
            expected, found = answer(merge_plain, SPEC, *arguments), answer(compiled, *arguments)
        if isinstance(expected, ImpressionsError):
            refused += 1
            assert type(found) is type(expected), f"seed {seed}"
            assert found.message == expected.message
        else:
            assert_same(found, expected)
    assert refused > 20, f"seed {seed}: only {refused} mutations mattered"


def test_a_time_before_the_cutover_is_refused(compiled):
    """As the plain form does, before a byte is read."""
    with pytest.raises(UsageError, match="before the cutover"):
        compiled(CUTOVER_MS - 1, CUTOVER_MS, b"no block", [])


def test_it_can_be_turned_off():
    """`serving.compiled = false` answers by the plain form."""
    assert isinstance(merge_stored(SPEC), Compiled)
    assert merge_stored(SPEC, compiled=False).func is merge_plain


def test_without_numba_the_plain_form_answers(monkeypatch):
    """A platform without it loses speed and nothing else."""
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    assert merge_stored(SPEC).func is merge_plain


def random_logs(rng):
    return [
        (rng.randrange(-400 * DAY_MS, 3 * DAY_MS), None, [
            {"title": rng.randrange(9), "location": rng.choice([0, 255]), "played": 1,
             "late_ms": rng.randrange(300 * DAY_MS), "dwell_s": rng.random()}
            for _ in range(3)])
        for _ in range(8)
    ]  # fmt: skip


def mutated(data, rng):
    data = bytearray(data)
    kind = rng.choice(["flip", "header", "cut", "grow", "none"])
    if kind == "flip":
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "header":
        data[rng.randrange(min(44, len(data)))] = rng.randrange(256)
    elif kind == "cut":
        del data[rng.randrange(len(data)) :]
    elif kind == "grow":
        data += rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def answer(read, *arguments):
    try:
        return read(*arguments)
    except ImpressionsError as error:
        return error


def assert_same(found, expected):
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_array_equal(found.last_seen_ms, expected.last_seen_ms)
    np.testing.assert_allclose(found.totals, expected.totals, rtol=SAME)
    np.testing.assert_allclose(found.sums, expected.sums, rtol=SAME)
