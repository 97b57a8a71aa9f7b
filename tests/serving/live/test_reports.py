"""What a server says of its stream: described, explained by the command line, as metrics."""

import grpc
import pytest

from impressions.cli.get import _footer
from impressions.client import CallFailed
from impressions.client.result import reason_words
from serving.health import SPEED
from tests.fixed_clock import FixedClock
from tests.generations import CUTOVER_MS
from tests.serving.live.written_copy import LAG_MS, PROFILES, SHARDS, THROUGH_MS, comes
from tests.serving.support import (
    EVENTS,
    WEEK_2_MS,
    client_of,
    install,
    serving,
    settings_in,
    until,
)
from tests.serving.test_health import UNKNOWN, health_of


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
