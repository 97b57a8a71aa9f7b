"""One target per decoder: good inputs to begin with, what is done with an input, how to seal it.

`run` may raise errors of ours and nothing else, and what it makes may not be much larger than what
it was given. `reseal` makes the outside of an input right again (checksum, header) and leaves the
nonsense inside, so that a fuzzer gets behind the first check.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from batch.mapping.fits import check_against
from batch.mapping.grammar import read_mapping
from bulkload.compatibility import check_compatible
from impressions.core.merge import merge
from impressions.core.spec import DAY_MS, PARTITIONER, Spec
from impressions.formats import delta_block, heartbeat, manifest, pointer, profile_block, sealed
from impressions.kafka import decoded_batch
from impressions.kafka.dead_letter_replay import flush_to_replay
from impressions.kafka.dead_letters import dead_letters_of, read_dead_letter

GOLDEN = Path(__file__).parents[1] / "golden"
SPEC = Spec()
CUTOVER_MS = 20_772 * DAY_MS
BEAT = heartbeat.Heartbeat(3, 8, 1, bytes(16), bytes(range(16)), 41, CUTOVER_MS, -(1 << 63), 5)
FILE = manifest.SstFile(0, "shard=0/00000-a.sst", 2, 100, "00" * 8, "01" * 8, "ab" * 32, "cd" * 32)
MANIFEST = manifest.Manifest(
    "2026-11-15", CUTOVER_MS, SPEC.fingerprint, 8, PARTITIONER, 1, 2, 2, 5, 3, (FILE,)
)
MAPPING = b"""ingest_time = "event"
[columns]
profile_id = "user:hash"
title_id = "video_id"
event_time = "seen_at:ms"
log_id = "hash(user, session)"
dwell_s = "view_ms:ms"
"""


@dataclass(frozen=True)
class Target:
    """A decoder. `seeds` are good; `reseal(data, rng)` is as large as `data`, or nearly."""

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]
    reseal: Callable[[bytes, random.Random], bytes]


def _golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


def _read_profile_block(data: bytes) -> None:
    block = profile_block.decode(data, SPEC)
    assert len(block.rows()) + len(block.tail_from(0)) <= len(data)
    merge(block.reference_ms, block.reference_ms, block, (), SPEC)


def _read_delta_block(data: bytes) -> None:
    block = delta_block.decode(data, SPEC)
    assert len(block.items) + len(block.log_ids) <= len(data)
    merge(CUTOVER_MS, None, None, (block,), SPEC)


def _read_heartbeat(data: bytes) -> None:
    assert len(heartbeat.encode(heartbeat.decode(data, SPEC), SPEC)) == len(data)


def _read_record(data: bytes) -> None:
    values, ingest_ms = [data, None], np.array([CUTOVER_MS] * 2)
    batch = decoded_batch.decode(values, ingest_ms, 3, 8, SPEC)
    plain = decoded_batch.decode(values, ingest_ms, 3, 8, SPEC, compiled=False)
    assert batch.reason.tobytes() == plain.reason.tobytes()
    assert batch.unreadable == plain.unreadable
    assert batch.read <= 2 + len(data)
    assert len(batch.flush) == len(batch.reason) == len(batch.counted_ms)
    for dead_letter in dead_letters_of(batch, values, np.arange(2), "t", 3, ingest_ms):
        assert read_dead_letter(dead_letter.value, dead_letter.headers()) == dead_letter
        flush_to_replay(dead_letter)


def _read_manifest(data: bytes) -> None:
    found = manifest.decode(data)
    check_compatible(found, found.generation, SPEC, found.partitions)


def _read_pointer(data: bytes) -> None:
    pointer.Pointer.decode(data)


def _read_loaded(data: bytes) -> None:
    assert len(pointer.Loaded.decode(data).shards) <= len(data)


def _read_mapping(data: bytes) -> None:
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        mapping = read_mapping((), Path(file.name))
    check_against(mapping, dict.fromkeys(mapping.columns, "integer"), "events.parquet")


# ---- the outside made right, the inside left as it is


def _as_it_is(data: bytes, rng: random.Random) -> bytes:
    return data


def _with_start(good: bytes) -> Callable[[bytes, random.Random], bytes]:
    """The first bytes of a good one: version, kind, spec."""
    return lambda data, rng: good + data[len(good) :]


def _with_length(data: bytes, rng: random.Random) -> bytes:
    """A profile block whose counts fit its length, whatever stands in its columns."""
    head, body = profile_block._HEADER, _golden("profile_block_v2")
    if len(data) < head.size + 10:
        return body
    fixed = body[:8] + data[8 : head.size - 8]
    codes = bytes([rng.choice((1, 2, 4, 5, 8)) for _ in range(4)]) + b"\x84"
    widths = [sum(codes[:4]) + 4 * 16, sum(codes[:4]) + 4 * 16 + 1]
    k = rng.randrange(2)
    room = len(data) - head.size - 2 * len(codes) - k * widths[1]
    n = max(0, room // widths[0])
    rest = data[head.size :].ljust(n * widths[0] + k * widths[1], b"\0")
    rows, tail = rest[: n * widths[0]], rest[n * widths[0] :][: k * widths[1]]
    return fixed + struct.pack("<II", n, k) + codes + rows + codes + tail


def _sealed_again(data: bytes, rng: random.Random) -> bytes:
    """An object of a sealed file with one value changed, and a checksum that is right."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(body, dict):
        return data
    body.pop("checksum", None)
    _change_one(body, rng)
    try:
        return sealed.seal(body)
    except (ValueError, RecursionError):
        return data


