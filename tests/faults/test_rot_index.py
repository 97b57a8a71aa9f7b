"""Flipped bits in an index of RocksDB: damage is reported, and never looks like "never seen".

RocksDB verifies a file's index when it opens the file; the service reads it by mmap, so it does
not notice bits that flip later. A shard with a truncated list of files opens as an empty one.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pytest

from bulkload.activate import activate
from bulkload.load import load
from bulkload.verify import verify_host
from impressions.client import CallFailed
from impressions.core.errors import CorruptData
from impressions.core.item import profile_key
from impressions.core.shard import shard_of
from impressions.formats.generation_paths import HostPaths
from impressions.rocksdb import generation_store
from tests.faults.size import scaled
from tests.generations import CUTOVER_MS, publish, random_events
from tests.generations import blocks_of as blocks_from
from tests.serving.support import client_of, serving, settings_in

PROFILES = range(1, 301)
FLIPS = scaled(1_000, 20_000)
SEED = int(os.environ.get("IMPRESSIONS_TEST_SEED", "23"))


@pytest.fixture(scope="module")
def blocks():
    """Three hundred profiles, each the size of a block of RocksDB or less."""
    return blocks_from(random_events(3, profiles=len(PROFILES), per_profile=12), CUTOVER_MS)


@pytest.fixture
def host(tmp_path, blocks):
    """A host of one shard, so that the index of its one file is long."""
    settings = settings_in(tmp_path).model_copy(update={"partitions": 1})
    name = publish(settings.home / "generations", blocks, CUTOVER_MS, partitions=1).generation
    load(settings, name)
    activate(settings, name)
    return settings, HostPaths(settings.host_dir).store(name) / "shard=0"


@contextmanager
def flipped(path, position, bit):
    """One bit, in the file that is open elsewhere, and back again."""
    with path.open("r+b", buffering=0) as file:
        byte = os.pread(file.fileno(), 1, position)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << bit]), position)
        yield
        os.pwrite(file.fileno(), byte, position)


def metadata_of(sst, blocks):
    """Where the rows end; filter, index, properties and footer follow."""
    data = sst.read_bytes()
    return max(data.rfind(block) + len(block) for block in blocks.values()), len(data)


def titles_or_error(client, profile):
    """The titles of a profile, or the code and reason of its failure."""
    try:
        return client.get(profile, at_ms=CUTOVER_MS).title_ids.tolist()
    except CallFailed as error:
        return error.code, error.reason


READER = """
import json, sys
from pathlib import Path
from impressions.core.item import profile_key
from impressions.rocksdb import generation_store

def outcome(read, key):
    try:
        value = read(key)
    except Exception:
        return "error"
    return None if value is None else value.hex()

store = generation_store.open_read_only(Path(sys.argv[1]), [0])
for line in sys.stdin:
    keys = [profile_key(profile) for profile in json.loads(line)]
    plain = store._databases[0]
    found = [(outcome(lambda key: store.get(0, key), key), outcome(plain.get, key)) for key in keys]
    print(json.dumps(found), flush=True)
"""


class Reader:
    """Another process that reads: RocksDB may follow a rotten index out of the file, and die."""

    def __init__(self, store):
        self._command, self.deaths = [sys.executable, "-c", READER, str(store)], 0
        self._start()

    def read(self, profiles):
        """The result of our read and of RocksDB's own for each; None if the process died."""
        self._process.stdin.write(json.dumps(profiles) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        assert self._process.wait(10) in (-signal.SIGSEGV, -signal.SIGBUS)
        self.deaths += 1
        return []

    def revive(self):
        """Start again where it died; the file must be as it was."""
        if self._process.poll() is not None:
            self._start()

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _start(self):
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )


def test_a_flip_in_a_live_index_is_an_error_and_never_an_absence(host, blocks):
    """Many bits, and for each some profiles that are there: the right bytes, or an error, or the
    end of the process."""
    _, shard = host
    (sst,) = shard.glob("*.sst")
    begin, end = metadata_of(sst, blocks)
    rng, outcomes = random.Random(SEED), Counter()
    reader, led_astray = Reader(shard.parent), 0
    for _ in range(FLIPS):
        profiles = rng.sample(PROFILES, 100)
        with flipped(sst, rng.randrange(begin, end), rng.randrange(8)):
            answers = reader.read(profiles)
        reader.revive()
        for profile, (said, plain) in zip(profiles, answers, strict=False):
            kind = {None: "not there", "error": "error", blocks[profile].hex(): "right"}
            outcomes[kind.get(said, "wrong")] += 1
            led_astray += said == "error" and plain is None
    reader.close()
    assert outcomes["wrong"] == outcomes["not there"] == 0, f"seed {SEED}: {outcomes}"
    assert outcomes["error"] > FLIPS / 10, f"seed {SEED}: {outcomes}"
    assert reader.deaths < FLIPS / 100, f"seed {SEED}: {reader.deaths}"
    assert led_astray > 0, f"seed {SEED}: no flip led a plain get astray, which it must survive"
    print(f"index flips {FLIPS}: {outcomes}, of the errors {led_astray} were silent in a plain get")


