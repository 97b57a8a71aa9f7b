"""A reader beside the writer never shows a later write without an earlier one."""

import os

import pytest

from impressions.core.errors import NotReady
from impressions.deltas.store import PartitionState, open_primary, open_secondary
from impressions.formats.delta_block import key
from tests.deltas.late_list import LateList


@pytest.fixture
def writer(tmp_path):
    opened = open_primary(tmp_path / "store")
    yield opened
    opened.close()


def write(writer, n):
    """The n-th batch: a block, and the state that says so."""
    state = PartitionState(bytes(16), n, restoring=False)
    writer.write([(key(1, n), b"%d" % n)], {0: state})


def test_a_reader_that_looks_while_a_log_becomes_a_file_misses_nothing(writer, tmp_path):
    """The second batch is in no file that it knows of and in no log that is still there; the third
    is in a log. RocksDB shows the first and the third, and says nothing."""
    write(writer, 1)
    reader = open_secondary(tmp_path / "store", tmp_path / "own")
    late = LateList(tmp_path / "store")
    write(writer, 2)
    late.log_becomes_file(writer)
    write(writer, 3)
    late.given_to(reader)
    seen_at_first = []
    late.after_first = lambda: seen_at_first.extend(reader.blocks(1))
    reader.catch_up()
    assert seen_at_first == [b"1", b"3"], "the case is what it says it is"
    assert reader.state(0).next_offset == 3
    assert reader.blocks(1) == [b"1", b"2", b"3"]
    reader.close()


def test_a_reader_that_never_sees_the_files_at_rest_says_so(writer, tmp_path):
    """Each look finds another list than the look before it."""
    write(writer, 1)
    reader = open_secondary(tmp_path / "store", tmp_path / "own")
    current = tmp_path / "store" / "CURRENT"
    mtimes_ns = iter(range(1_000))
    late = LateList(tmp_path / "store")
    late._db, reader._table._db = reader._table._db, late
    late.try_catch_up_with_primary = lambda: os.utime(current, ns=(0, next(mtimes_ns)))
    with pytest.raises(NotReady) as caught:
        reader.catch_up()
    assert caught.value.reason == "unsettled"
    reader.close()
