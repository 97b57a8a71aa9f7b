"""What is served is what the naive oracle computes from the raw events."""

import math

import numpy as np
import pytest

from impressions.client import Top
from impressions.core.spec import DAY_MS, HALF_LIVES_DAYS
from impressions.formats import delta_block
from serving.reads import Deltas
from tests.blocks import delta_blocks_of
from tests.compare import differences
from tests.generations import CUTOVER_MS, SPEC, blocks_of
from tests.serving.support import (
    EVENTS,
    SEED,
    WEEK_2_MS,
    by_title,
    client_of,
    expected_of,
    install,
    result_rows,
    serving,
    settings_in,
)
from tests.tolerance import FLOAT32_STORED

EVERYTHING = {"totals": True, "last_seen": True}
PROFILES = range(1, 41)
QUERY_TIMES = {
    "at the cutover": CUTOVER_MS,
    "3 days later": CUTOVER_MS + 3 * DAY_MS,
    "27 days and a bit later": CUTOVER_MS + 27 * DAY_MS + 12_345_678,
}


def want(profile, query_ms):
    return expected_of(profile, EVENTS, CUTOVER_MS, query_ms)


@pytest.mark.parametrize("query_ms", QUERY_TIMES.values(), ids=QUERY_TIMES.keys())
def test_every_pair_of_every_profile_equals_the_oracle(client, query_ms):
    """All columns of all (title, location) rows, at any time before the horizon."""
    seen = 0
    for profile in PROFILES:
        result = client.get(profile, at_ms=query_ms, by_location=True, **EVERYTHING)
        rows = want(profile, query_ms)
        assert differences(result_rows(result), rows, FLOAT32_STORED) == []
        assert result.context.complete
        assert result.context.reasons == ()
        assert result.matched_rows == len(rows)
        seen += len(rows)
    assert seen > 200


def test_grouped_by_title_the_locations_add_up(client):
    for profile in PROFILES:
        result = client.get(profile, at_ms=CUTOVER_MS, **EVERYTHING)
        rows = by_title(want(profile, CUTOVER_MS))
        assert result.locations is None
        assert differences(result_rows(result), rows, FLOAT32_STORED) == []


def test_past_the_horizon_an_answer_is_flagged_with_the_reason(client):
    """28 days after the cutover's day the tail is used up."""
    horizon_ms = CUTOVER_MS + 28 * DAY_MS
    assert client.get(1, at_ms=horizon_ms - 1).context.complete
    for query_ms in (horizon_ms, CUTOVER_MS + 29 * DAY_MS):
        context = client.get(1, at_ms=query_ms).context
        assert (context.complete, context.reasons) == (False, ("past_tail_horizon",))


def test_without_a_time_the_answer_is_for_the_servers_now(client):
    """The clock of this server is one millisecond after the cutover."""
    assert client.get(1).context.query_time_ms == CUTOVER_MS + 1


def test_every_answer_says_what_it_was_made_from(client):
    context = client.get(1, at_ms=CUTOVER_MS + 5).context
    assert (context.generation, context.cutover_ms) == ("2026-11-15", CUTOVER_MS)
    assert (context.stream_through_ms, context.query_time_ms) == (None, CUTOVER_MS + 5)


def test_a_profile_that_was_never_seen_is_an_empty_answer(client):
    """Missing is neither zero nor failed."""
    result = client.get(987_654_321, at_ms=CUTOVER_MS, **EVERYTHING)
    assert (len(result), result.matched_rows) == (0, 0)
    assert all(len(values) == 0 for values in result.decayed.values())


def test_only_the_titles_and_locations_asked_for(client):
    """In any order, repeated, and with titles the profile never saw."""
    titles, locations = [9, 2, 9, 777], [3, 0]
    matched = 0
    for profile in PROFILES:
        result = client.get(
            profile,
            at_ms=CUTOVER_MS,
            titles=titles,
            locations=locations,
            by_location=True,
            **EVERYTHING,
        )
        rows = want(profile, CUTOVER_MS)
        rows = {k: v for k, v in rows.items() if k[1] in titles and k[2] in locations}
        assert differences(result_rows(result), rows, FLOAT32_STORED) == []
        matched += len(rows)
    assert matched > 10


def test_only_the_measures_and_half_lives_asked_for_in_their_order(client):
    result = client.get(3, at_ms=CUTOVER_MS, measures=["plays", "dwell_s"], half_lives_days=[30, 1])
    assert list(result.decayed) == [("plays", 30), ("plays", 1), ("dwell_s", 30), ("dwell_s", 1)]
    assert (result.totals, result.last_seen_ms) == ({}, None)
    everything = client.get(3, at_ms=CUTOVER_MS)
    for pair, values in result.decayed.items():
        assert values.tolist() == everything.decayed[pair].tolist()


