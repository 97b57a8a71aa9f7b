"""Batch and stream in one answer: its content, its flags, and its errors.

The test writes the copy of the deltas instead of the follower, so that every state it
can be in is met; tests/serving/test_live_processes.py has the real follower and the real broker.
"""

import grpc
import pytest

from impressions.cli.get import _footer
from impressions.client import CallFailed
from impressions.client.result import reason_words
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.deltas.news import tell_all
from impressions.deltas.store import (
    PartitionState,
    news_dir,
    open_primary,
    open_secondary,
    store_dir,
)
from impressions.formats.delta_block import key
from impressions.formats.heartbeat import FROM_THE_FIRST_MS
from oracle import naive
from serving import live_deltas
from serving.health import BATCH, READY, SPEED
from tests.compare import differences
from tests.deltas.support import beat_of, blocks_of
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS, SPEC
from tests.serving.support import (
    EVENTS,
    WEEK_2_MS,
    client_of,
    expected_of,
    install,
    result_rows,
    serving,
    settings_in,
    until,
)
from tests.serving.test_health import NOT_SERVING, SERVING, UNKNOWN, health_of
from tests.tolerance import FLOAT32_STORED

EVERYTHING = {"by_location": True, "totals": True, "last_seen": True}
PROFILES = range(1, 41)
SHARDS = range(8)
THROUGH_MS = WEEK_2_MS
LAG_MS = 15_000


class Copy:
    """The host's copy of the deltas, written by the test."""

    def __init__(self, settings):
        self.settings, self.store = settings, open_primary(store_dir(settings))

    def events(self, applied) -> None:
        self.store.write(blocks_of(applied, SPEC).items(), {})

    def state(self, shards=SHARDS, through_ms=THROUGH_MS, restoring=False, **more) -> None:
        """What is known of these shards; `since_ms` goes into the heartbeat."""
        since_ms = more.pop("since_ms", FROM_THE_FIRST_MS)
        self.store.write(
            (),
            {
                shard: PartitionState(
                    bytes(16),
                    1,
                    restoring=restoring,
                    heartbeat=beat_of(self.settings, shard, through_ms, since_ms=since_ms),
                    **more,
                )
                for shard in shards
            },
        )


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path, deltas="on", catch_up_s=0.01)


@pytest.fixture
def copy(settings):
    held = Copy(settings)
    yield held
    held.store.close()


@pytest.fixture
def clock():
    return FixedClock(THROUGH_MS)


@pytest.fixture
def server(settings, clock):
    with serving(settings, clock=clock) as running:
        yield running


@pytest.fixture
def client(server):
    with client_of(server) as connected:
        yield connected


def answers_of(client, profiles=PROFILES, query_ms=THROUGH_MS):
    return client.get_many(profiles, at_ms=query_ms, **EVERYTHING)


def reasons_of(client, profile=1):
    return client.get(profile, at_ms=THROUGH_MS).context.reasons


def comes(client, reasons, profile=1):
    """Wait until the server reports this; a thread of it refreshes the copy."""
    until(lambda: set(reasons_of(client, profile)) == set(reasons), f"{reasons}")


def test_before_any_generation_the_stream_answers_alone_and_is_flagged(
    settings, copy, client, server
):
    """Everything that was sent is in it; ready, but the batch is not."""
    recent = [e for e in EVENTS if e[2] >= CUTOVER_MS - 28 * DAY_MS]
    copy.events(recent)
    copy.state()
    comes(client, ["no_generation"])
    seen = 0
    for result in answers_of(client):
        rows = naive.answers([e for e in recent if e[0] == result.profile_id], THROUGH_MS)
        assert differences(result_rows(result), rows, FLOAT32_STORED) == []
        context = result.context
        assert (context.generation, context.cutover_ms) == ("", 0)
        assert (context.complete, context.reasons) == (False, ("no_generation",))
        assert context.stream_through_ms == THROUGH_MS
        seen += len(rows)
    assert seen > 50
    with grpc.insecure_channel(server.address) as channel:
        assert health_of(channel, READY) == SERVING
        assert health_of(channel, BATCH) == NOT_SERVING
        until(lambda: health_of(channel, SPEED) == SERVING, "the stream is fresh")


