"""A follower that is stopped: servers still answer, and soon report that the stream lags."""

import os
import signal

import pytest

from impressions.client import ImpressionsClient
from impressions.clock import now_ms
from impressions.process.registry import running
from tests.deltas.support import Publisher
from tests.serving.live.test_processes import host_of, samples
from tests.serving.process import Process, end
from tests.serving.support import until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

LAG_S = 2
BEHIND = ("impressions_incomplete", ("reason", "stream_behind"))


def test_a_follower_that_is_stopped_leaves_answers_that_say_they_are_behind(tmp_path, broker):
    """SIGSTOP: what was copied is still answered, flagged within the limit of the lag; the metric
    counts every shard. SIGCONT: complete again, with all events since."""
    made = host_of(tmp_path / "home", broker)
    sets = {
        "kafka.bootstrap": made.kafka.bootstrap,
        "kafka.deltas_topic": made.kafka.deltas_topic,
        "stream.keep_days": 3650,
        "serving.max_stream_lag_s": LAG_S,
        "host.reserve_bytes": 0,
    }
    flags = [text for key, value in sets.items() for text in ("--set", f"{key}={value}")]
    stream = Publisher(made)
    offset = iter(range(10_000))

    def reasons(client) -> tuple[str, ...]:
        stream.beat(now_ms(), offset=next(offset))
        return client.get(1).context.reasons

    process = Process(made, tmp_path, "--listen", "127.0.0.1:0", *flags)
    try:
        with ImpressionsClient(process.address, timeout_s=10) as client:
            until(lambda: reasons(client) == (), "answers are complete")
            (parent,) = [entry for entry in running(made) if entry.kind == "serve"]
            (follower,) = [entry.pid for entry in running(made) if entry.kind == "follower"]
            os.kill(follower, signal.SIGSTOP)
            stopped_at_ms = now_ms()
            until(lambda: reasons(client) == ("stream_behind",), "the answers are flagged")
            through_ms = client.get(1).context.stream_through_ms
            assert through_ms <= stopped_at_ms + 1_000
            assert now_ms() - through_ms > LAG_S * 1000
            until(lambda: samples(parent.metrics)[BEHIND] == 8, "the metric counts every shard")
            os.kill(follower, signal.SIGCONT)
            until(lambda: reasons(client) == (), "answers are complete again")
    finally:
        for entry in running(made):
            if entry.kind == "follower":
                os.kill(entry.pid, signal.SIGCONT)
        end(process)