def test_top_k_has_the_largest_first_and_says_how_many_there_were(client):
    """The profile with the most rows, ranked by a sum that is not asked for."""
    profile = max(PROFILES, key=lambda p: len(want(p, CUTOVER_MS)))
    rows = want(profile, CUTOVER_MS)
    result = client.get(
        profile, at_ms=CUTOVER_MS, by_location=True, measures=["plays"], top=Top(4, "dwell_s", 180)
    )
    ranked = sorted(rows, key=lambda key: -rows[key]["dwell_s", 180])[:4]
    pairs = zip(result.title_ids.tolist(), result.locations.tolist(), strict=True)
    assert list(pairs) == [(title, location) for _, title, location in ranked]
    assert result.matched_rows == len(rows) > 4


def test_presented_numbers_follow_from_the_sums(client):
    """EMA rate = S ln 2 / h; plays per impression = S[plays] / S[impressions]."""
    result = client.get(3, at_ms=CUTOVER_MS, ema_rates=True, plays_per_impression=True)
    for (measure, days), sums in result.decayed.items():
        rates = result.ema_rates[measure, days]
        np.testing.assert_allclose(rates, sums * math.log(2) / days, rtol=1e-12)
    for days in HALF_LIVES_DAYS:
        ratio = result.decayed["plays", days] / result.decayed["impressions", days]
        np.testing.assert_allclose(result.plays_per_impression[days], ratio, rtol=1e-12)


def test_decayed_sums_can_be_left_out(client):
    result = client.get(3, at_ms=CUTOVER_MS, decayed=False, totals=True)
    assert result.decayed == {}
    assert sum(result.totals["impressions"]) > 0


def test_columns_are_read_only_views_over_what_arrived(client):
    """An answer cannot be changed by accident, and nothing was copied."""
    result = client.get(3, at_ms=CUTOVER_MS)
    for column in (result.title_ids, *result.decayed.values()):
        assert not column.flags.writeable
        assert isinstance(column.base, bytes)


def test_describe_says_what_is_measured_and_served(client, installed):
    described = client.describe()
    assert described.spec.fingerprint == installed.spec.fingerprint
    assert list(described.spec.half_lives_days) == [1, 7, 30, 180, 365]
    assert described.generation.generation_id == "2026-11-15"
    assert described.generation.horizon_ms == CUTOVER_MS + 28 * DAY_MS
    assert described.generation.profiles == 40
    assert (described.partitions, described.partitioner) == (8, "murmur2_be64")
    assert list(described.shards) == list(range(8))
    assert (described.limits.max_batch, described.limits.max_titles) == (16, 20)
    assert described.complete


def test_the_largest_ids_travel_unharmed(tmp_path):
    """Profile 2^63-1 and title 2^55-1 at location 255."""
    profile, title = 2**63 - 1, 2**55 - 1
    event = {"title": title, "location": 255, "event_ms": CUTOVER_MS - DAY_MS}
    events = [(profile, {**event, "played": 1, "dwell_s": 0.5}, CUTOVER_MS - DAY_MS)]
    settings = settings_in(tmp_path)
    install(settings, blocks=blocks_of(events))
    with serving(settings) as running, client_of(running) as connected:
        result = connected.get(profile, at_ms=CUTOVER_MS, by_location=True, titles=[title])
    assert (result.profile_id, result.title_ids.tolist()) == (profile, [title])
    assert result.locations.tolist() == [255]


def test_the_live_half_joins_at_one_seam(tmp_path):
    """Batch up to the cutover plus delta blocks of the week after it: every event counts once.

    The deltas hold the week before the cutover as well, which the generation owns: left out."""
    live = [e for e in EVENTS if e[2] >= CUTOVER_MS - 7 * DAY_MS]
    deltas: dict = {}
    for profile in PROFILES:
        events = [(event, ingest_ms) for p, event, ingest_ms in live if p == profile]
        deltas[profile] = [delta_block.encode(b, SPEC) for b in delta_blocks_of(events, SPEC)]

    def deltas_of(shard, profile_id, from_slot_ms):
        return Deltas(deltas[profile_id], None)

    settings = settings_in(tmp_path)
    install(settings)
    new = 0
    with serving(settings, deltas_of=deltas_of) as running, client_of(running) as asked:
        for profile in PROFILES:
            result = asked.get(profile, at_ms=WEEK_2_MS, by_location=True, **EVERYTHING)
            rows = expected_of(profile, EVENTS, WEEK_2_MS, WEEK_2_MS)
            assert differences(result_rows(result), rows, FLOAT32_STORED) == []
            new += rows != expected_of(profile, EVENTS, CUTOVER_MS, WEEK_2_MS)
    assert new > 5, f"profiles that the live week changed, seed {SEED}"
