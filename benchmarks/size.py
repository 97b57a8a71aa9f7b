"""Bytes per (profile, title, location) entry; peers: naive protobuf, Parquet with zstd.

An entry seen in the oldest 28 days has one more row there for each day: the tail. It is counted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq

from benchmarks.frame import Goal, Row, row
from benchmarks.peers.rows_in_files import Profile as ProfileMessage
from benchmarks.peers.rows_in_files import as_parquet, as_protobuf
from benchmarks.world import CUTOVER_MS, SPEC, World
from impressions.core import window
from impressions.core.decay import Int
from impressions.core.rows import Rows
from impressions.formats import profile_block


def run(world: World) -> Iterator[Row]:
    """Distinct profiles only: repeated ones would flatter Parquet."""
    stored = [(i, *_rows(p.block)) for i, p in enumerate(world.profiles)]
    n_rows = sum(len(rows) for _, rows, _ in stored)
    entries = sum(len(np.unique(rows.items)) for _, rows, _ in stored)
    ours = sum(len(p.block) for p in world.profiles)
    messages = [as_protobuf(rows, ages) for _, rows, ages in stored]
    parquet = as_parquet(stored, SPEC)
    _check(stored, messages, parquet)
    protobuf = sum(map(len, messages))
    goal = Goal("ours", "<=", 80)
    for name, peer in (("protobuf", protobuf), ("Parquet zstd", len(parquet))):
        measure = f"per entry, tail included; peer {name}"
        yield row("size", measure, ours / entries, "B", peer=peer / entries, goal=goal)
    yield row("size", "per stored row; peer protobuf", ours / n_rows, "B", peer=protobuf / n_rows)


def _rows(block: bytes) -> tuple[Rows, Int]:
    """All rows of a block, body and tail, and the tail age of each (0 outside the tail)."""
    decoded = profile_block.decode(block, SPEC)
    oldest = window.first_day(CUTOVER_MS, SPEC)
    parts, ages = [decoded.rows()], [np.zeros(len(decoded.items()), np.int64)]
    left = [len(decoded.tail_from(oldest + age)) for age in range(SPEC.tail_days + 1)]
    tail = decoded.tail_from(oldest)
    parts.append(tail)
    ages.append(np.repeat(np.arange(1, SPEC.tail_days + 1), -np.diff(left)))
    return Rows(
        np.concatenate([p.items for p in parts]),
        np.concatenate([p.last_seen_ms for p in parts]),
        np.concatenate([p.totals for p in parts], axis=1),
        np.concatenate([p.sums for p in parts], axis=2),
    ), np.concatenate(ages)


def _check(stored: list[tuple[int, Rows, Int]], messages: list[bytes], parquet: bytes) -> None:
    """All three hold the same last sums."""
    sums = np.concatenate([rows.sums[-1, -1] for _, rows, _ in stored])
    rows = [r for data in messages for r in ProfileMessage.FromString(data).rows]
    np.testing.assert_allclose([r.sums[-1] for r in rows], sums, rtol=1e-6)
    column = pq.read_table(io.BytesIO(parquet))[SPEC.decayed_names[-1]]
    np.testing.assert_allclose(column.to_numpy(), sums, rtol=1e-6)
