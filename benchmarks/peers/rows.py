"""Rows that a peer's store holds: one per (profile, title), at one query time; stdlib and numpy.

Read in the peer's own environment, which has none of our packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stored:
    """Columns of N rows.

    Attributes:
        measures, half_lives_days: the M measures and H half-lives of the columns.
        profile_ids, title_ids, last_seen_ms: (N,) int64.
        totals: (N, M) float64.   sums: (N, M, H) float64.
    """

    measures: list[str]
    half_lives_days: list[int]
    profile_ids: Any
    title_ids: Any
    last_seen_ms: Any
    totals: Any
    sums: Any


def write(path: Path, stored: Stored) -> None:
    with path.open("wb") as file:
        np.savez(file, **vars(stored))


def read(path: Path) -> Stored:
    with np.load(path) as arrays:
        lists = {name: arrays[name].tolist() for name in ("measures", "half_lives_days")}
        return Stored(**{name: arrays[name] for name in arrays.files} | lists)


def key_of(profile_id: int) -> bytes:
    """The key of a profile's hash."""
    return b"impressions:%d" % profile_id


def value_dtype(stored: Stored) -> Any:
    """One row as a hash holds it: 80 bytes for 3 measures and 5 half-lives."""
    m, h = len(stored.measures), len(stored.half_lives_days)
    return np.dtype([("last_seen_ms", "<i8"), ("totals", "<f4", m), ("sums", "<f4", (m, h))])


def packed(stored: Stored) -> Any:
    """All rows as `value_dtype`."""
    values = np.empty(len(stored.profile_ids), value_dtype(stored))
    for name in values.dtype.names:
        values[name] = getattr(stored, name)
    return values
