"""The store of delta blocks: ranges, atomic batches, readers beside the writer, damage."""

import random
import shutil
import subprocess
import sys

import pytest

from impressions.core.errors import CorruptData, FormatVersionError, NotReady, Refused
from impressions.deltas.store import (
    PartitionState,
    decode_state,
    encode_state,
    open_primary,
    open_secondary,
)
from impressions.formats.delta_block import key
from impressions.rocksdb import delta_table
from tests.compare import unlike

OPEN = """
import sys
from pathlib import Path
from impressions.deltas.store import PartitionState, open_primary
store = open_primary(Path(sys.argv[1]))
"""
WRITE_FOR_EVER = f"""
from impressions.formats.delta_block import key
{OPEN}
if sys.argv[2:] == ["fill"]:
    store.fill()
n = 0
while True:
    n += 1
    blocks = [(key(1, slot), n.to_bytes(8, "big") * 100) for slot in range(50)]
    store.write(blocks, {{0: PartitionState(bytes(16), n, restoring=False)}})
    print(n, flush=True)
"""
STATE = PartitionState(bytes(range(16)), 42, restoring=True, floor_ms=7, heartbeat=b"beat")


@pytest.fixture
def store(tmp_path):
    opened = open_primary(tmp_path / "store")
    yield opened
    opened.close()


def test_a_profiles_blocks_from_a_slot_on_in_order(store):
    """Neighbours' blocks and the states, whose keys sort between them, are not among them."""
    neighbours = [key(6, 99), key(8, 0), key(0x7000000000000000, 5)]
    store.write([(k, b"other") for k in neighbours], {0: STATE, 3: STATE})
    store.write([(key(7, slot), str(slot).encode()) for slot in (300, 100, 200)], {})
    assert store.blocks(7) == [b"100", b"200", b"300"]
    assert store.blocks(7, 200) == [b"200", b"300"]
    assert store.blocks(7, 301) == store.blocks(9) == []
    assert store.blocks(0x7000000000000000) == [b"other"]


def test_blocks_in_files_and_in_memory_are_found_alike(store):
    """Both have a bloom filter, which may hide no block from a look, a range or a scan."""
    store.fill()
    store.write([(key(1, 100), b"file"), (key(3, 100), b"file")], {})
    store.filled()
    store.write([(key(2, 100), b"memory"), (key(3, 200), b"memory")], {0: STATE})
    assert store.get_many([key(1, 100), key(2, 100), key(2, 200)]) == [b"file", b"memory", None]
    assert store.blocks(3) == [b"file", b"memory"]
    assert [k for k, _ in store.scan(key(1, 100) + b"\0")] == [
        key(2, 100),
        key(3, 100),
        key(3, 200),
    ]
    assert store.state(0) == STATE


def test_of_equal_keys_in_one_write_the_last_counts(store):
    store.write([(key(1, 100), b"z"), (key(0, 0), b"x"), (key(1, 100), b"a")], {})
    assert store.get(key(1, 100)) == b"a"


def test_the_largest_profile_has_a_range_too(store):
    store.write([(key(2**63 - 1, 5), b"x")], {})
    assert store.blocks(2**63 - 1, 5) == [b"x"]


def test_many_keys_in_one_call(store):
    store.write([(key(1, 0), b"a"), (key(2, 0), b"b")], {})
    assert store.get_many([key(2, 0), key(3, 0), key(1, 0)]) == [b"b", None, b"a"]
    assert store.get_many([]) == []
    assert store.get(key(1, 0)) == b"a"


def test_blocks_states_and_deletes_are_written_together(store):
    store.write([(key(1, 0), b"a"), (key(1, 1), b"b")], {5: STATE})
    assert store.state(5) == STATE
    assert store.state(4) is None
    store.write([(key(1, 2), b"c")], {}, deletes=[key(1, 0)])
    assert store.blocks(1) == [b"b", b"c"]


def test_a_scan_has_blocks_only(store):
    store.write([(key(p, 0), b"v") for p in (1, 0x7000000000000000, 2**63 - 1)], {112: STATE})
    assert [k for k, _ in store.scan()] == [
        key(1, 0), key(0x7000000000000000, 0), key(2**63 - 1, 0)
    ]  # fmt: skip
    assert next(k for k, _ in store.scan(key(2, 0))) == key(0x7000000000000000, 0)