def test_what_the_follower_tells_of_is_seen_without_waiting(tmp_path, clock):
    """A server that would look again in an hour only."""
    settings = settings_in(tmp_path, deltas="on", catch_up_s=3_600)
    held = Copy(settings)
    held.state()
    with serving(settings, clock=clock) as running, client_of(running) as client:
        assert client.get(1, at_ms=THROUGH_MS).context.stream_through_ms == THROUGH_MS
        held.state(through_ms=THROUGH_MS + 1)
        assert tell_all(news_dir(settings)) == 1
        until(
            lambda: client.get(1, at_ms=THROUGH_MS).context.stream_through_ms == THROUGH_MS + 1,
            "the state that was told of",
        )
    held.store.close()


def test_history_that_neither_half_has_is_flagged(settings, copy, client):
    """Imported files have rows after the cutover; the next generation will have them."""
    install(settings, history_until_ms=CUTOVER_MS + 1)
    copy.state()
    comes(client, ["deltas_missing"])
    install(settings, WEEK_2_MS)
    comes(client, [])


def test_the_generation_owns_what_is_before_its_cutover_and_the_stream_the_rest(
    settings, copy, client
):
    """The copy holds 28 days before the cutover as well; nothing counts twice. Another generation,
    a week later: not one answer changes."""
    install(settings)
    copy.events([e for e in EVENTS if e[2] >= CUTOVER_MS - 28 * DAY_MS])
    copy.state()
    until(lambda: reasons_of(client) == (), "generation and stream are there")
    before = answers_of(client)
    for result in before:
        rows = expected_of(result.profile_id, EVENTS, WEEK_2_MS, WEEK_2_MS)
        assert differences(result_rows(result), rows, FLOAT32_STORED) == []
        assert result.context.complete
        assert result.context.stream_through_ms == THROUGH_MS
    live = [e for e in EVENTS if e[2] >= CUTOVER_MS]
    assert len({profile for profile, _, _ in live}) > 5
    install(settings, WEEK_2_MS)
    until(lambda: client.get(1).context.generation == "2026-11-22", "the swap")
    for old, new in zip(before, answers_of(client), strict=True):
        assert differences(result_rows(new), result_rows(old), FLOAT32_STORED) == []


def test_a_stream_whose_lag_is_above_the_limit_is_flagged(settings, copy, client, server, clock):
    """By the server's clock, whatever time the question is about; health follows."""
    install(settings)
    copy.state()
    comes(client, [])
    clock.at_ms = THROUGH_MS + LAG_MS
    comes(client, [])
    with grpc.insecure_channel(server.address) as channel:
        until(lambda: health_of(channel, SPEED) == SERVING, "fresh up to the bound")
        clock.advance(1)
        assert reasons_of(client) == ("stream_behind",)
        until(lambda: health_of(channel, SPEED) == NOT_SERVING, "stale above it")
        copy.state(through_ms=THROUGH_MS + 1)
        comes(client, [])
        until(lambda: health_of(channel, SPEED) == SERVING, "fresh again")


def test_only_the_profiles_of_a_partition_that_is_missing_are_flagged(settings, copy, client):
    """One shard has no stream state; in one batch each answer has its own flag."""
    install(settings)
    missing = shard_of(1, 8)
    copy.state([shard for shard in SHARDS if shard != missing])
    comes(client, ["deltas_missing"])
    flagged = {}
    for result in answers_of(client):
        flagged.setdefault(result.context.reasons, set()).add(shard_of(result.profile_id, 8))
        known = result.context.stream_through_ms is not None
        assert known == (shard_of(result.profile_id, 8) != missing)
    assert flagged == {("deltas_missing",): {missing}, (): set(SHARDS) - {missing}}


