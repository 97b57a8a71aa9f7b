"""Bytes published in the delta topic for each byte of the source; peer: blocks of version 2.

A profile has 130 impressions in a day, in three sessions. Flushes come in the order of time and
meet other profiles than the flush before: each device flush publishes its profile's open part
again, so nothing is spared by batches. The peer publishes the profile's whole day each time, a row
per item with its sums, as workers did before decision 0046.

"as sent" are keys and values. "on the wire" are record batches: of the source up to 1,000 records
with lz4, as the producer sends them; of the delta topic those of one flush with snappy, as the
worker does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from benchmarks.frame import Goal, Row, row
from benchmarks.world import CATALOGUE, CUTOVER_MS, SPEC, World
from impressions.core.impressions import Impressions, joined
from impressions.formats import delta_block
from impressions.formats.delta_block import DeltaBlock
from impressions.kafka.decoded_batch import decode
from impressions.kafka.record_packing import columns_message, pack
from speed.applying.apply import apply
from speed.applying.flush import Pair
from speed.applying.slot_parts import Key
from tests.summed_blocks import encode_as_before

_A_DAY, _PROFILES, _QUICK_PROFILES = 130, 400, 20
_FLUSHES_AT_ONCE = 50
_SESSION_MS, _LAST_S = 2 * 3_600_000, 30
_FAVOURITES, _OF_THOSE = 60, 0.6
_SNAPPY, _LZ4 = 2, 3

Sent = list[tuple[bytes | None, bytes]]


class Flushed(NamedTuple):
    """One device flush: when it came, and its record."""

    at_ms: int
    value: bytes


def run(world: World) -> Iterator[Row]:
    """Of flushes of 10 impressions, and of single ones."""
    profiles = _QUICK_PROFILES if world.is_quick else _PROFILES
    for size, goal in ((10, Goal("ours", "<=", 2)), (1, None)):
        stream = _day(np.random.default_rng(world.seed), profiles, size)
        ours, before, blocks = _published(stream)
        source: list[Sent] = [
            [(None, each.value) for each in several] for several in _batches(stream, 1_000)
        ]
        for how, measure in (("as sent", _as_sent), ("on the wire", _on_the_wire)):
            of_source = measure(source, _LZ4)
            yield row(
                "delta_topic", f"130 a profile-day, {size} a device flush, {how}",
                measure(ours, _SNAPPY) / of_source, "x source",
                peer=measure(before, _SNAPPY) / of_source, goal=goal,
            )  # fmt: skip
        yield row("delta_topic", f"{size} a device flush, blocks of a profile-day",
                  blocks / profiles, "blocks", peer=1)  # fmt: skip


def _day(rng: np.random.Generator, profiles: int, size: int) -> list[Flushed]:
    out = []
    for profile in range(1, profiles + 1):
        known = rng.integers(1, CATALOGUE, _FAVOURITES)
        count = _A_DAY // size
        begins_ms = rng.choice([6, 12, 18], count) * 3_600_000 + rng.integers(0, _SESSION_MS, count)
        for at_ms in (CUTOVER_MS + begins_ms).tolist():
            again = rng.random(size) < _OF_THOSE
            titles = np.where(again, rng.choice(known, size), rng.integers(1, CATALOGUE, size))
            message = columns_message(
                profile, int(rng.integers(1, 1 << 62)), title_ids=titles.tolist(),
                locations=(titles * 31 % 40).tolist(),
                event_time_ms=(at_ms - rng.integers(0, _LAST_S * 1_000, size)).tolist(),
                played=[bool(x) for x in rng.random(size) < 0.1],
                dwell_s=np.round(rng.exponential(3.0, size), 3).tolist(),
            )  # fmt: skip
            out.append(Flushed(at_ms, pack(message, 1).data))
    return sorted(out, key=lambda each: each.at_ms)


def _batches(stream: Sequence[Flushed], size: int) -> Iterator[Sequence[Flushed]]:
    for at in range(0, len(stream), size):
        yield stream[at : at + size]


def _published(stream: Sequence[Flushed]) -> tuple[list[Sent], list[Sent], int]:
    """What is sent for each flush of a worker: by this version, and by the one before; and how many
    blocks there are at the end."""
    held: dict[Key, DeltaBlock] = {}
    whole: dict[Key, DeltaBlock] = {}
    ours, before = [], []
    for number, several in enumerate(_batches(stream, _FLUSHES_AT_ONCE)):
        ingest_ms = np.array([each.at_ms for each in several], np.int64)
        batch = decode([each.value for each in several], ingest_ms, 0, 1, SPEC)
        offsets = number * _FLUSHES_AT_ONCE + np.arange(len(several))
        blocks = apply(batch, offsets, held.get, 1, SPEC).blocks
        alone = apply(batch, offsets, lambda key: None, 1, SPEC).blocks
        held |= blocks
        for key, block in alone.items():
            whole[key] = _added(whole.get(key), block)
        ours.append([_pair(key, delta_block.encode(b, SPEC)) for key, b in blocks.items()])
        before.append([_pair(key, encode_as_before(whole[key], SPEC)) for key in alone])
    return ours, before, len(held)


def _pair(key: Key, value: bytes) -> Pair:
    return delta_block.key(*key), value


def _added(held: DeltaBlock | None, new: DeltaBlock) -> DeltaBlock:
    if held is None:
        return new
    both: Impressions = joined([held.impressions, new.impressions])
    log_ids = np.union1d(held.log_ids, new.log_ids)
    return DeltaBlock(new.slot_start_ms, 1, new.offset, log_ids, both)


def _as_sent(batches: Iterable[Sent], codec: int) -> int:
    return sum(len(key or b"") + len(value) for batch in batches for key, value in batch)


def _on_the_wire(batches: Iterable[Sent], codec: int) -> int:
    return sum(len(_record_batch(batch, codec)) for batch in batches)


def _record_batch(batch: Sent, codec: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=1, producer_epoch=0,
        base_sequence=0, batch_size=1 << 30,
    )  # fmt: skip
    for offset, (key, value) in enumerate(batch):
        builder.append(offset, CUTOVER_MS, key, value, [])
    return bytes(builder.build())
