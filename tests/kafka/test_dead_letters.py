"""Dead letters: nothing of what was rejected is lost, and it can be sent again."""

import numpy as np

from impressions.kafka.dead_letters import letters_of, read_letter, revived
from impressions.kafka.records import decode
from impressions.v1.impression_record_pb2 import ImpressionRecord
from tests.kafka.test_records import INGEST_MS, SPEC, log, record


def letters(*values):
    ingest_ms = np.full(len(values), INGEST_MS)
    batch = decode(values, ingest_ms, 0, 1, SPEC)
    return list(letters_of(batch, values, np.arange(100, 100 + len(values)), "t", 0, ingest_ms))


def test_a_log_with_one_bad_impression_becomes_a_letter_with_the_whole_log():
    bad = log(8, dwell_s=[1.5, -1.0])
    (letter,) = letters(record(log(), bad))
    assert letter.identity == "t:0:100:1"
    assert (letter.reasons, letter.impressions, letter.counts) == (("bad_dwell",), (1,), 1)
    assert letter.value == record(bad)
    assert read_letter(letter.value, letter.headers()) == letter


def test_bytes_that_do_not_decode_are_kept_as_they_came():
    whole, ragged = letters(b"\xff\xff", record(log(), log(8, dwell_s=[1.0])))
    assert (whole.value, whole.identity, whole.counts) == (b"\xff\xff", "t:0:100:-1", 1)
    assert ragged.identity == "t:0:101:1"
    assert len(ImpressionRecord.FromString(ragged.value).logs[0].title_ids) == 2
    assert revived(whole) is revived(ragged) is None


def test_a_revived_log_holds_only_what_was_rejected_under_an_id_of_its_own():
    """The rest of the log has counted under the old id; the new one is the same each time."""
    (letter,) = letters(record(log(8, dwell_s=[1.5, -1.0], rows=[3, 4])))
    again = revived(letter)
    assert list(again.title_ids) == [6]
    assert list(again.rows) == [4]
    assert again.profile_id == 1
    assert again.log_id not in (0, 8)
    assert again == revived(letter)