@pytest.mark.parametrize("state", [STATE, PartitionState(bytes(16), 0, restoring=False)])
def test_a_state_survives_its_bytes(state):
    assert decode_state(encode_state(state)) == state


def test_bytes_that_are_no_state_are_refused():
    with pytest.raises(FormatVersionError, match="version 01"):
        decode_state(b"\x01" + encode_state(STATE)[1:])
    with pytest.raises(CorruptData, match="20 bytes"):
        decode_state(encode_state(STATE)[:20])


def test_a_second_writer_is_refused_and_a_reader_is_not(store, tmp_path):
    with pytest.raises(Refused) as caught:
        open_primary(tmp_path / "store")
    assert caught.value.reason == "locked"
    other = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path / "store")], capture_output=True, text=True
    )
    assert "Refused" in other.stderr


def test_a_reader_sees_what_was_written_once_it_catches_up(store, tmp_path):
    store.write([(key(1, 0), b"old")], {0: STATE})
    reader = open_secondary(tmp_path / "store", tmp_path / "reader")
    reader.catch_up()
    store.write([(key(1, 0), b"new"), (key(1, 9), b"more")], {})
    assert reader.blocks(1) == [b"old"]
    reader.catch_up()
    assert reader.blocks(1) == [b"new", b"more"]
    assert reader.state(0) == STATE
    reader.close()


def test_there_is_nothing_to_read_before_the_first_write(tmp_path):
    with pytest.raises(NotReady) as caught:
        open_secondary(tmp_path / "store", tmp_path / "reader")
    assert caught.value.reason == "no_store"
    assert not (tmp_path / "store").exists()


def test_a_writer_that_is_killed_leaves_complete_batches(tmp_path):
    """Each batch writes the same number under 50 keys and into the state; kill -9 in the middle."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "store")], stdout=subprocess.PIPE
    ) as writer:
        while int(writer.stdout.readline()) < 200:
            pass
        writer.kill()
    store = open_primary(tmp_path / "store")
    n = store.state(0).next_offset
    assert n >= 200
    assert store.blocks(1) == [n.to_bytes(8, "big") * 100] * 50
    store.close()


def test_a_writer_that_is_killed_while_it_fills_leaves_complete_batches_too(tmp_path):
    """The last ones are lost, all from some point on: state and blocks are of the same batch."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "store"), "fill"],
        stdout=subprocess.PIPE,
    ) as writer:
        while len(list((tmp_path / "store").glob("*.sst"))) < 3:
            last = int(writer.stdout.readline())
        writer.kill()
        last = max([last, *map(int, writer.stdout.read().split())])
    store = open_primary(tmp_path / "store")
    n = store.state(0).next_offset
    assert 0 < n < last
    assert store.blocks(1) == [n.to_bytes(8, "big") * 100] * 50
    store.close()


def test_what_was_filled_is_safe_and_seen_once_it_says_so(store, tmp_path):
    """Before, a copy of the directory (what a kill leaves) has none of it; after, all of it."""
    store.write([(key(1, 0), b"logged")], {0: STATE})
    reader = open_secondary(tmp_path / "store", tmp_path / "reader")
    store.fill()
    store.write([(key(1, 1), b"filled")], {})
    assert left_by_a_kill(tmp_path, "before") == [b"logged"]
    reader.catch_up()
    assert reader.blocks(1) == [b"logged"]
    store.filled()
    store.write([(key(1, 2), b"logged again")], {})
    everything = [b"logged", b"filled", b"logged again"]
    assert left_by_a_kill(tmp_path, "after") == everything
    reader.catch_up()
    assert reader.blocks(1) == store.blocks(1) == everything
    reader.close()


def test_an_unlogged_store_is_complete_after_a_close(tmp_path):
    """A kill leaves it as it was at some batch before; `close` and `fill` lose nothing."""
    store = open_primary(tmp_path / "store", logged=False)
    store.write([(key(1, 0), b"x")], {0: STATE})
    assert left_by_a_kill(tmp_path, "killed") == []
    store.close()
    assert left_by_a_kill(tmp_path, "closed") == [b"x"]
    store = open_primary(tmp_path / "store", logged=False)
    store.fill()
    store.write([(key(1, 1), b"y")], {})
    store.filled()
    store.write([(key(1, 2), b"z")], {})
    assert left_by_a_kill(tmp_path, "killed again") == [b"x", b"y"]
    store.close()


def left_by_a_kill(tmp_path, name):
    shutil.copytree(tmp_path / "store", tmp_path / name)
    store = open_primary(tmp_path / name)
    found = store.blocks(1)
    store.close()
    return found