def test_a_server_says_data_loss_where_a_live_index_is_rotten(host, blocks):
    """Over gRPC: each profile is answered as before or is DATA_LOSS, and the metric rises by as
    many; verify names the file."""
    settings, shard = host
    (sst,) = shard.glob("*.sst")
    begin, end = metadata_of(sst, blocks)
    rng, lost = random.Random(SEED), 0
    with serving(settings) as server, client_of(server) as client:
        expected = {p: client.get(p, at_ms=CUTOVER_MS).title_ids.tolist() for p in PROFILES}
        assert all(expected.values())
        for _ in range(300):
            if lost:
                break  # few flips, because one in thousands ends the process: this one
            with flipped(sst, rng.randrange(begin, end), rng.randrange(8)):
                for profile in rng.sample(PROFILES, 20):
                    said = titles_or_error(client, profile)
                    assert said in (expected[profile], ("DATA_LOSS", "corrupt")), f"seed {SEED}"
                    lost += said != expected[profile]
        assert lost > 0, f"seed {SEED}"
        assert server.metrics.corruption._value.get() == lost
        with flipped(sst, (begin + end) // 2, 3):
            (problem, *_) = verify_host(settings, None).problems
            assert sst.name in problem.message


def test_an_absent_profile_is_absent_while_all_is_well(host, blocks):
    """The second look finds nothing either: keys around those that are there, and far away."""
    _, shard = host
    store = generation_store.open_read_only(shard.parent, [0])
    for profile in (0, max(PROFILES) + 1, 2**63 - 1):
        assert store.get(0, profile_key(profile)) is None
    store.close()


def test_a_list_of_files_that_was_cut_short_is_found_before_anything_is_served(host):
    """RocksDB opens most of them without complaint, as a shard without a single row."""
    settings, shard = host
    (listed,) = shard.glob("MANIFEST-*")
    good, silent, refused = listed.read_bytes(), 0, 0
    for length in range(0, len(good), scaled(9, 1)):
        listed.write_bytes(good[:length])
        try:
            store = generation_store.open_read_only(shard.parent, [0])
            silent += store.get(0, profile_key(1)) is None
            store.close()
        except CorruptData:
            pass
        assert verify_host(settings, None).exit_code == 4, length
        with serving(settings) as server:
            assert server.generations.current is None, f"cut to {length} bytes and served"
            refused += 1
    assert silent > refused / 3 > 0
    listed.write_bytes(good)
    with serving(settings) as server, client_of(server) as client:
        assert len(client.get(1, at_ms=CUTOVER_MS)) > 0


def test_a_rotten_shard_spoils_no_other(tmp_path):
    """Four shards, zeros instead of one index: its profiles are DATA_LOSS, the others answer, and
    a process that opens the store now is refused."""
    settings = settings_in(tmp_path).model_copy(update={"partitions": 4})
    blocks = blocks_from(random_events(3, profiles=40, per_profile=12), CUTOVER_MS)
    name = publish(settings.home / "generations", blocks, CUTOVER_MS, partitions=4).generation
    load(settings, name)
    activate(settings, name)
    with serving(settings) as server, client_of(server) as client:
        store = HostPaths(settings.host_dir).store(name)
        (sst,) = (store / "shard=2").glob("*.sst")
        with sst.open("r+b", buffering=0) as file:
            of_shard = {p: b for p, b in blocks.items() if shard_of(p, 4) == 2}
            begin, end = metadata_of(sst, of_shard)
            os.pwrite(file.fileno(), bytes(end - begin), begin)
        said = {profile: titles_or_error(client, profile) for profile in blocks}
        lost = {profile for profile, titles in said.items() if titles == ("DATA_LOSS", "corrupt")}
        assert lost == set(of_shard)
        assert all(isinstance(said[profile], list) for profile in blocks.keys() - lost)
        assert [] not in said.values()
    with pytest.raises(CorruptData):
        generation_store.open_read_only(store, range(4))
