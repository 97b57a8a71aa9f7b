"""A worker that fails between any two of its steps: nothing lost, nothing twice."""

from __future__ import annotations

import signal

import pytest

from impressions.formats import heartbeat
from impressions.process.failpoint import hits
from tests.broker import stream_settings
from tests.faults.size import scaled
from tests.faults.stream import QUICK, SEED, assert_exact, switch, workers
from tests.live import last_values
from tests.speed.traffic import Traffic

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PLACES = (  # where, how, and whether the victim has published by then
    ("before-publish", "raise", False),
    ("after-publish", "kill", True),
    ("after-write", "kill", True),
)


def test_a_worker_that_fails_between_two_steps_changes_no_answer(tmp_path, broker):
    """An exception in the handler ends the process with an error: never a live worker that does
    nothing. Kills leave blocks in the topic that the store lacks, and a store ahead of what the
    group has committed. Whoever is started next goes on behind what was published."""
    settings = stream_settings(tmp_path, broker, partitions=1, slot_seconds=20, speed=QUICK)
    traffic, fired = Traffic(settings, SEED), 0
    with workers(settings, tmp_path) as start:
        for round_ in range(scaled(1, 8)):
            for place, action, published in PLACES:
                path = tmp_path / f"{place}-{round_}"
                before = offset_of(settings)  # a worker may replay before it says that it is ready
                worker = start(**switch(place, action, path)).ready()
                traffic.send(60)
                traffic.flush()
                code = worker.popen.wait(60)
                assert code == -signal.SIGKILL if action == "kill" else code > 0, f"seed {SEED}"
                assert hits(path) == 1
                assert (offset_of(settings) > before) == published, place
                fired += 1
        start().ready()
        assert_exact(settings, tmp_path, at_least=50)
    assert fired == scaled(1, 8) * len(PLACES)


def offset_of(settings) -> int:
    """Of the one partition's newest heartbeat."""
    value = last_values(settings).get(heartbeat.KEY)
    return -1 if value is None else heartbeat.decode(value, settings.spec).offset