def test_a_damaged_block_is_an_error_not_a_shorter_answer(tmp_path):
    """One byte flipped in the middle of the only SST file: every read that meets it says so."""
    opened = open_primary(tmp_path / "store")
    values = [bytes([i]) + b"\xa5" * 6000 for i in range(64)]
    opened.write([(key(1, slot), value) for slot, value in enumerate(values)], {})
    opened.close()
    opened = open_primary(tmp_path / "store")  # replays its log into an SST file
    found = [value for _, value in opened.scan()]  # a scan leaves the block cache as it is
    assert unlike(found, values) == []
    opened.close()
    (file,) = (tmp_path / "store").glob("*.sst")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x40
    file.write_bytes(data)
    opened = open_primary(tmp_path / "store")
    with pytest.raises(CorruptData):
        opened.blocks(1)
    with pytest.raises(CorruptData):
        opened.get_many([key(1, slot) for slot in range(64)])
    with pytest.raises(CorruptData):
        list(opened.scan())
    opened.close()


def test_a_reader_sees_the_state_written_before_the_writer_was_opened_again(tmp_path):
    """A secondary's `get` answers with what it read of the writer's former life
    (facebook/rocksdb#14444); the state is asked for otherwise."""
    writer = open_primary(tmp_path / "store")
    writer.write((), {0: PartitionState(bytes(16), 1, restoring=False)})
    reader = open_secondary(tmp_path / "store", tmp_path / "own")
    reader.catch_up()
    writer.write((), {0: PartitionState(bytes(16), 2, restoring=False)})
    writer.close()
    writer = open_primary(tmp_path / "store")
    writer.write((), {1: PartitionState(bytes(16), 9, restoring=False)})
    reader.catch_up()
    assert [reader.state(partition).next_offset for partition in (0, 1)] == [2, 9]
    writer.close()
    reader.close()


def test_every_store_of_a_process_reads_through_one_cache(tmp_path):
    """First opening, later ones and readers: 64 MiB that all of them share, by RocksDB's own
    account, and the options of the store's own file."""
    first = open_primary(tmp_path / "a")
    assert capacity(first) == delta_table.CACHE_BYTES
    first.write([(key(1, slot), b"\xa5" * 6_000) for slot in range(64)], {})
    first.fill()
    first.filled()  # into a file, which is read through the cache
    first.close()
    again, other = open_primary(tmp_path / "a"), open_primary(tmp_path / "b")
    reader = open_secondary(tmp_path / "a", tmp_path / "own")
    before = used(other)
    assert len(again.blocks(1)) == 64
    grown = used(other) - before
    assert grown > 64 * 6_000, "what one reads, the other's cache holds"
    assert len(reader.blocks(1)) == 64
    for store in (again, other, reader):
        assert capacity(store) == delta_table.CACHE_BYTES
        assert used(store) == used(other)
    newest = max((tmp_path / "a").glob("OPTIONS-*"), key=lambda path: int(path.name[8:]))
    options = dict(
        line.strip().split("=", 1) for line in newest.read_text().splitlines() if "=" in line
    )
    assert options["compression"] == "kLZ4Compression"
    assert options["write_buffer_size"] == str(16 << 20)
    assert options["level0_stop_writes_trigger"] == "60"
    for store in (again, other, reader):
        store.close()


def capacity(store):
    return store._table.cache[0]


def used(store):
    return store._table.cache[1]


def test_after_a_restart_many_stores_stay_within_the_bound_of_one_cache(tmp_path):
    """A worker's: eight stores of 2 MiB opened again and read; one cache holds all of it once."""
    for n in range(8):
        made = open_primary(tmp_path / str(n))
        made.write(
            [(key(1, slot), random.Random(slot).randbytes(8_000)) for slot in range(256)], {}
        )
        made.fill()
        made.filled()
        made.close()
    stores = [open_primary(tmp_path / str(n)) for n in range(8)]
    before = used(stores[0])
    for store in stores:
        assert len(store.blocks(1)) == 256
    assert {capacity(store) for store in stores} == {delta_table.CACHE_BYTES}
    assert {used(store) for store in stores} == {used(stores[0])}
    assert used(stores[0]) - before + delta_table.CACHE_BYTES // 8 > 8 * 256 * 8_000
    assert used(stores[0]) <= delta_table.CACHE_BYTES
    for store in stores:
        store.close()
