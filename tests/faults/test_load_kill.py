"""kill -9 of a real load at random moments: all old or all new, and the next load succeeds.

A kill counts as a hit when the dead process left its work directory and no generation: it was
loading. Moments are drawn as progress, not as time, so a slow machine is hit as surely as a fast
one; the seed is printed on failure.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from bulkload.files import tree_bytes
from bulkload.gc import gc
from bulkload.host_status import status
from bulkload.load import load
from bulkload.verify import verify_host
from tests.bulkload.world import EVENTS, NEW, NEW_MS, OLD
from tests.faults.size import scaled
from tests.generations import blocks_of

KILLS = scaled(6, 25)
PROFILES = 4_000
LIMIT_S = 60


@pytest.fixture
def big(world):
    """NEW with enough bytes that a load takes long enough to be hit."""
    block = max(blocks_of(EVENTS, NEW_MS).values(), key=len)
    world.publish(NEW_MS, blocks=dict.fromkeys(range(1, PROFILES + 1), block), files_per_shard=4)
    return world


def start_load(world):
    settings = world.settings
    command = [
        sys.executable, "-m", "bulkload", "load", NEW, "--set", f"home={settings.home}",
        "--set", f"partitions={settings.partitions}", "--set", "host.reserve_bytes=0",
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def moments(workdir, rng, size_bytes):
    """What becomes true at some point of a load: bytes copied, or a later step reached."""
    copied = rng.uniform(0, size_bytes)
    return rng.choice(
        [
            ("the work directory", workdir.exists),
            (f"{copied:.0f} bytes copied", lambda: tree_bytes(workdir) >= copied),
            (f"{copied:.0f} bytes copied", lambda: tree_bytes(workdir) >= copied),
            ("the store was made", (workdir / "db").exists),
            ("the copies were ingested", lambda: any((workdir / "db").glob("*.sst"))),
            ("the manifest was written", (workdir / "manifest.json").exists),
        ]
    )


def kill_at(world, process, reached):
    """SIGKILL as soon as the moment is there, or the load is over; the work directory it left."""
    deadline = time.monotonic() + LIMIT_S
    while not reached() and not world.paths.loaded(NEW).exists():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline, "the load never got there"
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)
    process.stderr.close()


def untouched(world):
    """What a load of NEW must not change."""
    return {
        path: digest
        for path, digest in world.snapshot().items()
        if path == "CURRENT" or path.startswith(f"generations/{OLD}")
    }


@pytest.mark.slow
@pytest.mark.representative
def test_a_killed_load_is_as_if_it_had_not_begun(big):
    """After each hit the old generation answers, status explains, and a load succeeds."""
    seed = int(os.environ.get("IMPRESSIONS_TEST_SEED", "20261115"))
    rng = random.Random(seed)
    before, size_bytes = untouched(big), big.manifest(NEW).size_bytes
    hits, attempts = [], 0
    while len(hits) < KILLS and attempts < 4 * KILLS:
        attempts += 1
        process = start_load(big)
        workdir = big.paths.loading / f"{NEW}.{process.pid}"
        moment, reached = moments(workdir, rng, size_bytes)
        kill_at(big, process, reached)
        where = f"seed {seed}, kill {attempts} when {moment}"
        if workdir.exists():
            hits.append(moment)
            assert process.returncode == -signal.SIGKILL, where
            assert not big.paths.generation(NEW).exists(), where
            explained = " ".join(message for message, _ in status(big.settings).problems)
            assert workdir.name in explained, where
        assert big.active() == OLD, where
        assert untouched(big) == before, where

        assert load(big.settings, NEW).profiles == PROFILES, where
        assert list(big.paths.loading.iterdir()) == [], where
        assert verify_host(big.settings, NEW).problems == (), where
        gc(big.settings, generation=NEW)
    print(f"{attempts} kills, {len(hits)} of them in the middle of a load: {sorted(hits)}")
    assert len(hits) == KILLS, f"seed {seed}: {len(hits)} of {attempts} kills hit: {hits}"
