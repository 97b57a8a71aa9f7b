"""What is measured: the one declaration that every layer derives from.

Owns the measures, the half-lives, the window and the tail. Spark's columns, the storage formats,
the wire columns and the command line are loops over `Spec`; adding a half-life here is the whole
change (and changes the fingerprint, so that old generations are refused rather than misread).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from impressions.core.errors import SettingsError

DAY_MS = 86_400_000

ITEM_LOCATION_BITS = 8
PARTITIONER = "murmur2_be64"


class Adds(Enum):
    """What one impression adds to a measure, x_m(e): 1, or the value of one of its columns.

    The columns have these names in raw, on the wire, and in every batch of impressions.
    """

    ONE = ""
    PLAYED = "played"
    DWELL_S = "dwell_s"

    @property
    def column(self) -> str:
        """The column whose value is added; none of `ONE`."""
        return self.value


@dataclass(frozen=True)
class Measure:
    """One number that impressions add up to. `integral` measures have totals that are exact."""

    name: str
    unit: str
    integral: bool
    adds: Adds


MEASURES = (
    Measure("impressions", unit="count", integral=True, adds=Adds.ONE),
    Measure("plays", unit="count", integral=True, adds=Adds.PLAYED),
    Measure("dwell_s", unit="seconds", integral=False, adds=Adds.DWELL_S),
)
HALF_LIVES_DAYS = (1, 7, 30, 180, 365)


@dataclass(frozen=True)
class Spec:
    """The numbers that must agree between everything that writes and everything that reads.

    Attributes:
        slot_ms: length of an ingest slot; divides a day, so every UTC midnight is a slot edge.
        window_days: UTC days of events in an answer, the day of the query included.
        tail_days: days whose sums are kept apart: so far past the cutover answers are exact.
        max_ahead_ms: how far an event time may lie after its ingest time before it is clamped.
    """

    slot_ms: int = DAY_MS
    measures: tuple[Measure, ...] = MEASURES
    half_lives_days: tuple[int, ...] = HALF_LIVES_DAYS
    window_days: int = 365
    tail_days: int = 28
    max_ahead_ms: int = 5 * 60_000

    def __post_init__(self) -> None:
        if self.slot_ms <= 0 or DAY_MS % self.slot_ms:
            raise SettingsError(
                f"ingest slot of {self.slot_ms} ms: expected a positive length that divides a day",
                hint="set slot_seconds to a divisor of 86400, such as 86400, 3600 or 20",
            )

    def __hash__(self) -> int:
        return self.tag

    @property
    def max_late_ms(self) -> int:
        """Oldest accepted age of an event at ingest: what is younger stays in the window for as
        long as an answer may be asked from a generation (window minus tail)."""
        return (self.window_days - self.tail_days) * DAY_MS

    @cached_property
    def measure_names(self) -> tuple[str, ...]:
        return tuple(measure.name for measure in self.measures)

    @cached_property
    def added_columns(self) -> tuple[str, ...]:
        """The columns of an impression that some measure adds."""
        return tuple(dict.fromkeys(m.adds.column for m in self.measures if m.adds is not Adds.ONE))

    def decayed_name(self, measure: str, half_life_days: int) -> str:
        """The column of a decayed sum, e.g. `plays_hl_7d`."""
        return f"{measure}_hl_{half_life_days}d"

    @cached_property
    def decayed_names(self) -> tuple[str, ...]:
        """Columns of all decayed sums, measure by measure: the order of every (M, H) array."""
        return tuple(
            self.decayed_name(m, h) for m in self.measure_names for h in self.half_lives_days
        )

    def as_dict(self) -> dict[str, object]:
        """Everything the fingerprint covers, in JSON types. What a measure adds is known by its
        name: another `adds` under a name that exists is another measure, and wants another name."""
        return {
            "slot_ms": self.slot_ms,
            "measures": [[m.name, m.unit, m.integral] for m in self.measures],
            "half_lives_days": list(self.half_lives_days),
            "window_days": self.window_days,
            "tail_days": self.tail_days,
            "max_ahead_ms": self.max_ahead_ms,
            "item_location_bits": ITEM_LOCATION_BITS,
        }

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that differ whenever two specs would give different numbers or bytes."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def tag(self) -> int:
        """First 32 bits of the fingerprint: what each block carries in its header."""
        return int(self.fingerprint[:8], 16)
