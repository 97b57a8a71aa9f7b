"""Counts of rows per segment: compared with plain loops; parts of a day add to the whole day."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from batch.quality import dwell_bins, title_sample
from batch.quality.counts import (
    BY_HOUR,
    BY_HOUR_AT,
    DAY_US,
    FIELDS,
    HOUR_US,
    HOURS_AT,
    Counts,
    Rows,
    added,
    count,
)
from batch.quality.day_rows import rows_of_day
from batch.quality.segments import ALL, Segment
from batch.quality.title_sample import Hashes
from impressions.core.decay import Int

DEVICES, VERSIONS = ("tv", "phone"), ("1", "2", "3")
DAY = 20_000


def some_rows(seed: int, n: int = 3000, profiles: int = 40) -> Rows:
    """In order, with repeats, duplicates, late and clamped rows."""
    rng = np.random.default_rng(seed)
    profile, title = rng.integers(0, profiles, n), rng.integers(0, 9, n)
    event = DAY * DAY_US + rng.integers(0, 24, n) * HOUR_US
    ingest = event + rng.choice([0, 5_000_000, 2 * HOUR_US], n)
    order = np.lexsort((event, title, profile))
    return Rows(
        profile[order], title[order], rng.integers(0, 3, n), event[order], ingest[order],
        rng.random(n) < 0.3, rng.choice([0.0, 1.5, 30.0], n), rng.random(n) < 0.1,
        rng.integers(-1, 2, n), rng.integers(-1, 3, n), DEVICES, VERSIONS,
    )  # fmt: skip


def taken(rows: Rows, which: np.ndarray) -> Rows:
    columns = [getattr(rows, name)[which] for name in (
        "profile_id", "title_id", "location", "event_us", "ingest_us", "played", "dwell_s",
        "duplicate", "device", "version",
    )]  # fmt: skip
    return Rows(*columns, rows.devices, rows.versions)


def naive(rows: Rows, slot_us: int) -> dict[Segment, Counter[str]]:
    """Row by row."""
    found: dict[Segment, Counter[str]] = defaultdict(Counter)
    pairs: dict[Segment, Counter[tuple[int, int]]] = defaultdict(Counter)
    last: tuple[int, ...] = ()
    for i in range(len(rows.profile_id)):
        device = (*DEVICES, "unknown")[int(rows.device[i])]
        version = (*VERSIONS, "unknown")[int(rows.version[i])]
        location = str(rows.location[i])
        key = int(rows.profile_id[i]), int(rows.title_id[i]), int(rows.event_us[i])
        repeats = key == last
        again = key[:2] == last[:2] and key[2] - last[2] <= 60_000_000
        for segment in (ALL, Segment(location), Segment(None, device), Segment(None, None, version),
                        Segment(None, device, version)):  # fmt: skip
            said = found[segment]
            if rows.duplicate[i]:
                said["duplicates"] += 1
                continue
            said["impressions"] += 1
            said["plays"] += int(rows.played[i])
            said["repeated"] += repeats
            said["again"] += again
            said["clamped"] += int(rows.event_us[i] == rows.ingest_us[i])
            said["late"] += int(rows.ingest_us[i] - rows.event_us[i] > HOUR_US)
            said["zero_dwell"] += int(rows.dwell_s[i] == 0)
            said[f"hour {rows.event_us[i] % DAY_US // HOUR_US}"] += 1
            came = int(rows.ingest_us[i] % DAY_US // HOUR_US)
            said[f"impressions {came}"] += 1
            said[f"plays {came}"] += int(rows.played[i])
            said[f"late {came}"] += int(rows.ingest_us[i] - rows.event_us[i] > HOUR_US)
            said[f"location_0 {came}"] += int(rows.location[i] == 0)
            said[f"dwell_bins {came}"] += int(dwell_bins.bins_of(rows.dwell_s[i : i + 1])[0])
            pairs[segment][int(rows.profile_id[i]), int(rows.ingest_us[i]) // slot_us] += 1
        if not rows.duplicate[i]:
            last = key
    for segment, profiles in pairs.items():
        found[segment]["profiles"] = len(profiles)
        of_profile: Counter[int] = Counter()
        for (profile, _), n in profiles.items():
            of_profile[profile] += n
        found[segment]["squares"] = sum(n * n for n in of_profile.values())
    return found


def same(counts: Counts, expected: dict[Segment, Counter[str]]) -> None:
    dense = counts.dense()
    assert set(counts.segments) == set(expected)
    for i, segment in enumerate(counts.segments):
        said = {name: int(dense[i, at]) for at, name in enumerate(FIELDS)}
        assert said == {name: expected[segment][name] for name in FIELDS}, segment
        hours = dense[i, HOURS_AT : HOURS_AT + 24].tolist()
        assert hours == [expected[segment][f"hour {hour}"] for hour in range(24)]
        for name in ("impressions", "plays", "late", "location_0", "dwell_bins"):
            at = BY_HOUR_AT + 24 * BY_HOUR.index(name)
            by_hour = dense[i, at : at + 24].tolist()
            assert by_hour == [expected[segment][f"{name} {hour}"] for hour in range(24)], name


@pytest.mark.parametrize("slot_us", [DAY_US, 6 * HOUR_US], ids=["a day", "six hours"])
@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_a_loop_over_the_rows(seed: int, slot_us: int) -> None:
    """Every field of every segment, with slots of a day and shorter ones."""
    rows = some_rows(seed)
    same(count(rows, slot_us), naive(rows, slot_us))


def test_counts_of_parts_add_to_those_of_the_whole() -> None:
    """Parts by profile, as shards and ranges are: fields, largest profile and titles."""
    rows = some_rows(9)
    shard = rows.profile_id % 4
    parts = added(count(taken(rows, np.flatnonzero(shard == s)), DAY_US) for s in range(4))
    whole = count(rows, DAY_US)
    place = {segment: i for i, segment in enumerate(parts.segments)}
    order = [place[segment] for segment in whole.segments]
    assert np.array_equal(parts.dense()[order], whole.dense())
    sizes = [whole.largest[i][1] for i in range(len(order))]
    assert [parts.largest[i][1] for i in order] == sizes
    assert np.array_equal(parts.titles, whole.titles)


def test_nothing_counts_as_nothing() -> None:
    """No rows, no parts."""
    empty = taken(some_rows(1), np.zeros(0, np.int64))
    assert added([count(empty, DAY_US), Counts()]).segments == ()


def test_very_many_app_versions_stay_bounded() -> None:
    """A device that sends another text each time does not decide how much is kept."""
    rows = some_rows(2)
    n = len(rows.profile_id)
    words = [f"v{i}" for i in range(n)]
    hostile = Rows(
        **{**vars(rows), "version": np.arange(n), "versions": words, "device": np.zeros(n, int)}
    )
    counts = count(hostile, DAY_US)
    assert len(counts.segments) < 150
    total = counts.dense()[counts.segments.index(ALL), 0]
    assert total == (~rows.duplicate).sum()


@pytest.mark.parametrize("q", [0.5, 0.99])
def test_a_quantile_of_bins_is_that_of_the_values(q: float) -> None:
    """Within a tenth, over nine decades; 0 is exact."""
    values = np.random.default_rng(3).lognormal(2, 3, 20_000)
    bins = np.bincount(dwell_bins.bins_of(values), minlength=dwell_bins.BINS)
    assert dwell_bins.quantile_s(bins, q) == pytest.approx(np.quantile(values, q), rel=0.1)
    zeros = np.bincount(dwell_bins.bins_of(np.zeros(5)), minlength=dwell_bins.BINS)
    assert dwell_bins.quantile_s(zeros, q) == 0


def test_samples_of_titles_join_and_tell_what_is_new() -> None:
    """A small catalogue exactly, a large one about; the sample of parts is that of the whole."""
    small = [sample_of(np.arange(a, b)) for a, b in ((0, 100), (50, 160))]
    assert new_in(small[1], small[0]) == 60
    assert title_sample.distinct(title_sample.joined(small)) == 160
    titles = np.random.default_rng(4).integers(0, 50_000, 400_000)
    whole = sample_of(titles)
    parts = title_sample.joined(sample_of(part) for part in np.array_split(titles, 7))
    assert np.array_equal(whole, parts)
    assert title_sample.distinct(whole) == pytest.approx(50_000, rel=0.15)
    half = sample_of(titles + 25_000)
    assert new_in(half, whole) == pytest.approx(25_000, rel=0.25)


def sample_of(titles: Int) -> Hashes:
    return title_sample.sampled(titles, np.zeros(len(titles), np.int64), 1)[0]


def new_in(sample: Hashes, *earlier: Hashes) -> int:
    every = np.ones(len(sample), np.bool_)
    return title_sample.new_in(sample, title_sample.are_new(sample, earlier), every)


@pytest.mark.parametrize("catalogue", [300, 40_000], ids=["all titles are kept", "a sample is"])
def test_titles_of_a_segment_are_counted_by_the_sample_of_the_day(catalogue: int) -> None:
    """A tenth of the rows, of one app version, have titles that the day before did not: in that
    version all are new, in the others none is; whole or in parts of a day."""
    rng = np.random.default_rng(6)
    n = 200_000
    profile = np.sort(rng.integers(0, 5_000, n))
    title = rng.integers(0, catalogue, n)
    version = (rng.random(n) < 0.1).astype(np.int64)
    nothing, no = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    today = Rows(
        profile, title + (version << 40), nothing, np.arange(n), np.arange(n), no, np.ones(n), no,
        nothing, version, ("tv",), ("8", "9"),
    )  # fmt: skip
    before = sample_of(title)
    first = profile < 2_000
    whole = count(today, DAY_US)
    parts = added(count(taken(today, half), DAY_US) for half in (first, ~first))
    for counts in (whole, parts):
        by = {r.segment: r for r in rows_of_day(DAY, counts, {}, [before], least=500)}
        new, old = by[Segment(None, None, "9")], by[Segment(None, None, "8")]
        assert (new.new_titles, old.new_titles) == (new.titles, 0)
        expected = len(np.unique(title[version == 1]))
        assert new.titles == pytest.approx(expected, rel=0.3)
        assert by[ALL].new_titles == pytest.approx(new.titles, rel=0.01)


def test_small_segments_are_pooled_and_every_grouping_adds_up() -> None:
    """`other` holds what is left; rejected rows are in the segment they came from."""
    rows = some_rows(5)
    rejected = {("tv", "9", "missing_title"): 700, ("", "", "bad_dwell"): 3}
    of_day = rows_of_day(DAY, count(rows, DAY_US), rejected, (), least=500)
    by = {row.segment: row for row in of_day}
    assert of_day[0].segment == ALL
    assert by[Segment(None, None, "9")].rejected == {"missing_title": 700}
    assert by[ALL].rejected_rows == 703
    for grouping in {row.segment.grouping for row in of_day}:
        mine = [row for row in of_day if row.segment.grouping == grouping]
        assert sum(row.impressions for row in mine) == by[ALL].impressions
        if grouping != ("location",):  # which location a rejected row was of is not known
            assert sum(row.read for row in mine) == by[ALL].read
    assert all(row.read >= 500 or row.segment.is_pooled for row in of_day)
    assert [row for row in of_day if row.segment.is_pooled]
