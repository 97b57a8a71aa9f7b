"""What the layers answer when `impressions status` asks them: plain data, declared below them.

Lake          the tables                        answered by batch/status/lake.py
QualityDays   the days of events, in numbers    answered by batch/status/days.py
Rotation      how far reconciliation has come   answered by batch/reconciling/rotation.py
Listed        a published directory             answered by bulkload/listing.py
HostStatus    the generations of this host      answered by bulkload/host_status.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from impressions.formats.seam_record import SeamRecord


@dataclass(frozen=True)
class Published:
    """A generation in the aggregate table.

    Attributes:
        entries: its rows.
        is_main: whether a plain SELECT shows it.
        lacks: rows of its slots that came after it was computed; None: its source has expired.
    """

    generation: str
    cutover_ms: int
    entries: int
    is_main: bool
    lacks: int | None


@dataclass(frozen=True)
class SlotRows:
    """Rows of an ingest slot in raw, and how many of them `close` has not decided yet."""

    rows: int
    undecided: int


@dataclass(frozen=True)
class Quality:
    """What the days of events say.

    Attributes:
        through_ms: end of the newest day that was judged.
        blocking, named: findings that stand, a sentence each with its id, the newest first.
        accepted: how many somebody accepted.
        counts: how many stand by (measure, whether they block).
    """

    through_ms: int
    blocking: tuple[str, ...]
    named: tuple[str, ...]
    accepted: int
    counts: Mapping[tuple[str, bool], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Rotation:
    """Reconciliation through all profiles. `full_ms`: all were compared since; None: not yet."""

    begun_ms: int
    full_ms: int | None
    profiles: int


@dataclass(frozen=True)
class Lake:
    """The tables.

    Attributes:
        valid_through_ms: how far raw is complete; None where nothing says it.
        landed_offsets: the next offset of each partition; empty where no topic was landed.
        slots: by start in ms.   due: slots that are over and not closed.
        generations: from the oldest on.
        quality: None where no day was counted yet.
    """

    valid_through_ms: int | None
    landed_offsets: tuple[int, ...]
    slots: Mapping[int, SlotRows]
    due: frozenset[int]
    generations: tuple[Published, ...]
    quality: Quality | None = None


@dataclass(frozen=True)
class DayFinding:
    """A finding about days in a row, the last one included; days are ISO dates.

    Attributes:
        blocks: whether it holds a generation back.   accepted: whether somebody said it is well.
    """

    id: str
    first_day: str
    last_day: str
    segment: str
    measure: str
    found: float
    expected: float
    sentence: str
    blocks: bool
    accepted: bool


@dataclass(frozen=True)
class QualityDays:
    """The days of events by segment and measure.

    Attributes:
        days: ISO dates without a gap, n of them, by ingest time.
        segments: (key, words) pairs, m of them; everything first.
        measures: name -> (n, m) float64, NaN where nothing is known.
        findings: the newest first.
    """

    days: tuple[str, ...]
    segments: tuple[tuple[str, str], ...]
    measures: Mapping[str, NDArray[np.float64]]
    findings: tuple[DayFinding, ...]


@dataclass(frozen=True)
class Listed:
    """One published directory.

    Attributes:
        state: complete, or incomplete (no manifest), or damaged (its manifest is).
        fits: whether this host could load it; `problem` says why not.
        size_bytes, host_bytes: of all files; of this host's shards.
    """

    generation: str
    state: str
    cutover_ms: int
    profiles: int | None
    entries: int | None
    size_bytes: int | None
    host_bytes: int | None
    fits: bool
    problem: str | None
    loaded: bool
    active: bool
    rolled_back: bool


@dataclass(frozen=True)
class GenerationStatus:
    """One directory under generations/.

    Attributes:
        state: loaded, damaged, unfinished (its load has not ended), or removed (only the mark is
            left).
        age: cutover to now, in words.   exact_until_ms: later answers are flagged.
        problem: what is wrong with it, and `hint` what to do.
        seam: what its last activation found when it compared it with the one before; None if it
            never was activated here.
    """

    generation: str
    state: str
    active: bool
    previous: bool
    rolled_back: bool
    cutover_ms: int
    age: str
    exact_until_ms: int
    past_horizon: bool
    size_bytes: int
    shards: tuple[int, ...]
    profiles: int
    loaded_ms: int | None
    problem: str | None
    hint: str | None
    seam: SeamRecord | None = None


@dataclass(frozen=True)
class Unfinished:
    """A directory under loading/."""

    name: str
    size_bytes: int
    running: bool


@dataclass(frozen=True)
class HostStatus:
    """The host.

    Attributes:
        problems: (message, hint) pairs, the pointer's first.
        damaged: the pointer is damaged, or the records of a generation.
    """

    data_dir: str
    free_bytes: int
    active: str | None
    previous: str | None
    activated_ms: int | None
    shards: tuple[int, ...]
    generations: tuple[GenerationStatus, ...]
    unfinished: tuple[Unfinished, ...]
    problems: tuple[tuple[str, str | None], ...]
    damaged: bool
