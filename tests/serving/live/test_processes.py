"""The live path of a serving host with real processes and a real broker: published, followed, read.

Servers are `python -m serving`; each starts a follower of its own. Several on one host directory
share one copy of the deltas: one follower writes it, the others are standbys.
"""

import contextlib
import os
import signal
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from impressions.client import ImpressionsClient
from impressions.core.shard import shard_of
from impressions.formats import heartbeat
from impressions.process.registry import running
from tests.broker import stream_settings
from tests.compare import differences
from tests.deltas.support import Publisher, beat_of
from tests.generations import CUTOVER_MS
from tests.serving.process import Process, alive, end
from tests.serving.support import EVENTS, WEEK_2_MS, expected_of, install, result_rows, until
from tests.tolerance import FLOAT32_STORED

pytestmark = pytest.mark.kafka

EVERYTHING = {"by_location": True, "totals": True, "last_seen": True}
PROFILES = range(1, 41)
LIVE = [e for e in EVENTS if e[2] >= CUTOVER_MS]


def host_of(home, broker):
    """A host with a generation, and topics of its own. Events are of 2026: the bound on the lag is
    wide, so that "now" is within it."""
    made = stream_settings(
        home,
        broker,
        partitions=8,
        slot_seconds=86_400,
        host={"reserve_bytes": 0},
        stream={"keep_days": 3650},
    )
    install(made)
    return made


@pytest.fixture
def settings(tmp_path, broker):
    return host_of(tmp_path / "home", broker)


@pytest.fixture
def stream(settings):
    return Publisher(settings)


@pytest.fixture
def start(settings, tmp_path):
    """Starts servers on the host; ends those still alive after the test."""
    kafka = settings.kafka
    sets = {
        "kafka.bootstrap": kafka.bootstrap,
        "kafka.deltas_topic": kafka.deltas_topic,
        "stream.keep_days": 3650,
        "serving.max_stream_lag_s": 1e9,
        "host.reserve_bytes": 0,
    }
    flags = [text for key, value in sets.items() for text in ("--set", f"{key}={value}")]
    with contextlib.ExitStack() as stack:

        def started(*more: str) -> Process:
            process = Process(settings, tmp_path, "--listen", "127.0.0.1:0", *flags, *more)
            stack.callback(end, process)
            return process

        yield started


def followers(settings) -> list[int]:
    return [entry.pid for entry in running(settings) if entry.kind == "follower"]


def assert_exact(client):
    """Every pair of every profile, as everything that was sent makes it: in answers that say they
    hold all of it, whichever process they are from."""

    def answered():
        results = client.get_many(PROFILES, at_ms=WEEK_2_MS, **EVERYTHING)
        contexts = [result.context for result in results]
        through = {context.stream_through_ms for context in contexts}
        whole = all(context.complete for context in contexts)
        return results if whole and through == {WEEK_2_MS} else None

    for result in until(answered, "answers that hold everything"):
        rows = expected_of(result.profile_id, EVENTS, WEEK_2_MS, WEEK_2_MS)
        assert differences(result_rows(result), rows, FLOAT32_STORED) == []


def samples(address) -> dict[tuple, float]:
    """{(name, label, ...): value} of a /metrics."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
        families = text_string_to_metric_families(response.read().decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def comes_through(client, through_ms):
    """Wait until the answers of every shard are complete through this time."""
    until(lambda: client.describe().stream_through_ms == through_ms, f"through {through_ms}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_published_is_in_the_answers(settings, stream, start, workers):
    """Before the start and while it runs; the parent's /metrics shows its children's."""
    half = len(LIVE) // 2
    stream.events(LIVE[:half])
    stream.beat(CUTOVER_MS + 1)
    process = start("--workers", workers)
    with ImpressionsClient(process.address, timeout_s=10, channels=4) as client:
        comes_through(client, CUTOVER_MS + 1)
        stream.events(LIVE, offset=1)
        stream.beat(WEEK_2_MS, offset=1)
        comes_through(client, WEEK_2_MS)
        for _ in range(4):
            assert_exact(client)
    (parent,) = [entry for entry in running(settings) if entry.kind == "serve"]
    assert (parent.pid, parent.address) == (process.popen.pid, process.address)
    shown = samples(parent.metrics)
    of_stream = "impressions_incomplete", ("reason", "stream_behind")
    of_worker = ("process", "worker-1") if workers == "2" else None
    assert (
        "impressions_follower_lag_seconds",
        ("partition", "7"),
        ("process", "follower"),
    ) in shown
    assert shown[tuple(label for label in (of_stream[0], of_worker, of_stream[1]) if label)] == 0
    pids = [entry.pid for entry in running(settings)]
    assert len(pids) == (4 if workers == "2" else 2)
    assert process.stop() == 0
    assert running(settings) == []
    assert not any(alive(pid) for pid in pids)
    assert "Traceback" not in process.log


def test_a_follower_that_is_killed_is_replaced_and_nothing_is_lost(settings, stream, start):
    """kill -9; what is published meanwhile is in the answers afterwards."""
    process = start()
    stream.beat(CUTOVER_MS)
    with ImpressionsClient(process.address, timeout_s=10) as client:
        comes_through(client, CUTOVER_MS)
        (victim,) = followers(settings)
        os.kill(victim, signal.SIGKILL)
        stream.events(LIVE)
        stream.beat(WEEK_2_MS)
        comes_through(client, WEEK_2_MS)
        assert_exact(client)
    assert f"follower-died pid={victim} code=-9" in process.log
    assert followers(settings) != [victim]


def test_two_servers_of_a_host_share_one_copy_and_the_second_follower_takes_over(
    settings, stream, start
):
    """The first server is killed with its follower: the other's follower stood by."""
    first, second = start(), start()
    until(lambda: "standby" in first.log + second.log, "one of the followers is a standby")
    stream.beat(CUTOVER_MS)
    assert len(followers(settings)) == 1
    writer = first if "standby" in second.log else second
    other = second if writer is first else first
    with ImpressionsClient(other.address, timeout_s=10) as client:
        comes_through(client, CUTOVER_MS)
        (follower,) = followers(settings)
        writer.stop(signal.SIGKILL)
        until(lambda: not alive(follower), "its follower ended with it")
        stream.events(LIVE)
        stream.beat(WEEK_2_MS)
        comes_through(client, WEEK_2_MS)
        assert_exact(client)
        assert len(followers(settings)) == 1


def test_a_stream_that_cannot_be_followed_leaves_the_answers_and_says_so(settings, stream, start):
    """A heartbeat of another P: the follower refuses again and again, the server goes on."""
    other = settings.model_copy(update={"partitions": 4})
    stream.raw(0, heartbeat.KEY, beat_of(other, 0, CUTOVER_MS))
    stream.beat(CUTOVER_MS, partitions=range(1, 8))
    process = start()
    with ImpressionsClient(process.address, timeout_s=10) as client:
        until(lambda: process.log.count("follower-died") >= 2, "it was tried again")
        assert "heartbeat of partition 0 of 4 in partition 0 of 8" in process.log
        of_the_shard = next(p for p in PROFILES if shard_of(p, 8) == 0)
        assert not client.get(of_the_shard, at_ms=WEEK_2_MS).context.complete
    assert process.stop() == 0