def test_what_the_stream_never_saw_or_dropped_is_missing_for_earlier_cutovers_only(
    settings, copy, client
):
    """since_ms of the heartbeat, and the floor of slots that expired, alike."""
    install(settings)
    for begins in ("since_ms", "floor_ms"):
        copy.state(**{begins: CUTOVER_MS})
        comes(client, [])
        copy.state(**{begins: CUTOVER_MS + DAY_MS})
        comes(client, ["deltas_missing"])


def test_while_the_copy_is_filled_every_answer_is_flagged(settings, copy, client, server):
    install(settings)
    copy.state(restoring=True, through_ms=THROUGH_MS - DAY_MS)
    comes(client, ["restoring", "stream_behind"])
    copy.state()
    comes(client, [])


def test_without_a_copy_the_answer_is_flagged_until_there_is_one(settings, client, server):
    """The follower has never run; then it makes the store, and the server opens it."""
    install(settings)
    until(lambda: server.generations.current, "the generation")
    assert reasons_of(client) == ("deltas_missing",)
    assert client.get(1, at_ms=THROUGH_MS).context.stream_through_ms is None
    copy = Copy(settings)
    copy.state()
    comes(client, [])
    copy.store.close()


def test_a_copy_that_was_made_again_is_followed(settings, copy, client):
    """Another store under the same name, as after the first was deleted."""
    install(settings)
    copy.state()
    comes(client, [])
    copy.store.close()
    store_dir(settings).rename(settings.deltas_dir / "old")
    copy.store = open_primary(store_dir(settings))
    comes(client, ["deltas_missing"])
    copy.state()
    comes(client, [])


def test_what_a_follower_wrote_before_its_restart_is_seen_after_it(settings):
    """A RocksDB secondary can show the log of the former process (facebook/rocksdb#14444)."""
    copy = Copy(settings)
    copy.state(through_ms=THROUGH_MS)
    deltas = live_deltas.LiveDeltas(settings)
    deltas.refresh()
    copy.state(through_ms=THROUGH_MS + 1)
    copy.store.close()
    copy.store = open_primary(store_dir(settings))
    copy.state(shards=[1], through_ms=THROUGH_MS + 2)
    deltas.refresh()
    assert [deltas.state(shard).through_ms - THROUGH_MS for shard in (0, 1)] == [1, 2]
    deltas.stop()
    copy.store.close()


def test_a_copy_that_shows_nothing_new_is_opened_again(settings, monkeypatch):
    """A secondary may stop at the end of a log in mid-write, without an error."""
    monkeypatch.setattr(live_deltas, "UNCHANGED_S", 0.2)
    opened = []

    def open_stuck(*where):
        store = open_secondary(*where)
        if not opened:
            store.catch_up = lambda: None
        opened.append(store)
        return store

    monkeypatch.setattr(live_deltas, "open_secondary", open_stuck)
    copy = Copy(settings)
    copy.state(through_ms=THROUGH_MS)
    deltas = live_deltas.LiveDeltas(settings)
    deltas.start()
    try:
        copy.state(through_ms=THROUGH_MS + 1)
        until(lambda: deltas.state(0).through_ms == THROUGH_MS + 1, "the newer state")
    finally:
        deltas.stop()
        copy.store.close()
    assert len(opened) >= 2


def test_a_block_that_cannot_be_read_is_data_loss_for_its_profile_only(
    settings, copy, client, server
):
    """Counted, too; the others of the batch are answered."""
    install(settings)
    copy.store.write([(key(7, CUTOVER_MS), b"junk")], {})
    copy.state()
    comes(client, [])
    for result, profile in zip(answers_of(client), PROFILES, strict=True):
        if profile == 7:
            assert isinstance(result, CallFailed)
            assert (result.code, result.reason) == ("DATA_LOSS", "corrupt")
        else:
            assert result.profile_id == profile
    assert server.metrics.registry.get_sample_value("impressions_corruption_total") == 1


