"""`impressions rejected`: what is shown and what is sent again, whatever the topic holds."""

import json

import pytest

from impressions.cli import rejected
from impressions.core.errors import UsageError
from impressions.formats.flush_framing import record_of
from impressions.kafka import dead_letter_topic
from impressions.kafka.dead_letter_topic import Stray
from impressions.kafka.dead_letters import DeadLetter
from impressions.settings.model import Settings
from tests.kafka.test_records import log, record

BROKEN = log(8, device={"type": "tv?"}).SerializeToString().replace(b"?", b"\xff")
DEAD_LETTERS = [
    DeadLetter("t", 0, 100, 0, 5, ("bad_dwell",), (1,), record(log(8))),
    DeadLetter("t", 0, 101, 2, 5, ("undecodable",), (), record_of(BROKEN)),
    DeadLetter("t", 0, 102, -1, 5, ("too_large",), (), bytes(4_000), 64 << 20),
    Stray("rejected", 0, 7, b"x" * 3_000, "no header reason"),
]


@pytest.fixture(autouse=True)
def topic(monkeypatch):
    """A rejected topic of these dead letters."""
    monkeypatch.setattr(dead_letter_topic, "dead_letters", lambda settings: iter(DEAD_LETTERS))


@pytest.fixture
def sent(monkeypatch):
    """The logs that a producer without a broker is given."""
    logs = []

    class Producer:
        def __init__(self, settings):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def send_message(self, message):
            if message.title_ids[0] == 99:
                raise UsageError("too large")
            logs.append(message)

        def flush(self):
            return 0

    monkeypatch.setattr("impressions.producer.Producer", Producer)
    return logs


def shown(capsys, verb, **options):
    verb(settings=Settings(), json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_every_message_is_listed_and_counted_with_the_beginning_of_its_value(capsys):
    """Megabytes of hex tell a person nothing; `value_bytes` says how long a value was."""
    found = shown(capsys, rejected.show, reason=None, limit=20)
    counts = {"bad_dwell": 1, "undecodable": 1, "too_large": 1, "unreadable": 1}
    assert found["rejected"] == counts
    listed = [
        (x["from"], x["value_bytes"], x["value_cut"], x["because"]) for x in found["dead_letters"]
    ]
    assert listed == [
        ("t:0:100:0", len(DEAD_LETTERS[0].value), False, None),
        ("t:0:101:2", len(DEAD_LETTERS[1].value), False, None),
        ("t:0:102:-1", 64 << 20, True, None),
        ("rejected:0:7", 3_000, True, "no header reason"),
    ]
    assert [x["profile_id"] for x in found["dead_letters"]] == [1, 1, None, None]
    assert all(len(x["value_hex"]) <= 2_048 for x in found["dead_letters"])


def test_strays_can_be_asked_for_by_their_reason(capsys):
    found = shown(capsys, rejected.show, reason=["unreadable"], limit=20)
    assert [x["from"] for x in found["dead_letters"]] == ["rejected:0:7"]


def test_what_can_be_read_is_sent_and_the_rest_counted(capsys, sent):
    """One impression of the first dead letter, both of the log whose text was broken."""
    found = shown(capsys, rejected.replay, reason=None, dry_run=False)
    assert (found["dead_letters"], found["impressions"], found["unreadable"]) == (2, 3, 2)
    assert [list(message.title_ids) for message in sent] == [[6], [5, 6]]
    assert sent[1].device.type == "tv\ufffd"


def test_a_flush_that_the_producer_refuses_ends_nothing(capsys, sent, monkeypatch):
    """One that is larger than a record may be is counted as one that cannot be sent."""
    large = DeadLetter("t", 0, 99, 0, 5, ("bad_dwell",), (0,), record(log(title_ids=[99, 1])))
    monkeypatch.setattr(
        dead_letter_topic, "dead_letters", lambda settings: [large, DEAD_LETTERS[0]]
    )
    found = shown(capsys, rejected.replay, reason=None, dry_run=False)
    assert (found["dead_letters"], found["unreadable"]) == (1, 1)
    assert len(sent) == 1
