"""A server never answers from a copy that shows a later write without an earlier one."""

import threading

import pytest

from impressions.core.errors import CorruptData, NotReady
from impressions.deltas.store import (
    PartitionState,
    decode_state,
    open_primary,
    open_secondary,
    store_dir,
)
from impressions.formats.delta_block import key
from serving import live_deltas
from tests.deltas.late_list import LateList
from tests.deltas.support import beat_of
from tests.serving.support import settings_in

THROUGH_MS = 1_000_000
_AT_ONCE_S = 0.3


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path, deltas="on")


class Writer:
    """What a follower does to the copy."""

    def __init__(self, settings):
        self._settings, self.store = settings, open_primary(store_dir(settings))

    def open_again(self):
        self.store.close()
        self.store = open_primary(store_dir(self._settings))

    def write(self, n):
        """The n-th batch: a block of profile 1, and the state of shard 0 that says so."""
        beat = beat_of(self._settings, 0, THROUGH_MS + n)
        state = PartitionState(bytes(16), n, restoring=False, heartbeat=beat)
        self.store.write([(key(1, n), b"%d" % n)], {0: state})


@pytest.fixture
def writer(settings):
    held = Writer(settings)
    yield held
    held.store.close()


@pytest.fixture
def opened(monkeypatch):
    """The stores that the server has opened, as it opens them."""
    stores = []

    def open_and_keep(*where):
        stores.append(open_secondary(*where))
        return stores[-1]

    monkeypatch.setattr(live_deltas, "open_secondary", open_and_keep)
    return stores


@pytest.fixture
def deltas(settings, writer, opened):
    writer.write(1)
    reading = live_deltas.LiveDeltas(settings)
    reading.refresh()
    yield reading
    reading.stop()


def test_a_request_during_a_catch_up_waits_for_its_end(settings, writer, opened, deltas):
    """In its middle the second of three blocks is missing, and the state is the third's."""
    late = LateList(store_dir(settings))
    writer.write(2)
    late.log_becomes_file(writer.store)
    writer.write(3)
    late.given_to(opened[0])
    answers = []
    request = threading.Thread(target=lambda: answers.append(deltas(0, 1, 0)))

    def ask():
        request.start()
        request.join(_AT_ONCE_S)

    late.after_first = ask
    deltas.refresh()
    request.join(20)
    (found,) = answers
    assert found.stream.through_ms == THROUGH_MS + 3
    assert found.blocks == [b"1", b"2", b"3"]


def moves_on_within(store, deltas, error=None):
    """A catch-up comes into the first read of this store's blocks, which then fails if an error is
    given; the reads, as they come."""
    blocks, times = store.blocks, []

    def moved_on(*asked):
        times.append(asked)
        if len(times) == 1:
            deltas.refresh()
            if error is not None:
                raise error
        return blocks(*asked)

    store.blocks = moved_on
    return times


def test_a_request_that_a_catch_up_comes_into_reads_again(writer, opened, deltas):
    """It had read the state, and the copy moved on before it read the blocks."""
    writer.write(2)
    times = moves_on_within(opened[0], deltas)
    found = deltas(0, 1, 0)
    assert len(times) == 2
    assert found.stream.through_ms == THROUGH_MS + 2
    assert found.blocks == [b"1", b"2"]


def test_a_copy_that_could_not_catch_up_is_not_read_until_it_was_opened_again(
    writer, opened, deltas
):
    """What is missing in it nobody knows; the answers say `deltas_missing` instead."""

    def unsettled():
        raise NotReady("the files change", reason="unsettled")

    opened[0].catch_up = unsettled
    writer.write(2)
    deltas.refresh()
    assert deltas(0, 1, 0) == live_deltas.Deltas((), live_deltas.UNKNOWN)
    deltas.refresh()
    assert deltas(0, 1, 0).blocks == [b"1", b"2"]
    assert len(opened) == 2


def test_a_copy_that_a_follower_opens_during_a_catch_up_is_opened_again_before_it_is_read(
    writer, opened, deltas
):
    """What the reader holds of the follower's former life may hide what is newer."""
    writer.write(2)
    catch_up = opened[0].catch_up

    def opened_meanwhile():
        writer.open_again()
        catch_up()

    opened[0].catch_up = opened_meanwhile
    deltas.refresh()
    assert len(opened) == 2
    assert deltas(0, 1, 0).blocks == [b"1", b"2"]


def test_a_thread_that_may_not_wait_is_told_of_a_catch_up(writer, opened, deltas):
    """Before and after, it gets the blocks; in the middle, an error that the pool does not see."""
    catch_up, told = opened[0].catch_up, []

    def asked_meanwhile():
        with pytest.raises(NotReady) as caught:
            deltas.at_once(0, 1, 0)
        told.append(caught.value.reason)
        catch_up()

    opened[0].catch_up = asked_meanwhile
    assert deltas.at_once(0, 1, 0).blocks == [b"1"]
    writer.write(2)
    deltas.refresh()
    assert told == ["catching_up"]
    assert deltas.at_once(0, 1, 0).blocks == [b"1", b"2"]


def test_a_state_is_read_once_between_two_catch_ups(monkeypatch, writer, opened, deltas):
    """Ten requests decode it once; after the next catch-up it is read again."""
    decoded = []

    def counting(data):
        decoded.append(data)
        return decode_state(data)

    monkeypatch.setattr(live_deltas, "decode_state", counting)
    for n in (2, 3):
        writer.write(n)
        deltas.refresh()
        found = {deltas(0, 1, 0).stream.through_ms for _ in range(10)}
        assert found == {THROUGH_MS + n}
        assert len(decoded) == n - 1


def test_an_error_that_a_catch_up_comes_into_is_not_answered(writer, opened, deltas):
    """A file that the read had begun with is gone; what is there now can be read."""
    writer.write(2)
    times = moves_on_within(opened[0], deltas, CorruptData("no such file"))
    assert deltas(0, 1, 0).blocks == [b"1", b"2"]
    assert len(times) == 2


def test_an_error_at_rest_is_answered(opened, deltas):
    def damaged(*_):
        raise CorruptData("damaged")

    opened[0].blocks = damaged
    with pytest.raises(CorruptData, match="damaged"):
        deltas(0, 1, 0)
