"""A finding: what was found on some days in a segment, and what was expected there.

A person needs the day, the segment, the measure, what was found and expected, how many weeks that
rests on, and where to look. Days in a row with the same fault are one finding, so that a week that
landed twice is accepted or repaired as one thing. The id names the first day and is the same for
as long as the finding is: `2026-11-17-3fa9c1`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

from batch.quality.segments import Segment

EPOCH = date(1970, 1, 1).toordinal()
ABSOLUTE = "an absolute rule; no weeks of history yet"


@dataclass(frozen=True)
class Finding:
    """Days are counted from 1970-01-01; `last_day` is included.

    Attributes:
        found: the value of the first day.   low, high: over all of its days.
        expected: the value, or the bound of an absolute rule.
        basis: what `expected` rests on, in words.   weeks: of history; 0: an absolute rule, or the
            days right before.
        blocks: whether a generation with these days is held back.
        since_hour: of the first day, UTC.   until_hour: of the last one. 0 and 24: all day, or the
            hours do not tell (since.py).
    """

    day: int
    last_day: int
    segment: Segment
    measure: str
    found: float
    expected: float
    low: float
    high: float
    weeks: int
    basis: str
    blocks: bool = True
    since_hour: int = 0
    until_hour: int = 24

    @property
    def id(self) -> str:
        said = f"{day_name(self.day)} {self.segment.key} {self.measure}"
        return f"{day_name(self.day)}-{hashlib.sha256(said.encode()).hexdigest()[:6]}"

    @property
    def days(self) -> str:
        first, last = day_name(self.day), day_name(self.last_day)
        return first if first == last else f"{first} .. {last}"

    @property
    def sentence(self) -> str:
        """`2026-11-17 app version 8.14 on tv: impressions_per_profile 9.3, expected 3.0 (3.1
        times; median of 8 Tuesdays), since 14:00; look at: ...`."""
        ratio = ""
        if self.expected > 0 and self.found > 0 and not self.measure.startswith("share_"):
            ratio = f"{self.found / self.expected:.2g} times; "
        return (
            f"{self.days} {self.segment.words}: {self.measure} {number(self.found)}, expected "
            f"{number(self.expected)} ({ratio}{self.basis}){self.hours}; look at: {look_at(self)}"
        )

    @property
    def hours(self) -> str:
        """`, since 14:00`; UTC."""
        since = f", since {self.since_hour:02}:00" if self.since_hour else ""
        until = f" until {self.until_hour:02}:00" if self.until_hour < 24 else ""
        return since + until if since else until and f",{until}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "first_day": day_name(self.day),
            "last_day": day_name(self.last_day),
            "segment": self.segment.key,
            "measure": self.measure,
            "found": finite(self.found),
            "expected": finite(self.expected),
            "weeks": self.weeks,
            "basis": self.basis,
            "since_hour": self.since_hour,
            "until_hour": self.until_hour,
            "blocks": self.blocks,
            "look_at": look_at(self),
            "sentence": self.sentence,
        }


def day_name(day: int) -> str:
    return date.fromordinal(EPOCH + day).isoformat()


def weekday(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%A")


def number(value: float) -> str:
    """As short as a person reads it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def finite(value: float) -> float | None:
    """None where JSON has no word for it."""
    return float(value) if abs(value) < float("inf") else None


_CAUSES = {
    "impressions": "whether landing and topic lack events, or producers stopped sending",
    "share_repeated": "what was landed twice under other log ids: files, a replay, resends",
    "share_again": "events that are sent or landed twice",
    "impressions_per_profile": "events sent or landed more than once, or a bot",
    "plays_per_impression": "how it sends plays",
    "dwell_median_s": "the unit and the meaning of its dwell",
    "dwell_p99_s": "the unit and the meaning of its dwell",
    "share_zero_dwell": "whether it measures dwell at all",
    "share_rejected": "what it sends: impressions.rejected has the rows and reasons",
    "share_clamped": "its clock: it is ahead",
    "share_late": "its clock, or events that were held back",
    "share_duplicates": "its retries",
    "hours_moved": "its clock, and hours in which events are missing",
    "share_top_location": "how it fills location",
    "other_locations": "how it fills location",
    "share_largest_profile": "one profile that is no person",
    "share_new_titles": "how it fills the title",
}


def look_at(finding: Finding) -> str:
    """The producer, and what about it."""
    measure = finding.measure.removesuffix("_drift")
    who = "all producers alike" if finding.segment.is_all else finding.segment.words
    return f"{who}: {_CAUSES[measure]}"


def runs(found: Iterable[Finding]) -> list[Finding]:
    """Findings of single days: those of one segment and measure on days in a row become one."""

    def kind(one: Finding) -> tuple[str, str]:
        return one.segment.key, one.measure

    joined: list[Finding] = []
    for _, same in groupby(sorted(found, key=lambda one: (*kind(one), one.day)), key=kind):
        current: Finding | None = None
        for one in same:
            if current is not None and one.day == current.last_day + 1:
                current = replace(
                    current, last_day=one.last_day, low=min(current.low, one.low),
                    high=max(current.high, one.high), blocks=current.blocks or one.blocks,
                    until_hour=one.until_hour,
                )  # fmt: skip
                joined[-1] = current
            else:
                current = one
                joined.append(one)
    return sorted(joined, key=lambda one: (one.day, one.segment.key, one.measure))


def blocking(found: Sequence[Finding]) -> list[Finding]:
    return [one for one in found if one.blocks]
