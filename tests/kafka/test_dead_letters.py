"""Dead letters: nothing of what was rejected is lost, and it can be sent again."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impressions.formats.flush_framing import KEPT_BYTES, MAX_VALUE_BYTES, Cut, kept, record_of
from impressions.kafka.dead_letter_replay import flush_to_replay
from impressions.kafka.dead_letter_topic import Stray, parsed
from impressions.kafka.dead_letters import DeadLetter, dead_letters_of, read_dead_letter
from impressions.kafka.decoded_batch import decode
from impressions.v1.impression_record_pb2 import ImpressionRecord
from tests.compare import unlike
from tests.kafka.test_records import INGEST_MS, SPEC, log, record


def dead_letters(*values):
    ingest_ms = np.full(len(values), INGEST_MS)
    batch = decode(values, ingest_ms, 0, 1, SPEC)
    return list(
        dead_letters_of(batch, values, np.arange(100, 100 + len(values)), "t", 0, ingest_ms)
    )


def test_a_flush_with_one_bad_impression_becomes_a_dead_letter_with_all_of_it():
    bad = log(8, dwell_s=[1.5, -1.0])
    (dead_letter,) = dead_letters(record(log(), bad))
    assert dead_letter.identity == "t:0:100:1"
    assert (dead_letter.reasons, dead_letter.impressions, dead_letter.counts) == (
        ("bad_dwell",),
        (1,),
        1,
    )
    assert dead_letter.value == record(bad)
    assert read_dead_letter(dead_letter.value, dead_letter.headers()) == dead_letter


def test_bytes_that_do_not_decode_are_kept_as_they_came():
    whole, ragged = dead_letters(b"\xff\xff", record(log(), log(8, dwell_s=[1.0])))
    assert (whole.value, whole.identity, whole.counts) == (b"\xff\xff", "t:0:100:-1", 1)
    assert ragged.identity == "t:0:101:1"
    assert len(ImpressionRecord.FromString(ragged.value).logs[0].title_ids) == 2
    assert flush_to_replay(whole) is flush_to_replay(ragged) is None


def test_a_replayed_flush_holds_only_what_was_rejected_under_an_id_of_its_own():
    """The rest of the log has counted under the old id; the new one is the same each time."""
    (dead_letter,) = dead_letters(record(log(8, dwell_s=[1.5, -1.0], rows=[3, 4])))
    again = flush_to_replay(dead_letter)
    assert list(again.title_ids) == [6]
    assert list(again.rows) == [4]
    assert again.profile_id == 1
    assert again.log_id not in (0, 8)
    assert again == flush_to_replay(dead_letter)


def test_a_flush_that_only_has_a_broken_text_is_sent_again_with_it_repaired():
    """Nothing of it has counted, so all of it is sent; other logs of the record have counted."""
    fine = log(8, device={"type": "Gerät", "app_version": "8.1"})
    broken = fine.SerializeToString().replace("ä".encode(), b"\xff(")
    (dead_letter,) = dead_letters(record(log()) + record_of(broken) + record(log(9)))
    assert (dead_letter.identity, dead_letter.reasons, dead_letter.impressions) == (
        "t:0:100:1",
        ("undecodable",),
        (),
    )
    assert dead_letter.value == record_of(broken)
    again = flush_to_replay(dead_letter)
    assert (again.device.type, again.device.app_version) == ("Ger\ufffd(t", "8.1")
    assert list(again.title_ids) == list(fine.title_ids)
    assert again.profile_id == fine.profile_id
    assert again.log_id not in (0, 8)


@pytest.mark.parametrize("log_bytes", [b"\xff", b"", b"\x1a\x03\x0a\x01\xff", b"\x22\x01\xff"])
def test_a_flush_of_which_nothing_can_be_read_is_not_sent_again(log_bytes):
    """Bytes that are no fields, no impressions, only a text, half a title."""
    assert (
        flush_to_replay(DeadLetter("t", 0, 1, 0, 1, ("undecodable",), (), record_of(log_bytes)))
        is None
    )


def test_a_record_that_is_too_large_is_a_letter_with_its_beginning():
    """So that it fits a message; the dead letter says how long it is, and it cannot be sent."""
    value = record(log()) + bytes(MAX_VALUE_BYTES)
    for sent in (value, kept(value)):
        (dead_letter,) = dead_letters(sent)
        assert (dead_letter.reasons, dead_letter.counts, dead_letter.value_bytes) == (
            ("too_large",),
            1,
            len(value),
        )
        assert unlike([dead_letter.value], [value[:KEPT_BYTES]]) == []
        assert flush_to_replay(dead_letter) is None
        again = read_dead_letter(dead_letter.value, dead_letter.headers())
        assert unlike([again], [dead_letter]) == []


def test_a_letter_can_be_cut_once_more():
    """To the same bytes and the same length."""
    dead_letter = DeadLetter("t", 0, 1, -1, 1, ("undecodable",), (), bytes(100_000))
    assert (len(dead_letter.cut().value), dead_letter.cut().value_bytes) == (KEPT_BYTES, 100_000)
    assert unlike([dead_letter.cut().cut()], [dead_letter.cut()]) == []
    assert Cut.of(Cut.of(bytes(100_000))).value_bytes == 100_000


def test_a_flush_of_very_many_impressions_is_a_dead_letter_that_can_be_read():
    """It is rejected whole, with one word and one range, and holds more than a log may."""
    n = 20_000
    columns = {"title_ids": range(n), "locations": [0] * n, "event_time_ms": [INGEST_MS] * n}
    (dead_letter,) = dead_letters(record(log(**columns, played=[True] * n, dwell_s=[0.0] * n)))
    assert dict(dead_letter.headers())["impressions"] == b"0-19999"
    again = read_dead_letter(dead_letter.value, dead_letter.headers())
    assert unlike([again], [dead_letter]) == []


GOOD_HEADERS = dict(dead_letters(record(log(dwell_s=[-1.0, -1.0])))[0].headers())
GOOD_VALUE = dead_letters(record(log(dwell_s=[-1.0, -1.0])))[0].value


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("impressions", b"0-4000000000"), ("impressions", b"0-9999999999999999999999"),
        ("impressions", b"0-9999"), ("impressions", b"1-0"), ("impressions", b"0-0,0-0"),
        ("impressions", b"0"), ("impressions", b"-1-0"), ("impressions", b"0-1,"),
        ("impressions", b"0-0," * 100_000), ("impressions", None),
        ("reason", b""), ("reason", b"a,b,c"), ("reason", b"\xff"), ("reason", b"x" * 300_000),
        ("ingest_ms", b"9223372036854775807"), ("ingest_ms", b"1_000"), ("ingest_ms", b"\xd9\xa1"),
        ("topic", b"\x1b[2J"), ("topic", b""), ("partition", b"-1"), ("offset", b"x"),
        ("log_index", b"-2"), ("value_bytes", b"3"), ("offset", b"9" * 5_000),
    ],
)  # fmt: skip
def test_a_header_that_the_value_does_not_bear_out_makes_it_a_stray(header, text):
    """Whoever may write to the topic decides neither memory nor what a terminal does."""
    headers = [*({**GOOD_HEADERS, header: text}).items()]
    tracemalloc.start()
    with pytest.raises(ValueError):
        read_dead_letter(GOOD_VALUE, headers)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


class Message:
    def __init__(self, value, headers):
        self.value, self.headers = (lambda: value), (lambda: headers)
        self.topic, self.partition, self.offset = (lambda: "rejected"), (lambda: 3), (lambda: 7)


def test_a_message_that_is_no_dead_letter_is_named_with_its_place():
    """A foreign one, one without value or headers, one of nonsense."""
    assert isinstance(parsed(Message(GOOD_VALUE, list(GOOD_HEADERS.items()))), DeadLetter)
    for headers in (None, [], [("reason", None)], [*GOOD_HEADERS.items(), ("offset", b"x")]):
        stray = parsed(Message(None, headers))
        assert isinstance(stray, Stray)
        assert (stray.identity, stray.reasons, stray.value) == (
            "rejected:3:7",
            ("unreadable",),
            b"",
        )


@given(st.dictionaries(st.sampled_from(list(GOOD_HEADERS)), st.binary(max_size=12)), st.binary())
def test_any_message_is_a_letter_or_a_stray(changed, value):
    """And of any dead letter it can be said whether it can be sent again."""
    for of_value in (value, GOOD_VALUE, GOOD_VALUE + value):
        found = parsed(Message(of_value, list({**GOOD_HEADERS, **changed}.items())))
        if isinstance(found, DeadLetter):
            flush_to_replay(found)