def _change_one(body: dict[str, object], rng: random.Random) -> None:
    files = body.get("files")
    if isinstance(files, list) and files and isinstance(files[0], dict) and rng.random() < 0.5:
        body = files[rng.randrange(len(files))] if isinstance(files[-1], dict) else files[0]
    if body:
        field = rng.choice(sorted(body))
        body[field] = rng.choice(_nonsense(rng))


def _nonsense(rng: random.Random) -> list[object]:
    return [
        None, True, -1, 0, 1.5, float("nan"), 1 << 62, -(1 << 63), 10**400, "", "x" * 50, "\ud800",
        "../..", "2026-11-15", "9999-12-31", "0" * 16, "f" * 64, [], [0, 1], [[]], {}, {"a": 1},
        [{"shard": 0}], rng.randrange(1 << 48), "shard=0/\n.sst",
    ]  # fmt: skip


def _records() -> list[bytes]:
    cases = json.loads((GOLDEN / "records.json").read_text())
    return [bytes.fromhex(text) for case in cases for text in case["records"].values()]


def _sealed(kind: object) -> list[bytes]:
    return [sealed.seal({"format": 1, **asdict(kind)})]  # type: ignore[call-overload]


TARGETS = {
    target.name: target
    for target in (
        Target(
            "profile_block", lambda: [_golden("profile_block_v2")], _read_profile_block,
            _with_length,
        ),
        Target(
            "delta_block", lambda: [_golden("delta_block_v3"), _golden("delta_block_v2")],
            _read_delta_block, _with_start(_golden("delta_block_v3")[:8]),
        ),
        Target(
            "heartbeat", lambda: [heartbeat.encode(BEAT, SPEC)], _read_heartbeat,
            _with_start(heartbeat.encode(BEAT, SPEC)[:6]),
        ),
        Target("record", _records, _read_record, _as_it_is),
        Target("manifest", lambda: _sealed(MANIFEST), _read_manifest, _sealed_again),
        Target(
            "pointer", lambda: _sealed(pointer.Pointer("2026-11-15", "2026-11-08", 5)),
            _read_pointer, _sealed_again,
        ),
        Target(
            "loaded", lambda: _sealed(pointer.Loaded("2026-11-15", (0, 1), 2, 5)),
            _read_loaded, _sealed_again,
        ),
        Target("mapping", lambda: [MAPPING], _read_mapping, _as_it_is),
    )
}  # fmt: skip