def test_describe_reports_the_stream_of_each_shard(settings, copy, client):
    """And of all together: the smallest time, and all reasons."""
    install(settings)
    copy.state(through_ms=THROUGH_MS + 5)
    copy.state([3], through_ms=THROUGH_MS - 60_000, since_ms=WEEK_2_MS)
    until(lambda: client.describe().HasField("generation"), "the generation")
    until(lambda: client.describe().stream_through_ms == THROUGH_MS - 60_000, "the slowest")
    described = client.describe()
    assert [stream.shard for stream in described.streams] == list(SHARDS)
    third, fourth = described.streams[3:5]
    assert (third.since_ms, fourth.HasField("since_ms")) == (WEEK_2_MS, False)
    assert (third.through_ms, fourth.through_ms) == (THROUGH_MS - 60_000, THROUGH_MS + 5)
    assert set(reason_words(third.reasons)) == {"deltas_missing", "stream_behind"}
    assert (described.complete, set(described.reasons)) == (False, set(third.reasons))


def test_the_command_line_explains_what_is_missing(copy, client):
    """The footer under the table of `impressions get`."""
    comes(client, ["no_generation", "deltas_missing"])
    copy.state(restoring=True)
    comes(client, ["no_generation", "restoring"])
    footer = _footer(client.get(1, at_ms=THROUGH_MS))
    assert "no generation · asked for 2026-11-22" in footer
    assert "live through 2026-11-22" in footer
    assert "only what the live stream holds is counted" in footer
    assert "still fills its copy" in footer


def test_without_a_stream_nothing_of_it_is_reported(tmp_path):
    settings = settings_in(tmp_path)
    install(settings)
    with (
        serving(settings, clock=FixedClock(THROUGH_MS)) as server,
        client_of(server) as client,
        grpc.insecure_channel(server.address) as channel,
    ):
        described = client.describe()
        assert (described.HasField("stream_through_ms"), len(described.streams)) == (False, 0)
        assert client.get(1).context.stream_through_ms is None
        assert health_of(channel, SPEED) == UNKNOWN


def test_metrics_report_what_is_served_and_how_fresh_it_is(settings, copy, client, server, clock):
    """Computed when asked: nothing has to happen for them to change."""
    install(settings)
    copy.state()
    comes(client, [])
    clock.at_ms = THROUGH_MS + LAG_MS + 1
    value = server.metrics.registry.get_sample_value
    labels = {"id": "2026-11-15", "cutover": str(CUTOVER_MS)}
    assert value("impressions_generation_info", labels) == 1
    assert value("impressions_batch_age_seconds") == 7 * 86_400 + 15.001
    assert value("impressions_incomplete", {"reason": "stream_behind"}) == 8
    assert value("impressions_incomplete", {"reason": "restoring"}) == 0
    assert value("impressions_secondary_staleness_seconds") < 5
    asked = value("impressions_requests_total", {"method": "GetProfile", "code": "OK"})
    assert asked >= 1
    with pytest.raises(CallFailed):
        client.get(1, at_ms=CUTOVER_MS - 1)
    refused = {"method": "GetProfile", "code": "INVALID_ARGUMENT"}
    assert value("impressions_requests_total", refused) == 1
    assert value("impressions_merge_seconds_count") == asked
    assert value("impressions_store_get_seconds_count") == asked


def test_metrics_report_how_the_activation_compared_what_is_served(settings, copy, client, server):
    """Two generations of the same events: every profile of so small a host, and none differs."""
    copy.events(EVENTS)
    copy.state()
    host = settings.host.model_copy(update={"seam_max_s": 600})
    settings = settings.model_copy(update={"host": host})
    install(settings)
    value = server.metrics.registry.get_sample_value
    profiles = "impressions_seam_profiles"
    assert until(lambda: value(profiles, {"outcome": "alike"}) == 0, "the first has no one before")
    install(settings, WEEK_2_MS)
    assert until(lambda: value(profiles, {"outcome": "alike"}) == len(PROFILES), "the second has")
    assert value(profiles, {"outcome": "differing"}) == 0
    assert value(profiles, {"outcome": "not_compared"}) == 0
