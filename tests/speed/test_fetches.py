"""Cutting fetched records: for delivery, for flushes, and where offsets jump."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from speed.applying.source_record import SourceRecord
from speed.fetches import Fetch, Piece, Polls, chunks, jumps, split_connected

MIB = 1 << 20


def records(*offsets, size=0):
    return [SourceRecord(offset, 1_000 + offset, bytes(size)) for offset in offsets]


def test_a_chunk_ends_at_so_many_records():
    assert [len(piece) for piece in chunks(records(*range(7)), 3)] == [3, 3, 1]
    assert list(chunks([], 3)) == []


def test_a_chunk_ends_at_two_megabytes():
    """A record that is larger by itself is a chunk of its own; one without a value weighs none."""
    large = records(0, 1, 2, size=MIB) + records(3, size=5 * MIB) + [SourceRecord(4, 0, None)]
    assert [len(piece) for piece in chunks(large, 100)] == [2, 2, 1]


def cut(polls, *offsets, **of):
    """The pieces of one poll of partition 0."""
    return polls.cut({0: records(*offsets, **of)})[0]


def test_a_piece_is_an_eighth_of_a_chunk():
    """Joined again they are the same records."""
    assert [len(piece.records) for piece in cut(Polls(64), *range(20))] == [8, 8, 4]
    assert [len(piece.records) for piece in cut(Polls(3), 0, 1, 2)] == [1, 1, 1]
    large = records(*range(16), size=MIB // 8)
    pieces = cut(Polls(10_000), *range(16), size=MIB // 8)
    assert [len(piece.records) for piece in pieces] == [2] * 8
    joined = [record for piece in pieces for record in piece.records]
    assert list(chunks(joined, 10_000)) == [large]


def test_a_piece_begins_where_the_one_before_it_ended():
    """3 and 7 are markers of transactions, 10 is one between two polls."""
    polls = Polls(24)
    assert cut(polls, 0, 1, 2, 4, 5, 6, 8, 9) == [
        Piece(0, records(0, 1, 2)),
        Piece(3, records(4, 5, 6)),
        Piece(7, records(8, 9)),
    ]
    assert cut(polls, 11) == [Piece(10, records(11))]


def test_each_partition_has_an_end_of_its_own():
    polls = Polls(24)
    polls.cut({0: records(0, 1), 1: records(5)})
    assert polls.cut({1: records(7), 0: records(4)}) == {
        1: [Piece(6, records(7))],
        0: [Piece(2, records(4))],
    }


def test_after_a_seek_a_piece_begins_where_the_consumer_was_sent():
    """To the marker after a transaction, or back; and with its first record if it is not known."""
    polls = Polls(24)
    assert cut(polls, 5, 6) == [Piece(5, records(5, 6))]
    polls.sought({0: 2})
    assert cut(polls, 3, 4) == [Piece(2, records(3, 4))]
    polls.sought({0: 9})
    assert cut(polls, 9, 11) == [Piece(9, records(9, 11))]


@given(
    st.lists(st.sets(st.integers(1, 5), min_size=1), min_size=1, max_size=6),
    st.sets(st.integers(0, 12)),
)
def test_what_was_not_delivered_can_be_distinguished_from_what_never_was(polled, skipped):
    """Gaps between records, polls and pieces are none; who takes only pieces that begin no
    later than what it expects has every record up to there."""
    polls, every, expected, taken = Polls(16), [], 0, []
    polls.sought({0: 0})
    pieces = []
    for n, of_poll in enumerate(polled):
        offsets = sorted(6 * n + offset for offset in of_poll)
        every += offsets
        pieces += cut(polls, *offsets)
    for n, piece in enumerate(pieces):
        if n not in skipped:
            if piece.start > expected:
                break
            taken += [record.offset for record in piece.records]
            expected = taken[-1] + 1
    assert taken == [offset for offset in every if offset < expected]
    if not skipped:
        assert taken == every


def fetch(start, *offsets):
    return Fetch(0, 1, start, records(*offsets), True)


def test_fetches_up_to_one_that_begins_too_late():
    """Records that no piece says to hold were skipped; a jump inside a fetch, or before its first
    record, is a marker."""
    a, b, c, d = fetch(0, 0, 1), fetch(2, 2, 5), fetch(6, 7), fetch(9, 9)
    assert (b.first, b.end) == (2, 6)
    assert split_connected([a, b, c], log_start=0) == ([a, b, c], ())
    assert split_connected([a, b, c, d], log_start=0) == ([a, b, c], [d])
    assert split_connected([], log_start=0) == ([], ())


def test_a_jump_may_be_what_the_partition_has_lost():
    """Where it begins behind the jump's begin by now: whoever applies fetches looks at each."""
    a, b, c = fetch(0, 0, 1), fetch(2, 4), fetch(5, 7)
    assert split_connected([a, b, c], log_start=2) == ([a, b, c], ())
    assert split_connected([a, b, c], log_start=3) == ([a], [b, c])
    assert split_connected([a, b, c], log_start=6) == ([a], [b, c])


def test_jumps_between_what_is_expected_and_what_comes():
    assert not jumps([fetch(4, 4, 6), fetch(7, 7)], expected=4)
    assert not jumps([fetch(2, 2), fetch(3, 3)], expected=9)
    assert jumps([fetch(4, 5)], expected=4)
    assert jumps([fetch(4, 4), fetch(5, 6)], expected=4)


def test_a_fetch_of_a_faust_event():
    """Its value is a piece; the fetch keeps its records when the piece is emptied."""
    fetched = [SourceRecord(7, 1_007, b"x"), SourceRecord(8, 1_008, b"x")]
    message = SimpleNamespace(partition=3, generation_id=2, value=Piece(6, fetched))
    event = SimpleNamespace(message=message)
    fetch = Fetch.of(event)
    assert (fetch.partition, fetch.generation, fetch.start, fetch.stamped) == (3, 2, 6, True)
    fetched[1] = SourceRecord(8, 1_008, b"x", stamped=False)
    assert not Fetch.of(event).stamped
    fetched.clear()
    assert fetch.records == [SourceRecord(7, 1_007, b"x"), SourceRecord(8, 1_008, b"x")]
