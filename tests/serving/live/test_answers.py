"""Batch and stream in one answer: its content, its flags, and its errors."""

import grpc

from impressions.client import CallFailed
from impressions.core.shard import shard_of
from impressions.core.spec import DAY_MS
from impressions.formats.delta_block import key
from oracle import naive
from serving.health import BATCH, READY, SPEED
from tests.compare import differences
from tests.generations import CUTOVER_MS
from tests.serving.live.written_copy import (
    LAG_MS,
    PROFILES,
    SHARDS,
    THROUGH_MS,
    answers_of,
    comes,
    reasons_of,
)
from tests.serving.support import EVENTS, WEEK_2_MS, expected_of, install, result_rows, until
from tests.serving.test_health import NOT_SERVING, SERVING, health_of
from tests.tolerance import FLOAT32_STORED


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
