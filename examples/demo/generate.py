"""A year of impression logs, as a streaming service's warehouse would hold them. Seeded.

Columns are deliberately not ours, so that the import has something to map
(examples/demo/mapping.toml): user_id, video_id, surface, row, position, seen_at_ms, received_at_ms,
log_id, played, view_ms. One row per impression, in the order in which the logs were received.

What real logs have, these have: few profiles with many impressions and many with few, titles just
so; devices that report hours, days or most of a year late, some too late; clocks that run ahead, a
little or by days; logs that were sent again a moment, a day or days later; rows that are broken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Int = NDArray[np.int64]

DAY_MS = 86_400_000
MINUTE_MS = 60_000
HISTORY_DAYS = 400
"""Longer than the window, so that something has left it."""


@dataclass(frozen=True)
class Size:
    """How much to generate."""

    logs: int = 8_000
    profiles: int = 8_000
    titles: int = 3_000


def write_year(path: Path, end_ms: int, seed: int, size: Size | None = None) -> int:
    """Write logs received in the 400 days before `end_ms` (exclusive); returns the rows."""
    table = make_year(end_ms, np.random.default_rng(seed), size or Size())
    pq.write_table(table, path, compression="zstd")
    return int(table.num_rows)


def make_year(end_ms: int, rng: np.random.Generator, size: Size) -> pa.Table:
    """The table described above."""
    logs = _logs(end_ms, rng, size)
    rows = _impressions(logs, rng, size)
    rows = _resend(rows, end_ms, rng)
    rows = _break(rows, rng)
    order = np.argsort(rows["received_at_ms"], kind="stable")
    return pa.table({name: _column(name, values[order]) for name, values in rows.items()})


def _skewed(rng: np.random.Generator, n: int, among: int, ids: Int) -> Int:
    """n draws of ids, the first far more often than the last."""
    rank = np.minimum(rng.pareto(0.6, n) * among / 60, among - 1).astype(np.int64)
    return ids[rank]


def _logs(end_ms: int, rng: np.random.Generator, size: Size) -> dict[str, Int]:
    """One entry per log: who, when flushed, when received, how many impressions."""
    profiles = rng.permutation(np.unique(rng.integers(0, 2**40, size.profiles)))
    profiles[0] = 0  # zero is an id like any other
    start_ms = end_ms - HISTORY_DAYS * DAY_MS
    received_ms = rng.integers(start_ms, end_ms, size.logs)
    kind = rng.random(size.logs)
    delay_ms = rng.integers(100, 30_000, size.logs)
    for below, low_ms, high_ms in (
        (0.060, 3_600_000, 3 * DAY_MS),
        (0.010, 3 * DAY_MS, 330 * DAY_MS),
        (0.003, 338 * DAY_MS, 380 * DAY_MS),
        (0.002, -5 * MINUTE_MS, 0),
        (0.001, -20 * DAY_MS, -6 * MINUTE_MS),
    ):
        delay_ms = np.where(kind < below, rng.integers(low_ms, high_ms, size.logs), delay_ms)
    return {
        "user_id": _skewed(rng, size.logs, len(profiles), profiles),
        "received_at_ms": received_ms,
        "flushed_ms": received_ms - delay_ms,
        "log_id": rng.permutation(np.arange(1, size.logs + 1)) * 7919,
        "impressions": 1 + rng.poisson(5, size.logs),
    }


def _impressions(
    logs: dict[str, Int], rng: np.random.Generator, size: Size
) -> dict[str, NDArray[np.generic]]:
    """One entry per impression; those of a log are seconds apart, the last at the flush."""
    counts = logs["impressions"]
    n = int(counts.sum())
    place = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    before_flush = np.repeat(counts, counts) - 1 - place
    titles = rng.permutation(np.arange(10, 10 + size.titles))
    played = rng.random(n) < 0.2
    view_ms = np.where(played, rng.integers(5_000, 7_200_000, n), rng.integers(0, 4_000, n))
    return {
        "user_id": np.repeat(logs["user_id"], counts),
        "video_id": _skewed(rng, n, size.titles, titles),
        "surface": rng.choice([0, 1, 2, 40], n, p=[0.6, 0.25, 0.1, 0.05]),
        "row": place // 3,
        "position": place % 3,
        "seen_at_ms": np.repeat(logs["flushed_ms"], counts) - 1_700 * before_flush,
        "received_at_ms": np.repeat(logs["received_at_ms"], counts),
        "log_id": np.repeat(logs["log_id"], counts),
        "played": played,
        "view_ms": view_ms,
    }


def _resend(
    rows: dict[str, NDArray[np.generic]], end_ms: int, rng: np.random.Generator
) -> dict[str, NDArray[np.generic]]:
    """Devices that got no answer send whole logs again, some of them more than once."""
    for share, low_ms, high_ms in (
        (0.03, 200, 60_000),
        (0.01, 60_000, DAY_MS),
        (0.005, DAY_MS, 5 * DAY_MS),
    ):
        log_ids = np.unique(rows["log_id"])
        again = rng.choice(log_ids, int(len(log_ids) * share), replace=False)
        later_ms = dict(
            zip(again.tolist(), rng.integers(low_ms, high_ms, len(again)).tolist(), strict=True)
        )
        chosen = np.flatnonzero(np.isin(rows["log_id"], again))
        copies = {name: values[chosen] for name, values in rows.items()}
        wait_ms = np.array([later_ms[i] for i in copies["log_id"].tolist()], np.int64)
        copies["received_at_ms"] = copies["received_at_ms"] + wait_ms
        inside = copies["received_at_ms"] < end_ms
        rows = {name: np.concatenate([rows[name], copies[name][inside]]) for name in rows}
    return rows


def _break(
    rows: dict[str, NDArray[np.generic]], rng: np.random.Generator
) -> dict[str, NDArray[np.generic]]:
    """A few rows no one can count: no title (-1 here), a place off the page, negative time."""
    n = len(rows["user_id"])
    for name, value in (("video_id", -1), ("surface", 300), ("view_ms", -40)):
        rows[name][rng.choice(n, max(1, n // 2_000), replace=False)] = value
    return rows


def _column(name: str, values: NDArray[np.generic]) -> pa.Array:
    """Arrow types of a warehouse: a missing title is null."""
    if name == "video_id":
        return pa.array(values, pa.int64(), mask=values < 0)
    kinds = {"surface": pa.int32(), "row": pa.int32(), "position": pa.int32(), "played": pa.bool_()}
    return pa.array(values, kinds.get(name, pa.int64()))
