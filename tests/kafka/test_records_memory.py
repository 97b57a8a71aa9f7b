"""Memory follows the bytes of a record, whatever stands in them."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from impressions.kafka.dead_letters import dead_letters_of
from impressions.kafka.decoded_batch import decode
from tests.kafka.test_records import INGEST_MS, SPEC, field, in_pieces, log, message, record

MIB = 1 << 20
TIMES = 20
"""What impressions/kafka/decoded_batch.py says of decode, with numba."""


def of(n):
    """A log of n impressions."""
    columns = {"title_ids": [5] * n, "locations": [1] * n, "event_time_ms": [INGEST_MS] * n}
    return log(**columns, played=[True] * n, dwell_s=[1.0] * n)


SHAPES = {
    "one log of one impression a record": lambda: [record(of(1))] * 20_000,
    "very many logs of one impression in a record": lambda: [record(of(1)) * 80_000],
    "one log of very many impressions": lambda: [record(of(100_000))],
    "columns that are not packed": lambda: [in_pieces(of(20_000), packed=False)],
    "columns in pieces": lambda: [in_pieces(of(20_000), packed=True)],
    "logs without impressions": lambda: [b"\x0a\x00" * 100_000] * 5,
    "more logs than a record may have": lambda: [b"\x0a\x00" * MIB],
    "broken logs of three bytes": lambda: [b"\x0a\x01\xff" * 100_000] * 2,
    "broken logs of some size": lambda: [record(log(dwell_s=[1.0])) * 20_000],
    "logs of one unknown field": lambda: [message(1, field(11, 0, b"\x01")) * 100_000] * 2,
    "a log of unknown fields": lambda: [message(1, b"\x58\x00" * MIB)],
    "unknown fields and known ones in turns": lambda: [message(1, b"\x10\x00\x58\x00" * MIB)],
    "a record of unknown fields": lambda: [b"\x10\x00" * MIB],
    "a log of devices": lambda: [message(1, b"\x1a\x00" * MIB)],
    "one very long text": lambda: [message(1, message(3, message(1, b"x" * MIB)))],
    "plays, and nothing else": lambda: [message(1, message(9, b"\x01" * MIB))],
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_decoding_takes_a_multiple_of_the_bytes(shape):
    """While it runs and in what it gives back."""
    pytest.importorskip("numba")
    values = SHAPES[shape]()
    ingest_ms = np.full(len(values), INGEST_MS)
    decode(values[:1], ingest_ms[:1], 0, 1, SPEC)
    tracemalloc.start()
    decode(values, ingest_ms, 0, 1, SPEC)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < TIMES * sum(map(len, values)) + MIB


def test_dead_letters_are_made_one_at_a_time():
    """A record of very many bad logs is not turned into as many dead letters at once."""
    values, ingest_ms = [record(log(0)) * 20_000], np.array([INGEST_MS])
    batch = decode(values, ingest_ms, 0, 1, SPEC)
    tracemalloc.start()
    made = sum(1 for _ in dead_letters_of(batch, values, np.arange(1), "t", 0, ingest_ms))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made == 20_000
    assert peak < 5 * len(values[0])


HOSTILE = """
import json, numpy as np
from impressions.kafka.decoded_batch import decode
from impressions.core.spec import Spec
from tests.memory import peak_rss_bytes

def grown(value):
    decode([b""], np.array([1]), 0, 1, Spec())
    before = peak_rss_bytes()
    read = decode([value], np.array([1]), 0, 1, Spec()).read
    return read, (peak_rss_bytes() - before) >> 20

def log(fields):
    return b"\\x0a\\x80\\x80\\x80\\x03" + fields

print(json.dumps(grown({value})))
"""


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('b"\\x0a\\x00" * (32 << 20)', 1),  # 64 MiB of empty logs
        ('log(b"\\x10\\x00\\x58\\x00" * (6 << 18))', 0),  # 6 MiB that protobuf keeps in pieces
        ('log(b"\\x48\\x01" * (6 << 19))', 1),  # 6 MiB of plays that are not packed
    ],
)
def test_what_protobuf_takes_is_bounded_too(value, read):
    """Of the whole process: protobuf's memory is not Python's."""
    code = HOSTILE.replace("{value}", value)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, grown_mib = json.loads(done.stdout)
    assert found == read
    assert grown_mib < 6 * TIMES
